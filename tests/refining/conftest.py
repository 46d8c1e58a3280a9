"""Lets the tests of refining share `chance.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
