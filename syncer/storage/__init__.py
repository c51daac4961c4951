"""Persistence: engines and transactions, schema, tables, and the rows that a run reads and writes.

Beside them the leases, the kept tokens, the timeline as it is kept, a BI role's rights, a mirror's copy and its repair.
Knows no network: neither httpx nor the fetcher is imported here. What a difference means is for `rules`, what people
ask is in `views`.
"""
