"""Flags, environment and `syncer.toml` to checked values, and logs by them. Everyone below receives values."""
