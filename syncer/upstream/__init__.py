"""The fetcher: one complete answer of the partner API, or an exception.

The only importer of httpx, with the environment's proxy and certificates. Nothing here knows a database (no SQLAlchemy,
no storage, no views) nor reads an item: the body is handed on as it arrives.
"""
