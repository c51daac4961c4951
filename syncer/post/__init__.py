"""One message to one receiver by HTTP, and what came of it; beside the fetcher the only importer of httpx.

Nothing here knows a database, nor what a message is about. No address, secret or header of one is in any log record,
error or reply.
"""
