"""The checks of an audit, one file each; `data/audit/check.py` says what a check is."""
