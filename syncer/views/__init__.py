"""What people ask, read only: the views' columns, status, as-of, bills, the report, exports, the promises to verify.

The SQL of the views is in `migrations/views`, of the promises in `promises`. Nothing here writes a row but prices,
calls the upstream, or prints.
"""
