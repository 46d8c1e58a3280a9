"""From what the user asked for to a trainer that is ready: a new run, or one that goes on."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from maquette.core.condition import ConditionSpec
from maquette.core.errors import ConditionError, RunError, UsageError, nearest
from maquette.core.settings import to_json
from maquette.core.spec import SCALES, DataSpec, Tile
from maquette.data.dataset import Dataset
from maquette.data.loader import Loader
from maquette.engine.load import build, default_config, load, rebuild_within, recipe
from maquette.engine.plan import Plan, best_device, check_device, read_plan
from maquette.engine.probe import choose_scale, is_busy, remembered
from maquette.engine.team.distributed import Team
from maquette.engine.team.follow import lead
from maquette.engine.train import save_model
from maquette.engine.trainer import Trainer
from maquette.families import REGISTRY
from maquette.families.family import Encodes, Family, Predicts, Scores, Tokens
from maquette.store.run import Run


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What training was asked for. The same wish for the same run goes on with it."""

    family: str
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
    balance: str | None = None
    """A label whose rare values are repeated until all are as frequent."""
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    device: str = "auto"


@dataclass
class Session:
    """A run with its trainer, and what the person should be told before it starts."""

    run: Run
    trainer: Trainer
    name: str
    told: list[str]

    def save_model(self) -> Family:
        """Write the model as it is now, and hand it over."""
        model = self.trainer.model()
        save_model(self.trainer, self.run, self.name, model)
        return model

    def keep(self, model: Family) -> None:
        """Make this the run's model."""
        save_model(self.trainer, self.run, self.name, model)

    def load_model(self) -> Family:
        """The model that was written last."""
        return load(self.run, device=self.trainer.plan.device)


def start(dataset: Dataset, to: Path, wish: Wish, *, probes: Path, team: Team | None = None) -> Session:
    """Open the run if it is there and the same was asked for, else create it; the team is to compute it together."""
    session = _go_on(Run.open(to), dataset, wish, team) if Run.exists(to) else _begin(dataset, to, wish, probes, team)
    if team is not None:
        lead(team, session.trainer, {key: session.run.facts[key] for key in ("recipe", "wish")})
    return session


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


def check(wish: Wish) -> None:
    """Say what is wrong with a wish for a new run, as far as that is seen at once."""
    REGISTRY.get(wish.family)
    if wish.seconds is None and wish.images is None:
        raise UsageError("training needs an end", do="give --time, such as 10m, or --images, such as 200k")
    if wish.seconds is not None and wish.images is not None:
        raise UsageError("training can have one end only", do="give --time or --images, not both")


