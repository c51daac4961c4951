"""The commands, a file for each subject: options read, everything built, results handed to `terminal`.

The only place that ends the process, and with `daemon` the only one that reads a clock. No rule and no query is
written here.
"""
