"""The product without a token: a local upstream that follows a script, its scenarios, and the demo that polls it."""
