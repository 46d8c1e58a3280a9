"""Kinds of sources, one file each: a new kind is a new file with a class called `SOURCE`."""
