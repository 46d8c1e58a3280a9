"""From what the user asked for to a trainer that is ready: a new run, or one that goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.condition import FLAT, ConditionSpec
from maquette.core.errors import ConditionError, RunError, UsageError, nearest
from maquette.core.settings import to_json
from maquette.core.spec import SCALES, DataSpec, Tile
from maquette.data.dataset import Dataset
from maquette.data.loader import Loader
from maquette.engine.load import build, default_config, load, rebuild, recipe
from maquette.engine.probe import best_device, choose_scale, remembered
from maquette.engine.train import Plan, Trainer
from maquette.families import REGISTRY
from maquette.families.family import Family
from maquette.store import weights
from maquette.store.run import Run

TABLE_ROWS = 512
LARGE_TABLE_ROWS = 32
"""Rows of conditions kept with a run, from which what is not asked for is drawn; fewer where a row is an image."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What training was asked for. The same wish for the same run goes on with it."""

    family: str = "gan"
    seconds: float | None = None
    images: int | None = None
    scale: str = "auto"
    tile: Tile = ""
    given: tuple[str, ...] | None = None
    """Names of conditions; None means all that the family can honour."""
    on: Path | None = None
    origin: Path | None = None
    """A run whose weights to begin with (`--from`)."""
    seed: int = 0
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    device: str = "auto"


@dataclass
class Session:
    """A run with its trainer, and what the person should be told before it starts."""

    run: Run
    trainer: Trainer
    name: str
    told: list[str]
    warned: list[str]
    rate: float


def start(dataset: Dataset, to: Path, wish: Wish, *, probes: Path) -> Session:
    """Open the run if it is there and the same was asked for, else create it."""
    if Run.exists(to):
        return _go_on(Run.open(to), dataset, wish)
    return _begin(dataset, to, wish, probes)


def given_conditions(dataset: Dataset, wish: Wish) -> tuple[tuple[ConditionSpec, ...], list[str]]:
    """The conditions to train with, and a line about those that are left out."""
    accepts = REGISTRY.get(wish.family).accepts
    available = {condition.name: condition for condition in dataset.spec.conditions}
    told = []
    if wish.given is None:
        chosen = [condition for condition in available.values() if condition.kind in accepts]
    else:
        for name in wish.given:
            if name not in available:
                raise ConditionError(f"the dataset has no condition {name!r}", do=nearest(name, available))
            if available[name].kind not in accepts:
                raise ConditionError(
                    f"the family {wish.family} cannot be given {name!r} ({available[name].kind})",
                    do=f"it can be given: {', '.join(sorted(accepts)) or 'nothing'}",
                )
        chosen = [condition for name, condition in available.items() if name in wish.given]
    for name, condition in available.items():
        if condition not in chosen:
            reason = "as asked" if condition.kind in accepts else f"the family {wish.family} cannot be given it"
            told.append(f"the dataset's {condition.kind} {name!r} is not used ({reason}): it cannot be asked for later")
    for condition in chosen:
        if missing := dataset.missing(condition.name):
            told.append(f"{missing:,} of {len(dataset):,} images have no {condition.name}: they are learned without it")
    return tuple(chosen), told


