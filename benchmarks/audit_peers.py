"""The audit against CleanVision on the same files and the checks that both have, turn by turn in one run.

    python benchmarks/audit_peers.py --peer PYTHON          PYTHON is an interpreter that has cleanvision installed
    python benchmarks/audit_peers.py --peer PYTHON --quick

Ours counts everything from the files on: reading and decoding them into a dataset (ingest), and the audit of it. Both
are whole processes with two workers and one thread of linear algebra each. Because a busy machine makes wall clocks
lie, processor time of the process and its children is given too.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from audit_faults import plant

CHECKS = (
    "too-dark,too-bright,blurred,low-information,odd-size,odd-aspect,grey-among-colour,exact-duplicates,near-duplicates"
)
THEIRS = """
import sys
from cleanvision import Imagelab
if __name__ == "__main__":
    lab = Imagelab(data_path=sys.argv[1])
    lab.find_issues(n_jobs=2)
    counts = lab.issue_summary.set_index("issue_type")["num_images"].to_dict()
    print({name: int(count) for name, count in counts.items()})
"""
OURS = """
import sys
from maquette.faces.cli import main
folder, size, checks = sys.argv[1:4]
assert main(["ingest", folder + "/files", "--to", folder + "/a.mq", "--size", size, "--small", "enlarge", "--workers",
             "2", "--mode", "rgb", "--quiet"]) == 0
assert main(["audit", folder + "/a.mq", "--only", checks, "--quiet"]) == 0
"""


def timed(command: list[str]) -> tuple[float, float, str]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads})
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, used, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--large", action="store_true", help="files of 512 pixels instead of 128")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "files").mkdir()
        truth = plant(folder / "files", count=300 if given.quick else 2000, each=4 if given.quick else 20)
        for name in truth.items["unreadable"]:  # one of them ends CleanVision with a traceback
            (folder / "files" / name).unlink()
        if given.large:
            enlarge(folder / "files")
        script = folder / "theirs.py"
        script.write_text(THEIRS)
        rows = []
        for turn in range(1 if given.quick else 3):
            theirs = timed([given.peer, str(script), str(folder / "files")])
            ours = timed([sys.executable, "-c", OURS, str(folder), "64", CHECKS])
            subprocess.run(["rm", "-rf", str(folder / "a.mq")], check=True)
            rows.append((theirs, ours))
            print(
                f"turn {turn + 1}: CleanVision {theirs[0]:.1f} s ({theirs[1]:.1f} s of processor time), ours "
                f"{ours[0]:.1f} s ({ours[1]:.1f} s): {theirs[0] / ours[0]:.1f} times, {theirs[1] / ours[1]:.1f} by "
                "processor time",
                flush=True,
            )
        print("CleanVision found:", rows[-1][0][2].strip().splitlines()[-1])


def enlarge(folder: Path) -> None:
    """The same pictures as JPEG files of 512 pixels, as cameras and the web have them."""
    from PIL import Image

    for path in sorted(folder.rglob("*.png")):
        try:
            with Image.open(path) as picture:
                large = picture.convert("RGB").resize((picture.width * 4, picture.height * 4), Image.Resampling.BICUBIC)
        except OSError:
            continue
        large.save(path.with_suffix(".jpg"), quality=90)
        path.unlink()


if __name__ == "__main__":
    main()
