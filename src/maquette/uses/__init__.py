"""The uses: one file each, for one kind of work from beginning to end. `operations/_uses.py` is their contract."""
