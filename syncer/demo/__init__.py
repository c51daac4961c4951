"""The product without a token: a local upstream that follows a script, its scenarios, and the demo that polls it.

For trying out and for tests: nothing of the product but a command of `cli` imports it.
"""
