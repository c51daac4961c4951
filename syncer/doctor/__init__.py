"""Findings about settings, upstream and database, each with its remedy, and the probe of an answer's shape.

Nothing here writes to the database, prints, or repairs what it finds.
"""
