"""Prove what signatures promise: other readers, changes of one byte, statuses, foreign pixels, hostile files, costs.

    python benchmarks/trust.py                     the full counts (some minutes)
    python benchmarks/trust.py --quick             a hundredth of each
    python benchmarks/trust.py --readers FOLDER    also by two readers from npm (see benchmarks/readers.mjs)
    python benchmarks/trust.py --only seeds        one part: readers, bytes, statuses, foreign, hostile, keys, cost,
                                                   seeds

Ends with 1 if anything failed.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "trust"))

import attacks  # noqa: E402
import numpy as np  # noqa: E402
from vouching import FORMATS, SOFTWARE, picture, vouched  # noqa: E402

from maquette.core.image import encode  # noqa: E402
from maquette.trust.keys import Keys  # noqa: E402
from maquette.trust.press import Press  # noqa: E402

SEED = 20260101
MEDIA = dict(zip(FORMATS, ("image/png", "image/jpeg", "image/webp", "image/avif", "image/tiff"), strict=True))


def home_of(place: Path) -> Path:
    Keys(place / "home").signer()
    return place / "home"


def readers_of_npm(place: Path, count: int, folder: Path) -> Iterator[attacks.Trial]:
    """The WebAssembly reader for browsers, and one in TypeScript that shares no code with what signs."""
    home = home_of(place)
    anchor = Keys(home).anchors()[0].pem
    lines = []
    for format in FORMATS:
        maker = Press(home, format=format)
        for seed in range(count):
            file = place / f"{seed}.{format}"
            file.write_bytes(attacks.signed(maker, seed))
            lines.append(json.dumps({"file": str(file), "media": MEDIA[format], "anchor": anchor}))
    done = subprocess.run(
        ["node", str(HERE / "readers.mjs"), str(folder)],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    for one in told:
        yield attacks.Trial(f"first, {one['file']}", "" if one["first"] == "Trusted" else one["first"])
    for one in told:
        if one["second"] != "unsupported":
            yield attacks.Trial(f"second, {one['file']}", "" if one["second"] == "valid" else one["second"])
    counts = Counter((Path(one["file"]).suffix, one["second"] != "unsupported") for one in told)
    print(f"    read by the second: {', '.join(sorted(kind for kind, read in counts if read))}")
    yield attacks.Trial("one answer for each file", "" if len(told) == len(lines) else f"{len(told)} of {len(lines)}")


def keys_nowhere(place: Path, count: int) -> Iterator[attacks.Trial]:
    """Everything that a session writes and says holds no piece of a private key."""
    home = home_of(place)
    env = {**os.environ, "MAQUETTE_HOME": str(home), "MAQUETTE_DEBUG": "1"}
    said = place / "said.txt"

    def run(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "maquette", *words], env=env, cwd=place, capture_output=True, text=True
        )
        with open(said, "a") as stream:
            stream.write(f"$ {words} -> {done.returncode}\n{done.stdout}{done.stderr}")

    run("ingest", "drawn:shapes", "--to", "s.mq", "--size", "16", "--count", "60")
    run("train", "s.mq", "--family", "flow", "--scale", "nano", "--to", "./run", "--images", "64")
    for number in range(count):
        run("sample", "./run", "--to", f"out-{number}", "--count", "4", "--format", FORMATS[number % 5], "--json")
    for words in (("verify", "out-0", "--json"), ("keys", "--json"), ("keys", "export"), ("keys", "rotate", "--json"),
                  ("card", "./run", "--json"), ("sample", "./run", "--to", "out-x"), ("keys", "revoke")):  # fmt: skip
        run(*words)
    signing = home / "keys" / "signing.pem"
    whole = signing.read_bytes()
    for damaged in (whole[:-200], whole.replace(b"A", b"B"), b"", whole[::-1]):  # errors must not quote it either
        signing.write_bytes(damaged)
        run("sample", "./run", "--to", "broken")
    signing.write_bytes(whole)
    yield attacks.Trial("outputs, logs, checkpoints, errors", ", ".join(attacks.key_bytes_found(home, [place])[:3]))
    files = [path for path in place.rglob("*") if path.is_file()]
    yield attacks.Trial(f"{len(files)} files looked through", "" if len(files) > 20 else "too few files")


def cost(quick: bool) -> bool:
    """What signing adds to an image, and how long `verify` takes."""
    fine = True
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        home = home_of(place)
        for format, size in itertools.product(FORMATS, (64, 256)):
            maker = Press(home, format=format)
            images = [picture(seed, size // 6 * 6, size) for seed in range(20 if quick else 100)]
            plain, whole, bytes_more = [], [], []
            for seed, image in enumerate(images):
                began = time.perf_counter()
                content = encode(image, format)
                plain.append(time.perf_counter() - began)
                made = vouched(image, seed)
                began = time.perf_counter()
                path = place / format / str(size) / f"{seed}.{format}"
                maker.generated(path, made, {"software": SOFTWARE, "conditions": {"label": "cat"}})
                whole.append(time.perf_counter() - began)
                bytes_more.append(path.stat().st_size - len(content))
            more = 1000 * (np.median(whole) - np.median(plain))
            fine = fine and more < 10 and max(bytes_more) < 6000
            print(
                f"    {format:5}{size:5} px: {more:5.2f} ms and {max(bytes_more):,} bytes more (with writing the file)"
            )
        for size, watermark, count in ((72, "off", 1000), (72, "auto", 1000), (264, "auto", 1000), (520, "auto", 300)):
            folder = place / f"many-{size}-{watermark}"
            maker = Press(home, watermark=watermark)
            for seed in range(count // 10 if quick else count):
                made = vouched(picture(seed, size // 6 * 6, size), seed)
                maker.generated(folder / f"{seed}.png", made, {"software": SOFTWARE})
            number = len(list(folder.iterdir()))
            began, before = time.perf_counter(), _processor_seconds()
            env = {**os.environ, "MAQUETTE_HOME": str(home)}
            done = subprocess.run(
                [sys.executable, "-X", "importtime", "-m", "maquette", "verify", str(folder), "--json"],
                env=env, capture_output=True, text=True,
            )  # fmt: skip
            spent, used = time.perf_counter() - began, _processor_seconds() - before
            counts = json.loads(done.stdout.splitlines()[-1])["counts"]
            loaded = "loads torch" if "| torch" in done.stderr else "no torch"
            fine = fine and counts == {"intact": number} and loaded == "no torch" and spent * 1000 / number < 20
            print(
                f"    verify {number:,} images of {size} px, watermark {watermark}: {spent:.1f} s"
                f" ({used:.1f} s of processor time), {counts}, {loaded}"
            )
    return fine


def _processor_seconds() -> float:
    """What all processes that this one started and that have ended took, and those that they started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seeds(quick: bool) -> bool:
    """How far the same seed is apart across numbers of threads and precisions, for every family that samples."""
    script = HERE / "trust_seeds.py"
    done = subprocess.run(
        [sys.executable, str(script), *(["--quick"] if quick else [])], text=True, capture_output=True
    )
    print(done.stdout.rstrip() or done.stderr[-2000:])
    return done.returncode == 0


