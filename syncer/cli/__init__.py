"""The commands: flags read, everything built, results handed to `terminal`. The only place that ends the process."""
