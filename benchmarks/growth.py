"""How quality grows with time: the same training for several lengths, and what each came to by held-out images.

    python benchmarks/growth.py                            flow and gan on the starter photographs, 30 s to 4 min
    python benchmarks/growth.py --data FOLDER.mq --families gan --times 1m 4m
    python benchmarks/growth.py --keep                     also keeps the curves with the code, for what `train` expects

Prints, for each training, images seen and the place: how far its images are from held-out ones, in units of what blur
and noise do to real ones. Trainings of other lengths of the same run through all lines of a block. What `train`
promises of a training is read off such curves; `--check` says how often that would have held here: every curve is
foretold from those of the other sets.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import maquette
from maquette.engine.expect import OTHER, Curve
from maquette.store.run import Run

KEPT = Path(maquette.__file__).parent / "engine" / "growth.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", help="a dataset; the starter photographs when left out")
    parser.add_argument("--name", default="", help="what the set is called for people")
    parser.add_argument("--families", nargs="*", default=["flow", "gan"])
    parser.add_argument("--times", nargs="*", default=["30s", "1m", "2m", "4m"])
    parser.add_argument("--folder", default="", help="where the runs go, and are gone on with")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--check", action="store_true")
    words = parser.parse_args()
    if words.check:
        return check(json.loads(KEPT.read_text("utf-8")))
    with tempfile.TemporaryDirectory(prefix="maquette-") as gone:
        folder = Path(words.folder or gone)
        data, name = words.data, words.name or (Path(words.data).stem if words.data else "starter photographs")
        if not data:
            data = str(folder / "starter.mq")
            if not Path(data).exists():
                call(folder, "ingest", "starter", "--to", data, "--size", "32")
        records = [grow(folder, data, name, family, words.times) for family in words.families]
    if words.keep:
        known = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else []
        new = {(record["name"], record["family"]) for record in records}
        records = [record for record in known if (record["name"], record["family"]) not in new] + records
        KEPT.write_text("[\n " + ",\n ".join(json.dumps(record) for record in records) + "\n]\n", "utf-8")
        print(f"kept in {KEPT}")
    return 0


def grow(folder: Path, data: str, name: str, family: str, times: list[str]) -> dict[str, object]:
    """One curve: a point for every length."""
    points: list[tuple[int, float]] = []
    spec: dict[str, object] = {}
    for time in times:
        to = folder / f"{Path(data).stem}-{family}-{time}"
        call(folder, "train", data, "--family", family, "--time", time, "--to", str(to))
        run = Run.open(to)
        spec, end = run.facts["recipe"]["spec"], run.facts.get("reached")
        if end is None:
            print(f"{name}, {family}, {time}: not judged at the end")
            continue
        points.append((int(end["images"]), round(float(end["value"]), 4)))
        print(f"{name}, {family} {run.facts['scale']}, {time}: {end['images']:,} images, {end['sentence']}", flush=True)
    return {
        "name": name, "family": family, "width": spec["width"], "height": spec["height"], "mode": spec["mode"],
        "points": sorted(points),
    }  # fmt: skip


def call(folder: Path, *words: str) -> None:
    home = {**os.environ, "MAQUETTE_HOME": str(folder / "home")}
    subprocess.run([sys.executable, "-m", "maquette", *words, "--quiet"], check=True, env=home)


def check(records: list[dict[str, object]]) -> int:
    """Every curve foretold from those of the same family on other sets."""
    right = total = 0
    for record in records:
        others = [
            Curve(str(other["name"]), tuple(map(tuple, other["points"])))  # type: ignore[arg-type]
            for other in records
            if other["family"] == record["family"] and other["name"] != record["name"]
        ]
        for images, place in record["points"]:  # type: ignore[attr-defined]
            said = [value for curve in others if (value := curve.at(images)) is not None]
            if not said:
                continue
            low, high = min(said) / OTHER, max(said) * OTHER
            total, right = total + 1, right + (low <= place <= high)
            print(f"{record['name']}, {record['family']}, {images:,}: {place:.3g}, said {low:.3g} to {high:.3g}")
    print(f"{right} of {total} within what was said")
    return 0 if right >= 0.8 * total else 1


if __name__ == "__main__":
    sys.exit(main())
