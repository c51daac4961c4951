"""What people and scripts see on standard output: lines, JSON documents, tables.

Decides nothing, queries nothing, and reads no settings.
"""
