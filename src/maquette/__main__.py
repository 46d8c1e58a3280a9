"""`python -m maquette` is the command line."""

import sys

from maquette.faces.cli import main

if __name__ == "__main__":
    sys.exit(main())
