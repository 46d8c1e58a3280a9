"""What is freed is kept: the system is not asked for the same memory again and again."""

import os
import platform
import subprocess
import sys

import pytest

_ROUNDS = """
import resource, sys
from maquette.core.heap import keep_freed
if sys.argv[1] == "keep":
    keep_freed()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for turn in range(12):
    if turn == 2:  # by then it has as much as it ever needs
        before = faults()
    pieces = [b"x" * (24 << 20) for _ in range(4)] + [b"y" * (60 << 20)]
    del pieces
print(faults() - before)
"""


def faults(how: str) -> int:
    """How often the system had to find a page while the same memory was taken and freed ten times."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run([sys.executable, "-c", _ROUNDS, how], capture_output=True, text=True, check=True, env=plain)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has another way, or none")
def test_memory_that_was_freed_is_there_again_at_once() -> None:
    pages = 10 * (156 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert faults("leave") > pages // 2, "then this needs no module"
    assert faults("keep") < pages // 100


@pytest.mark.parametrize("missing", [OSError, AttributeError])
def test_other_systems_go_on_as_they_are(missing: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    import ctypes

    from maquette.core.heap import keep_freed

    def nothing(_: object) -> object:
        raise missing

    monkeypatch.setattr(ctypes, "CDLL", nothing)
    keep_freed.__wrapped__()
