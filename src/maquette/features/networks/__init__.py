"""Networks whose weights a person brings along: one file each, found by name."""
