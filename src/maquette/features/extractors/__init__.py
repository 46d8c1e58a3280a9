"""Kinds of features: one file each, found by name."""
