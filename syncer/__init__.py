"""syncer mirrors a GREEN-API partner's instances into SQL and keeps their history.

A run goes through the folders in this order: `upstream` fetches, `answer` reads, `rules` decides, `storage` writes, and
`sync` tells its whole story. `daemon` runs it for years; `views`, `terminal` and `doctor` show what came of it;
`settings` and `cli` are the way in; `demo` is for trying out. `model` and `errors` have the words, `scrub` with
`readings` keeps secrets in.
"""

__version__ = "0.1.0"
