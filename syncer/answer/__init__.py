"""The bytes of an answer in, what it says out. Pure: no I/O, no clock, no logging, no threads.

What the pieces of a list are, how an item is read, and which items differ from what is known. What a difference
means is for `rules`.
"""
