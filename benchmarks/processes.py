"""What several processes gain when they train one model, and whether training survives the loss of one.

    python benchmarks/processes.py                       both (about fifteen minutes; leave the machine alone)
    python benchmarks/processes.py --only speed          images a second of two processes of one thread beside one
    python benchmarks/processes.py --only steps          the steps alone, in a minute, for a machine that is not free
    python benchmarks/processes.py --only kills          signal 9 to a process at random moments
    python benchmarks/processes.py --quick               little of each

speed   `maquette train --processes 2` and `--processes 1`, one thread each, take turns; the median images a second
        between two lines of the run's log. Promised: at least 1.6 times, with the settings that families have.
steps   a trainer of one process and one of two, in this process and one helper, take turns; the median milliseconds of
        a step. `chrt -r 10` before the command keeps other programs from being counted. Promised as above.
kills   at random moments one of the two processes gets signal 9, now the first and now the other. Within ten seconds
        nothing of the training may be left, and where the first one lives it ends with 1 and a sentence; the same
        command goes on. At the end weights, averages, optimizers and log are those of a run that nobody disturbed.
Ends with 1 if a promise is broken.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from maquette.data.drawn.drawn import make_drawn
from maquette.store.run import Run
from maquette.store.weights import read

GAIN = 1.6
QUICKLY = 10.0
"""Seconds in which nothing may be left of a training that lost a process."""
SPEEDS = {"flow": 6_400, "gan": 9_600, "recurrent": 6_400, "autoencoder": 4_800}
"""Families, and images of one training."""


def command(dataset: Path, run: Path, family: str, images: int, processes: int, *more: str) -> list[str]:
    words = [str(dataset), "--to", str(run), "--family", family, "--images", str(images), "--no-judge"]
    words += ["--processes", str(processes), "--device", "cpu", "--quiet", *more]
    return [sys.executable, "-m", "maquette", "train", *words]


def environment(folder: Path) -> dict[str, str]:
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    return {**os.environ, **threads, "MAQUETTE_HOME": str(folder / "home")}


def rate(run: Path) -> float:
    """The median images a second between two lines of the log; the first fifth warms up."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    lines = lines[len(lines) // 5 :]
    pairs = itertools.pairwise(lines)
    return statistics.median((b["images"] - a["images"]) / (b["seconds"] - a["seconds"]) for a, b in pairs)


def speed(folder: Path, families: list[str], repeats: int, scale: str, batch: int | None) -> bool:
    """Whether two processes are as much faster as promised, family by family."""
    *_, made = make_drawn("shapes", folder / "speed.mq", width=32, height=32, count=2_000)
    good, more = True, ["--scale", scale] + (["--set", f"batch={batch}"] if batch else [])
    for family in families:
        rates: dict[int, list[float]] = {1: [], 2: []}
        for number in range(repeats):
            for processes in (1, 2):
                run = folder / f"{family}-{processes}-{number}"
                words = command(made.value.path, run, family, SPEEDS[family], processes, *more)
                subprocess.run(words, env=environment(folder), check=True, stdout=subprocess.DEVNULL)
                rates[processes].append(rate(run))
                plan = Run.open(run).facts["plan"]
        gain = statistics.median(two / one for one, two in zip(rates[1], rates[2], strict=True))
        good = good and gain >= GAIN
        print(
            f"{family:12} {scale}, batch {plan['batch']}, {plan['precision']}: "
            f"{statistics.median(rates[1]):7,.0f} images/s with one process, {statistics.median(rates[2]):7,.0f} with "
            f"two: {gain:.2f} times (of {repeats}: {min(map(gain_of, rates[1], rates[2])):.2f} to "
            f"{max(map(gain_of, rates[1], rates[2])):.2f})",
            flush=True,
        )
    return good


def steps(folder: Path, families: list[str], repeats: int, scale: str, batch: int | None, count: int = 24) -> bool:
    """Whether a step of two processes takes as much less as promised, family by family."""
    import torch

    from maquette.data.dataset import Dataset
    from maquette.data.loader import Loader
    from maquette.engine.load import build, recipe
    from maquette.engine.plan import Plan
    from maquette.engine.team.follow import lead, team
    from maquette.engine.trainer import Trainer
    from maquette.families import REGISTRY

    torch.set_num_threads(1)
    list(make_drawn("shapes", folder / "steps.mq", width=32, height=32, count=2_000))
    data = Dataset.open(folder / "steps.mq")
    spec, good = dataclasses.replace(data.spec, conditions=()), True

    def took(trainer: Trainer) -> float:
        times = []
        for _ in range(count + 4):
            began = time.perf_counter()
            trainer.step(0.5)
            times.append(time.perf_counter() - began)
        return 1000 * statistics.median(times[4:])

    for family in families:
        kind = REGISTRY.get(family)
        config = kind.variant(scale, spec)
        config = config if batch is None else dataclasses.replace(config, batch=batch)
        plan = Plan(batch=config.batch, precision="bfloat16", layout="channels_last", threads=1)
        alone = Trainer(build(family, config, spec, {}, 0), Loader(data, "train", [], 0), plan)
        with team(2, data, "cpu", asked=2, command="") as member:
            assert member is not None
            together = Trainer(build(family, config, spec, {}, 0), Loader(data, "train", [], 0), plan)
            facts = {"recipe": {**recipe(family, together.family), "parts": {}}, "wish": {}, "family": family}
            lead(member.team, together, facts)
            pairs = [(took(alone), took(together)) for _ in range(repeats)]
        gains = [one / two for one, two in pairs]
        good = good and statistics.median(gains) >= GAIN
        one, two = (statistics.median(times) for times in zip(*pairs, strict=True))
        print(
            f"{family:12} {scale}, batch {config.batch}: {one:6.1f} ms a step with one process, {two:6.1f} with two: "
            f"{statistics.median(gains):.2f} times (of {repeats}: {min(gains):.2f} to {max(gains):.2f})", flush=True,
        )  # fmt: skip
    return good


