"""The checks of an audit, one file each; `data/check.py` says what a check is."""
