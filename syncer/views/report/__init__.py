"""The report as one page: what it says (`content`), its pictures as plain shapes, and the templates that show both.

Nothing here reads the database: `views/figures` does. jinja2 escapes every text; it is imported by `page` alone.
"""
