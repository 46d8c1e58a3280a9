"""How much of what is wrong with a dataset the audit finds, how often it is wrong itself, and how fast it is.

python benchmarks/audit.py                    2,000 files with planted faults: recall and precision of every check
python benchmarks/audit.py --quick            300 files
python benchmarks/audit.py --labels           wrong labels planted in the starter dataset
python benchmarks/audit.py --pairs DATASET    near duplicates in a dataset with labels, and about how many are false
python benchmarks/audit.py --scale            memory and time an image for 10,000 to 200,000 images of 32 pixels
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from audit_faults import COPIES, SINGLE, Truth, plant

from maquette.core.event import Result
from maquette.data.audit.audit import audit
from maquette.data.dataset import Dataset, Writer
from maquette.data.ingest.ingest import Settings, ingest

GUESSES = {"overlays", "outliers", "odd-size"}
"""Checks that guess; all others should find what was planted and nothing else."""


def run(events: Any) -> Any:
    *_, last = events
    assert isinstance(last, Result)
    return last.value


def planted(folder: Path, count: int, each: int) -> None:
    truth = plant(folder / "files", count=count, each=each)
    began, used = time.perf_counter(), time.process_time()
    data = run(
        ingest([folder / "files"], folder / "planted.mq", settings=Settings(width=64, height=64, small="enlarge"))
    )
    print(f"ingest {time.perf_counter() - began:.1f} s; ", end="")
    began, used = time.perf_counter(), time.process_time()
    result = run(audit(data))
    print(f"audit {time.perf_counter() - began:.1f} s ({time.process_time() - used:.1f} s of processor time)\n")
    print("| check | planted | found | recall | precision |\n| --- | --- | --- | --- | --- |")
    facts = {one["check"]: one for one in result.facts()["findings"]}
    for kind in [*SINGLE, "exact-duplicates", "leakage", "conflicting-labels"]:
        meant, said = truth.items[kind], set(facts.get(kind, {}).get("items", []))
        if kind == "upscaled":  # blurred copies have lost their fine detail too: they count neither way
            said -= {copy for _, copy in truth.pairs["blur"]}
        right = len(meant & said)
        guess = " (a guess)" if kind in GUESSES else ""
        precision = right / len(said) if said else 1.0
        print(f"| {kind}{guess} | {len(meant)} | {len(said)} | {right / len(meant):.2f} | {precision:.2f} |")
        wrong = sorted(said - meant)[:6]
        if wrong or right < len(meant):
            print("   <!-- too many:", wrong, " missed:", sorted(meant - said)[:6], "-->")
    copies(truth, facts.get("near-duplicates", {}).get("groups", []))
    print("\nothers:", {k: v["count"] for k, v in facts.items() if k not in SINGLE}, "grade", result.grade)


def copies(truth: Truth, groups: list[list[str]]) -> None:
    place = {path: number for number, group in enumerate(groups) for path in group}
    for kind in COPIES:
        pairs = truth.pairs[kind]
        found = sum(a in place and place[a] == place.get(b) for a, b in pairs)
        print(f"| near-duplicates: {kind} | {len(pairs)} | {found} | {found / len(pairs):.2f} | |")
    wrong = [g for g in groups if len({truth.family.get(path, path) for path in g}) > 1]
    print(f"| near-duplicates: groups | | {len(groups)} | | {1 - len(wrong) / max(1, len(groups)):.2f} |")
    if wrong:
        print("   <!-- not copies:", wrong[:5], "-->")


def labels(folder: Path) -> None:
    from maquette.data.starter import make_starter

    data = run(make_starter(folder / "starter.mq", size=32, count=1600))
    values = data.conditions(np.arange(len(data)), ["label"])["label"].copy()
    rng = np.random.default_rng(0)
    wrong = np.sort(rng.choice(len(data), len(data) // 20, replace=False))
    classes = len(data.spec.condition("label").classes)
    values[wrong] = (values[wrong] + rng.integers(1, classes, len(wrong))) % classes
    with Writer(folder / "wrong.mq", data.spec, settings={}) as writer:
        items = [data.item(k) for k in range(len(data))]
        writer.append(data.images(np.arange(len(data))), {"label": values}, items)
        changed = writer.finish(np.zeros(len(data), np.uint8), np.arange(len(data), dtype=np.int32))
    finding = run(audit(changed, only=["wrong-labels"]))["wrong-labels"].finding
    said = set(finding.all_items.tolist())
    right = len(said & set(wrong.tolist()))
    print(f"{len(wrong)} labels of {len(data):,} changed: recall {right / len(wrong):.2f}, ", end="")
    print(f"precision {right / max(1, len(said)):.2f} ({finding.text or finding.skipped})")


def scale(folder: Path, counts: list[int]) -> None:
    from maquette.core.spec import DataSpec

    print("| images | measuring, each | copies and checks, each | processor time | memory at most | more, each |")
    print("| --- | --- | --- | --- | --- | --- |")
    measured: dict[int, dict[str, float]] = {}
    for count in counts:
        path = folder / f"{count}.mq"
        rng = np.random.default_rng(0)
        with Writer(path, DataSpec(height=32, width=32), settings={}) as writer:
            for start in range(0, count, 5000):
                n = min(5000, count - start)
                coarse = rng.integers(0, 256, (n, 5, 5, 3)).astype(np.float32)
                steps = np.linspace(0, 3.999, 32)
                low, share = steps.astype(int), (steps % 1).astype(np.float32)
                rows = coarse[:, low] * (1 - share)[:, None, None] + coarse[:, low + 1] * share[:, None, None]
                whole = rows[:, :, low] * (1 - share)[:, None] + rows[:, :, low + 1] * share[:, None]
                noisy = np.clip(whole + rng.normal(0, 6, whole.shape), 0, 255).astype(np.uint8)
                writer.append(noisy, {}, [{"path": f"{start + k}"} for k in range(n)])
            writer.finish(np.zeros(count, np.uint8), np.arange(count, dtype=np.int32))
        measured[count] = json.loads(subprocess.run(
            [sys.executable, __file__, "--one", str(path)], capture_output=True, text=True, check=True
        ).stdout)  # fmt: skip
        least = next(iter(measured.values()))
        found = measured[count]
        more = (found["memory"] - least["memory"]) / max(1, count - next(iter(measured)))
        each = [f"{1e6 * found[name] / count:.0f} us" for name in ("images", "rest")]
        whole = f"{found['images'] + found['rest']:.1f} s | {found['memory'] / 1e6:.0f} MB | {more:.0f} bytes"
        print(f"| {count:,} | {' | '.join(each)} | {whole} |", flush=True)


def one(path: Path) -> None:
    """Audit one dataset without the checks that need features; print seconds of processor time and memory."""
    from maquette.data.audit.check import names

    data = Dataset.open(path)
    began = time.process_time()
    images = 0.0
    for event in audit(data, only=[name for name in names() if name not in ("outliers", "wrong-labels")]):
        if getattr(event, "unit", "") == "images" and event.done == event.total:
            images = time.process_time() - began
    print(json.dumps({"images": images, "rest": time.process_time() - began - images, "memory": _memory()}))


def pairs(path: Path) -> None:
    """What is found in a real dataset, where nobody knows what is right, and a sheet of the weakest pairs to look at.

    Two different pictures that are taken for one have different labels as often as any two images, copies hardly ever:
    the pairs with different labels, divided by that share, are about how many are false (copies whose labels contradict
    each other count as false here too).
    """
    from PIL import Image

    data = Dataset.open(path)
    began, used = time.perf_counter(), time.process_time()
    survey = run(audit(data, only=["near-duplicates"])).survey
    seconds, used = time.perf_counter() - began, time.process_time() - used
    found = survey.pairs.where(survey.pairs.score > 0)
    labels_ = np.asarray(data.conditions(range(len(data)))["label"])
    shares = np.bincount(labels_) / len(labels_)
    apart = labels_[found.first] != labels_[found.second]
    false = int(apart.sum()) / (1 - float((shares**2).sum()))
    print(
        f"{len(data):,} images in {seconds:.1f} s ({used:.1f} s of processor time): {len(found):,} pairs, of which"
        f" {int(apart.sum())} have different labels: about {false:.0f} false pairs, {1000 * false / len(data):.2f} in"
        f" 1,000 images, {1000 * false / max(1, len(found)):.1f} in 1,000 pairs"
    )
    order = [*np.flatnonzero(apart).tolist(), *np.argsort(found.score).tolist()][:60]
    both = [data.images([int(found.first[k]), int(found.second[k])]) for k in order]
    rows = [
        np.concatenate([np.concatenate(two, 1) for two in both[k : k + 10]], 1) for k in range(0, len(both) - 9, 10)
    ]
    if rows:
        sheet = Image.fromarray(np.concatenate(rows).squeeze())
        sheet.resize((2 * sheet.width, 2 * sheet.height), Image.Resampling.NEAREST).save("pairs.png")
        print("pairs.png shows those with different labels first, then the weakest")


def _memory() -> int:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--labels", action="store_true")
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--pairs", type=Path, metavar="DATASET")
    parser.add_argument("--in", dest="folder", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one)
        raise SystemExit
    if given.pairs:
        pairs(given.pairs)
        raise SystemExit
    with tempfile.TemporaryDirectory() as temporary:
        place = given.folder or Path(temporary)
        if given.labels:
            labels(place)
        elif given.scale:
            scale(place, [10_000, 50_000] if given.quick else [10_000, 50_000, 200_000])
        else:
            planted(place, 300 if given.quick else 2000, 4 if given.quick else 20)
