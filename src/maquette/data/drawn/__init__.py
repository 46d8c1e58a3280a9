"""Datasets that the program draws itself, whose facts are known."""
