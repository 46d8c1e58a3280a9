"""Processes that read strangers' files have limits which the system itself holds them to."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
from PIL import Image
from maquette.core.guard import Guard
Guard(600 << 20, 10.0)
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


LATE = """
import resource
from maquette.core.guard import Guard
guard = Guard(600 << 20, 1.0)
guard.renew()
print(resource.getrlimit(resource.RLIMIT_CPU)[0], flush=True)
while True:
    pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system ends it by a signal")
def test_a_file_that_takes_too_long_ends_the_process_even_where_nobody_waits_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGXCPU and int(done.stdout) <= 6
