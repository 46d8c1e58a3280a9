"""Lets the tests here (and benchmarks/safety_models.py) share the makers of hostile files and of failing disks."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
