"""Flags, environment and `syncer.toml` to checked values, and logs by them.

Everyone else receives values. Nothing here opens a database or a connection; the only files read are `syncer.toml` and
those that settings name.
"""