def _begin(dataset: Dataset, to: Path, wish: Wish, probes: Path, team: Team | None) -> Session:
    check(wish)
    conditions, told = given_conditions(dataset, wish)
    spec = dataclasses.replace(dataset.spec, tile=wish.tile, conditions=conditions)
    loader = Loader(
        dataset, "train", [condition.name for condition in conditions], wish.seed, balance=_balance(dataset, wish)
    )
    least = REGISTRY.get(wish.family).least
    if loader.known < least:
        few = f"{loader.known} images are few"
        what = "there is only 1 image to learn from" if loader.known == 1 else few
        raise UsageError(what, where=dataset.path, do=f"the family {wish.family} needs {least} or more: add images")
    device = best_device() if wish.device == "auto" else check_device(wish.device)
    processes = 1 if team is None else team.world
    plan = Plan(images=wish.images or 1, seed=wish.seed, device=device, threads=threads_each(processes))
    parts, part_recipes = _parts(wish, spec)

    def make(config: Any) -> Family:
        # Parts are copied, because a probe trains what it is given.
        return build(wish.family, config, spec, copy.deepcopy(parts), wish.seed)

    if wish.scale != "auto" and wish.scale not in SCALES:
        raise UsageError(f"there is no scale {wish.scale!r}", do=nearest(wish.scale, [*SCALES, "auto"]))
    changes = {**_settings_on_a_run(wish), **wish.changes}
    scale = next((s for s in SCALES if s == wish.scale), None) or choose_scale(
        wish.family, spec, changes, make, loader, plan, wish.seconds, processes
    )
    config = default_config(wish.family, scale, spec, changes)
    _check_share(config.batch, processes)
    plan = dataclasses.replace(plan, batch=config.batch)
    choice, known = remembered(probes, lambda: make(config), wish.family, loader, plan, wish.seconds, processes)
    images = wish.images or max(1, round(choice.rate * (wish.seconds or 0)))
    plan = dataclasses.replace(
        plan, images=-(-images // plan.batch) * plan.batch, seconds=wish.seconds, precision=choice.precision,
        layout=choice.layout, threads=choice.threads, compiled=choice.compiled,
    )  # fmt: skip
    told.append(f"scale {scale}; {choice.sentence(device)}" + (" (measured before)" if known else ""))
    if is_busy():
        told.append("other programs are at work on this machine: training would see more images without them")
    family = _begin_with(make(config), wish, told)
    facts = {
        "maquette": "run", "wish": _wish_facts(wish, dataset), "family": wish.family, "scale": scale,
        "dataset": dataset_facts(dataset), "recipe": {**recipe(wish.family, family), "parts": part_recipes},
        "plan": to_json(plan), "choice": to_json(choice), "processes": processes,
    }  # fmt: skip
    trainer = Trainer(family, loader, plan)
    return Session(Run.create(to, facts), trainer, wish.family, told)


def _balance(dataset: Dataset, wish: Wish) -> str:
    """The label to balance by, if it is one."""
    labels = [condition.name for condition in dataset.spec.conditions if condition.kind == "label"]
    if wish.balance is not None and wish.balance not in labels:
        raise ConditionError(f"the dataset has no label {wish.balance!r}", do=nearest(wish.balance, labels))
    return wish.balance or ""


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """What a run notes of the dataset it learned from."""
    return {
        "name": dataset.name, "path": str(dataset.path.absolute()), "digest": dataset.digest,
        "set_aside": dataset.description["records"].get("set_aside.jsonl", ""),
    }  # fmt: skip


def _parts(wish: Wish, spec: DataSpec) -> tuple[dict[str, Family], dict[str, Any]]:
    """The parts that the family stands on, and their recipes: the run given by --on, or new ones."""
    needs = REGISTRY.get(wish.family).needs
    if wish.on is not None and not needs:
        raise UsageError(f"the family {wish.family} does not stand on another run", do="leave out --on")
    parts: dict[str, Family] = {}
    recipes: dict[str, Any] = {}
    for name, need in needs.items():
        if wish.on is not None:
            run = Run.open(wish.on)
            parts[name] = load(run)
            recipes[name] = run.facts["model_recipe"]
            if not same_form(parts[name].spec, spec):
                raise UsageError(
                    f"its model takes images of {_form(parts[name].spec)}, and these are {_form(spec)}",
                    where=wish.on, do="give a run that was trained on images of this form, or leave out --on",
                )  # fmt: skip
            if not isinstance(parts[name], _POWERS[need.provides]):
                other = recipes[name]["family"]
                raise UsageError(
                    f"the family {wish.family} stands on one that {need.provides}, and {other} does not",
                    where=wish.on, do=f"give a run of the family {need.default}, or leave out --on",
                )  # fmt: skip
        else:
            config = REGISTRY.get(need.default).variant("micro", spec)
            parts[name] = build(need.default, config, spec, {}, wish.seed)
            recipes[name] = recipe(need.default, parts[name])
    return parts, recipes


def _settings_on_a_run(wish: Wish) -> dict[str, Any]:
    """What the family sets otherwise because its parts are finished."""
    needs = REGISTRY.get(wish.family).needs.values() if wish.on is not None else ()
    return {name: value for need in needs for name, value in need.given.items()}


_POWERS: Mapping[str, type] = {"encodes": Encodes, "scores": Scores, "predicts": Predicts, "tokenises": Tokens}


def same_form(one: DataSpec, other: DataSpec) -> bool:
    """Whether images of the one are images of the other: size, mode, and where they tile."""
    return (one.shape, one.mode, one.tile) == (other.shape, other.mode, other.tile)


def _form(spec: DataSpec) -> str:
    return f"{spec.width}x{spec.height} {spec.mode}" + (f" that tile along {spec.tile}" if spec.tile else "")


def _begin_with(family: Family, wish: Wish, told: list[str]) -> Family:
    """Take over every weight of the run given by --from that has the same name and shape."""
    if wish.origin is None:
        return family
    have = load(Run.open(wish.origin)).state_dict()
    own = family.state_dict()
    same = {name: value for name, value in have.items() if name in own and own[name].shape == value.shape}
    if not same:
        raise RunError("none of its weights fit this model", where=wish.origin, do="use the same family and scale")
    family.load_state_dict(same, strict=False)
    told.append(f"began with {len(same)} of {len(own)} weights of {wish.origin}")
    return family


def _wish_facts(wish: Wish, dataset: Dataset) -> dict[str, Any]:
    return {
        "dataset": dataset.digest, "family": wish.family, "seconds": wish.seconds, "images": wish.images,
        "scale": wish.scale, "tile": wish.tile, "given": None if wish.given is None else sorted(wish.given),
        "on": str(wish.on.absolute()) if wish.on else None,
        "from": str(wish.origin.absolute()) if wish.origin else None,
        "balance": wish.balance, "seed": wish.seed, "set": {str(k): str(v) for k, v in sorted(wish.changes.items())},
    }  # fmt: skip


def _check_share(batch: int, processes: int) -> None:
    if batch < processes:
        raise UsageError(
            f"a batch of {batch} images gives nothing to do to some of {processes} processes",
            do=f"ask for at most {batch} processes, or for larger batches with --set batch={processes}",
        )


def threads_each(processes: int) -> int:
    """How many threads each of so many processes of this machine has."""
    return max(1, torch.get_num_threads() // processes)


def _go_on(run: Run, dataset: Dataset, wish: Wish, team: Team | None) -> Session:
    asked, begun = _wish_facts(wish, dataset), run.facts.get("wish")
    if not isinstance(begun, Mapping):
        raise RunError("run.json does not say what the run was asked for", where=run.path, do="train in a new folder")
    if begun.get("dataset") != dataset.digest:
        known = run.facts.get("dataset")
        name = known.get("name", "unknown") if isinstance(known, Mapping) else "unknown"
        raise RunError(
            f"this run learned from another dataset ({name})",
            where=run.path, do="give that dataset, or another name with --to",
        )  # fmt: skip
    plan = read_plan(run.facts, run.path)
    asked |= {"device": wish.device}
    known_device = plan.device if wish.device != "auto" else "auto"
    for key, value in asked.items():
        before = known_device if key == "device" else begun.get(key)
        if value != before:
            raise RunError(
                f"this run was begun with {_spoken(key, before)}, not {_spoken(key, value)}",
                where=run.path, do="give the same arguments to go on, or another name with --to",
            )  # fmt: skip
    check_device(plan.device)
    told: list[str] = []
    plan = _among(run, plan, 1 if team is None else team.world, told)
    family = rebuild_within(run.facts.get("recipe"), run.path)
    if not run.checkpoints():  # killed before the first: begin as it began
        family = build(wish.family, family.config, family.spec, _parts(wish, family.spec)[0], wish.seed)
        family = _begin_with(family, wish, told)
    names = [condition.name for condition in family.spec.conditions]
    loader = Loader(dataset, "train", names, plan.seed, balance=wish.balance or "")
    return Session(run, Trainer(family, loader, plan), wish.family, told)


def _among(run: Run, plan: Plan, processes: int, told: list[str]) -> Plan:
    """The plan for so many processes, which may be others than the run had before."""
    _check_share(plan.batch, processes)
    before = processes_of(run)
    if processes != before:
        told.append(
            f"going on with {processes} process{'es' if processes > 1 else ''} after {before}: the batches are the "
            "same, and sums are rounded otherwise"
        )
        plan = dataclasses.replace(plan, threads=threads_each(processes), compiled=False)
        with run.lock():
            run.update(processes=processes, plan=to_json(plan))
    return plan


def processes_of(run: Run) -> int:
    """How many processes computed the run last."""
    known = run.facts.get("processes", 1)
    return known if type(known) is int and known > 0 else 1


def _spoken(key: str, value: Any) -> str:
    """An argument as it is typed."""
    name = "time" if key == "seconds" else key
    if value is None or value == "" or value == {} or value == []:
        return f"no --{name}" if name != "given" or value is None else "--given none"
    if isinstance(value, Mapping):
        return " ".join(f"--{name} {k}={v}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return f"--{name} {','.join(map(str, value))}"
    return f"--{name} {value:g}s" if key == "seconds" and isinstance(value, (int, float)) else f"--{name} {value}"
