"""Killed at any moment, the same command goes on and ends bit for bit where it would have ended (a hundredth)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "safety_training.py"


@pytest.mark.skipif(sys.platform != "linux", reason="forks processes that have loaded torch")
def test_every_family_survives_kills_signals_and_broken_numbers(tmp_path):
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--quick"], capture_output=True, text=True, cwd=tmp_path, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    together = re.search(r"together (\d+) kills, (\d+) of them inside a save", done.stdout)
    assert together and int(together[1]) >= 3 and int(together[2]) >= 1, done.stdout
    for words in ("gan", "flow (bfloat16)", "autoencoder", "SIGTERM", "not finite", "with --time"):
        assert words in done.stdout