def _begin(dataset: Dataset, to: Path, wish: Wish, probes: Path) -> Session:
    if wish.seconds is None and wish.images is None:
        raise UsageError("training needs an end", do="give --time, such as 10m, or --images, such as 200k")
    if wish.seconds is not None and wish.images is not None:
        raise UsageError("training can have one end only", do="give --time or --images, not both")
    conditions, told = given_conditions(dataset, wish)
    spec = dataclasses.replace(dataset.spec, tile=wish.tile, conditions=conditions)
    loader = Loader(dataset, "train", [condition.name for condition in conditions], wish.seed)
    device = best_device() if wish.device == "auto" else wish.device
    plan = Plan(images=wish.images or 1, seed=wish.seed, device=device, threads=torch.get_num_threads())
    parts, part_names = _parts(wish, spec)

    def make(config: Any) -> Family:
        return build(wish.family, config, spec, parts, wish.seed)

    if wish.scale != "auto" and wish.scale not in SCALES:
        raise UsageError(f"there is no scale {wish.scale!r}", do=nearest(wish.scale, [*SCALES, "auto"]))
    scale = next((s for s in SCALES if s == wish.scale), None) or choose_scale(
        wish.family, spec, wish.changes, make, loader, plan, wish.seconds
    )
    config = default_config(wish.family, scale, spec, wish.changes)
    plan = dataclasses.replace(plan, batch=config.batch)
    choice, known = remembered(probes, lambda: make(config), wish.family, loader, plan, wish.seconds)
    images = wish.images or max(1, round(choice.rate * (wish.seconds or 0)))
    plan = dataclasses.replace(
        plan, images=-(-images // plan.batch) * plan.batch, seconds=wish.seconds, precision=choice.precision,
        layout=choice.layout, threads=choice.threads, compiled=choice.compiled,
    )  # fmt: skip
    told.append(f"scale {scale}; {choice.sentence(device)}" + (" (measured before)" if known else ""))
    family = make(config)
    if wish.origin is not None:
        told.append(_begin_with(family, wish.origin))
    facts = {
        "maquette": "run", "wish": _wish_facts(wish, dataset), "family": wish.family, "scale": scale,
        "dataset": {"name": dataset.name, "path": str(dataset.path.absolute()), "digest": dataset.digest},
        "recipe": recipe(wish.family, family, {n: (part_names[n], p) for n, p in parts.items()}),
        "plan": to_json(plan), "choice": to_json(choice),
    }  # fmt: skip
    _check_rows(loader, plan)
    run = Run.create(to, facts)
    _keep_table(run, loader, spec)
    return Session(run, Trainer(family, loader, plan), wish.family, told, [], choice.rate)


def _check_rows(loader: Loader, plan: Plan) -> None:
    if len(loader) < 2:
        raise UsageError(
            f"there is only {len(loader)} image to learn from",
            where=loader.dataset.path,
            do="add images to the dataset",
        )


def _parts(wish: Wish, spec: DataSpec) -> tuple[dict[str, Family], dict[str, str]]:
    """The parts that the family stands on: from the run given by --on, or new ones to be trained along."""
    needs = REGISTRY.get(wish.family).needs
    if wish.on is not None and not needs:
        raise UsageError(f"the family {wish.family} does not stand on another run", do="leave out --on")
    parts: dict[str, Family] = {}
    names: dict[str, str] = {}
    for name, need in needs.items():
        if wish.on is not None:
            run = Run.open(wish.on)
            parts[name], names[name] = load(run), str(run.facts["family"])
        else:
            config = REGISTRY.get(need.default).variant("micro", spec)
            parts[name], names[name] = build(need.default, config, spec, {}, wish.seed), need.default
    return parts, names


def _begin_with(family: Family, origin: Path) -> str:
    """Take over every weight of another run that has the same name and shape."""
    have = load(Run.open(origin)).state_dict()
    own = family.state_dict()
    same = {name: value for name, value in have.items() if name in own and own[name].shape == value.shape}
    if not same:
        raise RunError("none of its weights fit this model", where=origin, do="use the same family and scale")
    family.load_state_dict(same, strict=False)
    return f"began with {len(same)} of {len(own)} weights of {origin}"


def _wish_facts(wish: Wish, dataset: Dataset) -> dict[str, Any]:
    return {
        "dataset": dataset.digest, "family": wish.family, "seconds": wish.seconds, "images": wish.images,
        "scale": wish.scale, "tile": wish.tile, "given": None if wish.given is None else sorted(wish.given),
        "on": str(wish.on.absolute()) if wish.on else None,
        "from": str(wish.origin.absolute()) if wish.origin else None,
        "seed": wish.seed, "set": {str(k): str(v) for k, v in sorted(wish.changes.items())},
    }  # fmt: skip


def _go_on(run: Run, dataset: Dataset, wish: Wish) -> Session:
    asked, begun = _wish_facts(wish, dataset), run.facts.get("wish", {})
    different = [key for key in asked if asked[key] != begun.get(key)]
    if different == ["dataset"] or "dataset" in different:
        raise RunError(
            f"this run learned from another dataset ({run.facts.get('dataset', {}).get('name', 'unknown')})",
            where=run.path, do="give that dataset, or another name with --to",
        )  # fmt: skip
    if different:
        key = different[0]
        raise RunError(
            f"this run was begun with {key} = {begun.get(key)}, not {asked[key]}",
            where=run.path, do="give the same arguments to go on, or another name with --to",
        )  # fmt: skip
    plan = Plan(**run.facts["plan"])
    family = rebuild(run.facts["recipe"])
    names = [condition.name for condition in family.spec.conditions]
    loader = Loader(dataset, "train", names, plan.seed)
    return Session(run, Trainer(family, loader, plan), wish.family, [], [], float(run.facts["choice"]["rate"]))


def _keep_table(run: Run, loader: Loader, spec: DataSpec) -> None:
    large = any(condition.kind not in FLAT for condition in spec.conditions)
    rows = min(LARGE_TABLE_ROWS if large else TABLE_ROWS, len(loader))
    indices = loader.indices(0, rows)
    table = loader.dataset.conditions(indices, [condition.name for condition in spec.conditions])
    weights.write(run.path / "conditions.safetensors", table, {"rows": rows})


def condition_table(run: Run, spec: DataSpec) -> dict[str, NDArray[Any]]:
    """The rows of conditions kept with the run."""
    if not spec.conditions:
        return {}
    table, _ = weights.read(run.path / "conditions.safetensors", None, finite=False)
    for condition in spec.conditions:
        values = table.get(condition.name)
        if values is None or values.shape[1:] != condition.shape(spec.height, spec.width) or not len(values):
            raise RunError(f"its table of conditions lacks {condition.name!r}", where=run.path, do="train it again")
        if condition.kind in ("label", "map") and int(np.max(values)) >= len(condition.classes):
            raise RunError(
                f"its table of conditions is damaged ({condition.name})", where=run.path, do="train it again"
            )
    return {condition.name: table[condition.name] for condition in spec.conditions}
