"""The millrace command as a Python package: see `millrace --help`."""