def gain_of(one: float, two: float) -> float:
    return two / one


def kills(folder: Path, count: int, seed: int) -> bool:
    """Whether training survives so many kills, run after run, and ends as it would have ended."""
    *_, made = make_drawn("shapes", folder / "kills.mq", width=16, height=16, count=512)
    dice, wrong, runs = random.Random(seed), [], 0
    straight = folder / "straight"
    began = time.monotonic()
    subprocess.run(kill_command(made.value.path, straight), env=environment(folder), check=True)
    long, left, inside, slowest = time.monotonic() - began, count, 0, 0.0
    while left:
        run, runs, finished = folder / f"killed-{runs}", runs + 1, False
        while not finished:
            process = subprocess.Popen(
                kill_command(made.value.path, run), env=environment(folder), stderr=subprocess.PIPE, text=True
            )
            begun, victim = (run / "run.json").exists(), 0
            helpers: list[int] = []
            try:
                process.wait(dice.uniform(0.0, 0.6 * long) if left else None)
            except subprocess.TimeoutExpired:
                helpers = children(process.pid)
                victim = dice.choice([process.pid, *helpers])
                os.kill(victim, signal.SIGKILL)
            hurt = time.monotonic()
            _, said = process.communicate(timeout=60)
            finished = process.returncode == 0  # the kill may come when all is written
            if not victim or finished:
                if process.returncode:
                    wrong.append(f"it ended with {process.returncode}: {said[-200:]}")
                    return False
                continue
            left, inside = left - 1, inside + begun
            while any(alive(pid) for pid in helpers) and time.monotonic() - hurt < 30:
                time.sleep(0.02)
            took = time.monotonic() - hurt
            slowest = max(slowest, took)
            clean = process.returncode == 1 and said.count("maquette: ") == 1 and "Traceback" not in said
            if took > QUICKLY or (victim != process.pid and not clean):
                wrong.append(f"after {took:.1f} s, code {process.returncode}: {said[-300:]}")
        wrong += differences(straight, run)
    print(
        f"kills        {count} kills ({inside} of a training that went on, {runs} runs), one of two processes each: "
        f"{len(wrong)} wrong, all over within {slowest:.1f} s, seed {seed}"
    )
    for text in wrong[:5]:
        print(f"    {text}")
    return not wrong


_STEADY = (
    "import sys; from maquette.engine import start; from maquette.engine.probe import Choice;"
    "start.remembered = lambda *_: (Choice(rate=2000.0, plain=2000.0), True);"
    "from maquette.faces.cli import main; sys.exit(main(sys.argv[1:]))"
)
"""The command without its measurement of what is fastest here: a run that was killed before it existed would measure
once more, may choose another precision, and then is another run."""


def kill_command(dataset: Path, run: Path) -> list[str]:
    more = ("--save-every", "0.5s", "--set", "width=8", "--set", "depth=1", "--scale", "nano")
    whole = command(dataset, run, "flow", 24_000, 2, *more)
    return [whole[0], "-c", _STEADY, *whole[3:]]


def children(pid: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two finished runs, but for times."""
    found = []
    states = [Run.open(path).restore() for path in (one, other)]
    if states[0] is None or states[1] is None:
        return ["a run has no checkpoint"]
    for name, value in states[0].tensors.items():
        if value.tobytes() != states[1].tensors[name].tobytes():
            found.append(f"{name} differs")
    logs = [[{k: v for k, v in r.items() if k != "seconds"} for r in Run.open(p).records()] for p in (one, other)]
    if logs[0] != logs[1]:
        found.append("the logs differ")
    models = [read(path / "model.safetensors", None)[0] for path in (one, other)]
    found += [f"the model's {n} differs" for n in models[0] if models[0][n].tobytes() != models[1][n].tobytes()]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("speed", "steps", "kills"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--families", nargs="*", default=["flow", "gan"], choices=list(SPEEDS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", default="small")
    parser.add_argument("--batch", type=int, help="images of a step, in place of the family's own (steps, speed)")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20261128)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    good = True
    with tempfile.TemporaryDirectory() as name:
        if given.only == "steps":
            return 0 if steps(Path(name), given.families, given.repeats, given.scale, given.batch) else 1
        if given.only != "kills":
            good = (
                speed(Path(name), given.families, 1 if given.quick else given.repeats, given.scale, given.batch)
                and good
            )
        if given.only != "speed":
            good = kills(Path(name), 2 if given.quick else given.count, given.seed) and good
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
