"""The process that decodes has limits which the system itself holds it to."""

import subprocess
import sys

import pytest

PROGRAM = """
from maquette.data.decoding.limits import Limits
from maquette.data.decoding.worker import Guard
Guard(Limits(memory=600 << 20))
kept = bytearray(500 << 20)
try:
    bytearray(300 << 20)
except MemoryError:
    print("held")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits address space and tells how much is in use")
def test_what_libraries_take_does_not_count_as_memory_for_a_file() -> None:
    """All of the limit is there for the file, and no more than that."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "held\n"
