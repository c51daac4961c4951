"""The bytes of an answer in, what it says out, as far as that differs from what is known.

How a list is cut into items, how an item is read, which items differ, and when the whole is no list. Pure: no I/O, no
clock, no logging, no threads. What a difference means is for `rules`.
"""
