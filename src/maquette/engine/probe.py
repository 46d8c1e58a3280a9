"""Probe, then promise: a few seconds of real steps on this machine choose how to compute, and how long it will take."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maquette.core.errors import MaquetteError
from maquette.core.files import write_json
from maquette.core.settings import from_json, setting, to_json
from maquette.core.spec import SCALES, DataSpec, Scale, edges
from maquette.data.loader import Loader
from maquette.engine.load import default_config
from maquette.engine.plan import Plan, threads
from maquette.engine.trainer import Trainer
from maquette.families import REGISTRY
from maquette.families.family import Family, FamilyConfig
from maquette.store.digest import json_digest

AGREES = 0.9
"""The least cosine between the gradients of a fast way of computing and those of plain float32, phase by phase."""
LENGTHS = (0.8, 1.25)
"""How much shorter or longer than those of float32 the gradients may be."""
COMPILE_FROM = 1200.0
"""Seconds of training from which compiling is tried at all: it takes up to a minute itself."""

SHORT, HAD = 1.0, 0.8
"""Seconds of measuring from which it shows whether the machine was busy, and the share of a processor's time that this
process then had at least, if it was not."""


Gradients = Mapping[str, Tensor]
"""By name of the phase, those of all parameters it trains, one after the other."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A way of computing, and what it reaches."""

    precision: str = setting("float32", "of the forward passes", choices=("float32", "bfloat16"))
    layout: str = setting("contiguous", "of images in memory", choices=("contiguous", "channels_last"))
    threads: int = setting(1, "threads of the processor", ge=1, le=4096)
    compiled: bool = setting(False, "whether the parts of the model are compiled")
    rate: float = setting(0.0, "images a second", ge=0)
    plain: float = setting(0.0, "images a second in plain float32", ge=0)

    def sentence(self, device: str) -> str:
        """What was chosen, for people."""
        where = f"{self.threads} thread{'s' if self.threads > 1 else ''}" if device == "cpu" else device
        layout = "channels last" if self.layout == "channels_last" else "channels first"
        gain = f", {self.rate / self.plain:.1f} times plain float32" if self.plain else ""
        compiled = ", compiled" if self.compiled else ""
        return f"computing in {self.precision}, {layout}{compiled}, on {where}: {self.rate:,.0f} images/s{gain}"


