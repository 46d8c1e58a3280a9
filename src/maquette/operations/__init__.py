"""The verbs, one file each, and the table of them."""
