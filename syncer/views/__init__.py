"""What people ask, read only: the views' columns, status, as-of, bills, the report, exports, the promises to verify.

The SQL of the views is in `migrations/views`; nothing here writes a row but prices, and nothing prints.
"""