def probe(make: Callable[[], Family], loader: Loader, plan: Plan, seconds: float | None = None) -> Choice:
    """Measure the ways of computing that make sense here and take the fastest that agrees with float32."""
    plain, reference = _measure(make, loader, plan)
    best = Choice(precision="float32", layout="contiguous", threads=plan.threads, rate=plain, plain=plain)
    for change in _candidates(plan.device):
        found = _try(make, loader, dataclasses.replace(plan, **change), reference, slowest=best.rate / 3)
        if found > best.rate * 1.02:
            best = dataclasses.replace(best, **change, rate=found)
    if plan.device == "cpu" and plan.threads >= 2:  # threads that wait for each other lose on a busy machine
        found = _try(make, loader, _planned(plan, best, threads=plan.threads // 2), reference, slowest=best.rate / 3)
        if found > best.rate * 1.02:
            best = dataclasses.replace(best, threads=plan.threads // 2, rate=found)
    if seconds is not None and seconds >= COMPILE_FROM and _can_compile(plan.device):
        began = time.perf_counter()
        found = _try(make, loader, _planned(plan, best, compiled=True), reference, slowest=0.0)
        cost = time.perf_counter() - began
        if found * (seconds - cost) > 1.05 * best.rate * seconds:
            best = dataclasses.replace(best, compiled=True, rate=found)
    return best


def _planned(plan: Plan, choice: Choice, **changes: Any) -> Plan:
    chosen = {name: getattr(choice, name) for name in ("precision", "layout", "threads", "compiled")}
    return dataclasses.replace(plan, **{**chosen, **changes})


def _candidates(device: str) -> list[dict[str, Any]]:
    ways = [("float32", "channels_last")]
    if device != "mps":
        ways += [("bfloat16", "contiguous"), ("bfloat16", "channels_last")]
    return [{"precision": precision, "layout": layout} for precision, layout in ways]


def _can_compile(device: str) -> bool:
    return device == "cuda" or (device == "cpu" and any(map(shutil.which, ("c++", "g++", "clang++"))))


def _try(make: Callable[[], Family], loader: Loader, plan: Plan, reference: Gradients, *, slowest: float) -> float:
    """Images a second of this way of computing; 0 when it fails, is far too slow or disagrees with float32."""
    try:
        rate, gradients = _measure(make, loader, plan, slowest=slowest)
    except (RuntimeError, NotImplementedError):  # not every kernel exists in every precision and layout
        return 0.0
    return rate if agree(gradients, reference) else 0.0


def agree(gradients: Gradients, reference: Gradients) -> bool:
    """Whether these gradients point where those of plain float32 point, and are about as long, in every phase."""
    for phase, right in reference.items():
        found = gradients[phase]
        lengths, product = (float(found.norm()), float(right.norm())), float(found @ right)
        if lengths == (0.0, 0.0):
            continue
        # Written so that numbers which are not finite never agree.
        if not product >= AGREES * lengths[0] * lengths[1]:
            return False
        if not LENGTHS[0] * lengths[1] <= lengths[0] <= LENGTHS[1] * lengths[1]:
            return False
    return True


def _measure(
    make: Callable[[], Family], loader: Loader, plan: Plan, *, slowest: float = 0.0, enough: float = 0.6
) -> tuple[float, Gradients]:
    """Images a second over the whole run, and the gradients of the first step of every phase."""
    with threads(plan.threads):
        trainer = Trainer(make(), loader, plan)
        gradients = _gradients(trainer)
        return _rate(trainer, slowest, enough), gradients


def _rate(trainer: Trainer, slowest: float, enough: float) -> float:
    plan, cost = trainer.plan, 0.0
    for progress, share in _stretches(trainer.family):
        trainer.step(progress)
        began = time.perf_counter()
        trainer.step(progress)
        _wait(plan.device)
        if plan.batch / (time.perf_counter() - began) < slowest:
            return 0.0
        least = max(phase.every for phase in trainer.family.phases)
        count, began = 0, time.perf_counter()
        while count < 3 or count % least or (time.perf_counter() - began < enough and count < 40):
            trainer.step(progress)
            count += 1
        _wait(plan.device)
        cost += share * (time.perf_counter() - began) / count
    return plan.batch / cost


def _stretches(family: Family) -> Iterator[tuple[float, float]]:
    """Stretches of the run in which the same phases are due: a progress inside each, and its share of the run."""
    for start, end in itertools.pairwise(edges(family.phases)):
        if any(phase.span[0] <= start and end <= phase.span[1] for phase in family.phases):
            yield (start + end) / 2, end - start


def _gradients(trainer: Trainer) -> Gradients:
    """The gradients of the first batch, in a row for each phase."""
    gradients: dict[str, Tensor] = {}
    (batch,) = trainer.batches(0, trainer.plan.batch)
    for index, phase in enumerate(trainer.family.phases):
        trainer.generator.manual_seed(index)
        trainer.backward(phase, batch, 1.0, {})
        found = [torch.zeros(1)]
        for parameter in trainer.optimizers[phase.name].parameters:
            if parameter.grad is not None:
                found.append(parameter.grad.detach().double().flatten().cpu())
                parameter.grad = None
        gradients[phase.name] = torch.cat(found)
    return gradients


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def remembered(
    file: Path,
    make: Callable[[], Family],
    name: str,
    loader: Loader,
    plan: Plan,
    seconds: float | None,
    processes: int = 1,
) -> tuple[Choice, bool]:
    """As `probe`, but asks only once per machine, model and batch: (choice, whether it was known).

    Of several processes one measures its share of a batch, and they are taken to be as fast as that together.
    """
    family = make()
    if processes > 1:
        plan, seconds = dataclasses.replace(plan, batch=-(-plan.batch // processes)), None
    key = json_digest(
        {
            "machine": [platform.platform(), _processor(), plan.device, plan.threads, torch.__version__],
            "family": name,
            "config": to_json(family.config),
            "spec": family.spec.to_json(),
            "long": seconds is not None and seconds >= COMPILE_FROM,
            "processes": processes,
        }
    )
    known = _read(file)
    if isinstance(known.get(key), dict):
        with contextlib.suppress(MaquetteError):  # written by another version, or damaged
            return from_json(Choice, known[key], what="a remembered choice"), True
    busy, began, used = is_busy(), time.perf_counter(), time.process_time()
    choice = probe(make, loader, plan, seconds)
    took, used = time.perf_counter() - began, time.process_time() - used
    # The load is an average of the last minute; that this process had to wait says what is so now.
    busy = busy or (plan.device == "cpu" and took > SHORT and used < HAD * took)
    choice = dataclasses.replace(choice, rate=processes * choice.rate, plain=processes * choice.plain)
    if not busy:  # what is fastest beside other work may be slow without it
        write_json(file, {**_read(file), key: to_json(choice)})
    return choice, False


def is_busy() -> bool:
    """Whether other programs keep this machine's processors at work, so that measuring it says little."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.9 * (os.cpu_count() or 1)


def _read(file: Path) -> dict[str, Any]:
    try:
        known = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _quick_rate(make: Callable[[], Family], loader: Loader, plan: Plan) -> float:
    """Images a second, roughly: the best of float32, bfloat16, and bfloat16 on half the threads."""
    plans = [plan]
    if plan.device != "mps":
        plans.append(dataclasses.replace(plan, precision="bfloat16"))
    if plan.device == "cpu" and plan.threads >= 2:
        plans.append(dataclasses.replace(plan, precision="bfloat16", threads=plan.threads // 2))
    return max(_measure(make, loader, way, enough=0.3)[0] for way in plans)


def choose_scale(
    name: str,
    spec: DataSpec,
    changes: Mapping[str, Any],
    make: Callable[[FamilyConfig], Family],
    loader: Loader,
    plan: Plan,
    seconds: float | None,
    processes: int = 1,
) -> Scale:
    """The largest scale that will see as many images as it needs to be worth its cost."""
    kind = REGISTRY.get(name)
    chosen: Scale = SCALES[0]
    rate = None
    for scale in SCALES[1:]:
        appetite = kind.appetite(scale, spec)
        if seconds is None:
            images: float = plan.images
        else:
            if rate is not None and rate * seconds < appetite:  # a larger one is slower than the last one measured
                break
            config = default_config(name, scale, spec, changes)
            share = dataclasses.replace(plan, batch=-(-config.batch // processes))
            rate = processes * _quick_rate(partial(make, config), loader, share)
            images = rate * seconds
        if images < appetite:
            break
        chosen = scale
    return chosen