def bars(quick: bool, readers: Path | None) -> dict[str, tuple[str, object]]:
    """What is tried, by part."""
    share = 100 if quick else 1
    found: dict[str, tuple[str, object]] = {
        "readers": (
            "signed images of 5 formats, by an own reader",
            lambda place: attacks.read_elsewhere(home_of(place), 1000 // share),
        ),
        "bytes": (
            "changes of one byte of what is hashed",
            lambda place: attacks.one_byte(home_of(place), 10_000 // share, SEED),
        ),
        "statuses": ("exact statuses", lambda place: attacks.statuses(place, 300 // share)),
        "foreign": (
            "foreign pixels signed as generated",
            lambda place: attacks.foreign(place, 1000 // min(share, 20), SEED),
        ),
        "hostile": ("hostile signed blocks", lambda place: _hostile(place, 2000 // min(share, 50))),
        "keys": ("pieces of keys anywhere", lambda place: keys_nowhere(place, 2 if quick else 10)),
    }
    if readers is not None:
        found["npm"] = (
            "the same, by two readers from npm",
            lambda place: readers_of_npm(place, 1000 // share, readers),
        )
    return found


def _hostile(place: Path, count: int) -> Iterator[attacks.Trial]:
    home_of(place)
    yield from attacks.hostile(place, count, SEED)


def main() -> int:
    """Try everything and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a hundredth of each count")
    parser.add_argument("--readers", type=Path, help="where the readers from npm are installed")
    parser.add_argument("--only", help="one part alone")
    given = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout
    print(
        f"{datetime.date.today()}  commit {commit.strip() or 'unknown'}  Python {platform.python_version()}"
        f"  {platform.platform()}  {os.cpu_count()} processors"
    )
    failed = False
    for part, (name, bar) in bars(given.quick, given.readers).items():
        if given.only not in (None, part):
            continue
        began, count, wrong = time.monotonic(), 0, []
        with tempfile.TemporaryDirectory() as place:
            for trial in bar(Path(place)):  # type: ignore[operator]
                count += 1
                if trial.wrong:
                    wrong.append(trial)
        seconds = time.monotonic() - began
        print(f"{name:48}{count:>8,} tried   seed {SEED}   {seconds:7.1f} s   {len(wrong)} failed", flush=True)
        for trial in wrong[:5]:
            print(f"    {trial.what}: {trial.wrong}")
        failed = failed or bool(wrong)
    for part, work in (("cost", cost), ("seeds", seeds)):
        if given.only in (None, part):
            print(f"{part}:", flush=True)
            failed = not work(given.quick) or failed
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest child: {peak:,.0f} MB")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
