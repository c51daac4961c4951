"""Persistence: engines and transactions, schema, tables, and the rows that a run reads and writes.

Knows no network: neither httpx nor the fetcher is imported here. What people ask is in `views`.
"""
