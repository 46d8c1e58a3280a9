"""How a run computes: all that decides its numbers beside the family and the data, and what it needs for that."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from maquette.core.errors import MaquetteError, RunError, UsageError
from maquette.core.settings import from_json, setting


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that decides the numbers of a run beside the family and the data. Kept in run.json."""

    images: int = setting(1, "images to see, as planned at the start", ge=1)
    seconds: float | None = setting(None, "the time given; then the clock corrects `images` at a few points", gt=0)
    seed: int = setting(0, "the seed of the run", ge=0, lt=2**63)
    batch: int = setting(64, "images a step", ge=1, le=65536)
    passes: int = setting(1, "into how many passes a batch is split, to save memory", ge=1, le=65536)
    device: str = setting("cpu", "where to compute", choices=("cpu", "cuda", "mps"))
    precision: str = setting("float32", "of the forward passes", choices=("float32", "bfloat16"))
    layout: str = setting("contiguous", "of images in memory", choices=("contiguous", "channels_last"))
    threads: int = setting(1, "threads of the processor", ge=1, le=4096)
    compiled: bool = setting(False, "whether the parts of the model are compiled")


def read_plan(run_facts: Mapping[str, Any], where: Path) -> Plan:
    """The plan kept in run.json, checked."""
    try:
        plan = run_facts["plan"]
        if missing := {field.name for field in dataclasses.fields(Plan)} - set(plan):
            raise KeyError(sorted(missing)[0])
        return from_json(Plan, plan, what="the plan of the run")
    except (MaquetteError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"run.json does not say how the run computes ({error})", where=where, do="train anew in another folder"
        ) from None


def best_device() -> str:
    """A GPU when there is one that torch can use, else the processor."""
    return next(device for device in ("cuda", "mps", "cpu") if _there(device))


def _there(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_available()
    return device == "cpu" or (device == "mps" and torch.backends.mps.is_available())


def check_device(device: str) -> str:
    """The device, if torch can use it here."""
    if not _there(device):
        raise UsageError(f"torch finds no {device} device here", do="leave out --device, or install torch for it")
    return device


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with this many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
