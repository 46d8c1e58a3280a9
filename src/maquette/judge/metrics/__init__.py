"""The measures, found by the name of their file; one file may hold several that belong together."""
