"""The fetcher: one complete answer of the partner API, or an exception.

The only importer of httpx. Nothing here knows a database: no SQLAlchemy, no storage, no views.
"""
