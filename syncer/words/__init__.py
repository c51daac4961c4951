"""What people read, in each language: the texts, and how numbers, days and amounts are written there. Pure.

Words of the contract, SQL names, JSON and logs are not here: they are the same in every language.
"""
