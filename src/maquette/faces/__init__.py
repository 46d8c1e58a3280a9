"""What people and programs touch: the command line and the Python names. Renderings of one table of operations."""
