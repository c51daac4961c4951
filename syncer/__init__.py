"""syncer mirrors a GREEN-API partner's instances into SQL and keeps their history.

The listing of this package is the path of the data:
`upstream` fetches, `stream` and `decode` read, `diff`, `guard` and `transitions` decide, `store` writes,
and `sync` tells the whole story of a run.
"""

__version__ = "0.1.0"
