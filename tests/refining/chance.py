"""Random recipes on random images: whatever the ops, their dials and the image, a result or a sentence.

    python tests/refining/chance.py 2000        that many recipes, and says which broke a promise

`test_chance.py` tries the first of them. Recipe k and its image follow from the number k alone.
"""

from __future__ import annotations

import argparse
import sys
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maquette.core.choices import TILES
from maquette.core.errors import MaquetteError
from maquette.refining import registry
from maquette.refining.op import Context
from maquette.refining.recipe import Recipe, from_json, steps
from maquette.refining.run import refine
from maquette.refining.schema import DialSchema
from maquette.refining.text import parse

OPS = registry.every()
SELECT = [name for name, op in OPS.items() if op.schema.kind == "select"]
SMALL = {"width": 60, "height": 60, "margin": 20, "scale": 3}
"""Dials that make images larger are kept to what is quick."""
WHITE = {"uint8": 255, "uint16": 65535, "float32": 1}
COLOURS = ("#000000", "#ffffff", "#c8102e", "#0a7d4b", "#1f4e9c", "#f2b705")
CUBE = Path(__file__).with_name("invert.cube")
Dice = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Case:
    """One recipe, as JSON, and what it is tried on."""

    number: int
    recipe: dict[str, Any]
    image: np.ndarray
    context: Context


def case(number: int) -> Case:
    """The case of that number."""
    dice = np.random.default_rng([20261128, number])
    image = picture(dice)
    height, width = image.shape[:2]
    masks = {"part": (dice.random((height, width, 1)) < 0.5).astype(np.float32), "ramp": ramp(height, width)}
    plain: dict[str, Any] = {"steps": [item(dice, 0) for _ in range(int(dice.integers(1, 5)))]}
    if dice.random() < 0.2:
        plain["precise"] = True
    if dice.random() < 0.2:
        plain["seed"] = int(dice.integers(0, 2**40))
    tile = str(dice.choice(TILES)) if dice.random() < 0.3 else ""
    others = {f"{kind}.png": picture(dice) for kind in ("first", "second")}
    context = Context(
        seed=int(dice.integers(0, 2**63)), tile=tile, masks=masks, read=lambda path: others[Path(path).name]
    )
    return Case(number=number, recipe=plain, image=image, context=context)


def ramp(height: int, width: int) -> np.ndarray:
    """From nothing on the left to all on the right."""
    return np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32)[None, :, None], (height, width, 1)).copy()


def picture(dice: Dice) -> np.ndarray:
    """A small image of any mode, depth and kind: noise, one value, few values, or smooth; alpha of any kind."""
    height, width = (1 if dice.random() < 0.08 else int(dice.integers(1, 48)) for _ in range(2))
    channels = int(dice.choice([1, 3, 4]))
    kind = int(dice.integers(0, 4))
    if kind == 0:
        image = dice.random((height, width, channels))
    elif kind == 1:
        image = np.full((height, width, channels), dice.choice([0.0, 1.0, 0.5, dice.random()]))
    elif kind == 2:
        image = dice.random((4, channels))[dice.integers(0, 4, (height, width))]
    else:
        rows, columns = np.mgrid[0:height, 0:width] / 16
        turns = dice.uniform(0, 6, (3, channels))
        image = 0.5 + 0.5 * np.sin(turns[0] + turns[1] * rows[..., None] + turns[2] * columns[..., None])
    if channels == 4:
        alpha = int(dice.integers(0, 4))  # 0 leaves what there is
        image[..., 3] = {1: 1.0, 2: 0.0, 3: np.rint(image[..., 3])}.get(alpha, image[..., 3])
    dtype = str(dice.choice(["uint8", "uint16", "float32"]))
    scaled = image * WHITE[dtype]
    return (scaled if dtype == "float32" else np.rint(scaled)).astype(dtype)


def item(dice: Dice, depth: int) -> Any:
    """An item of a recipe in JSON: a step mostly, else a group, or one of them on a mask."""
    chance = dice.random()
    if depth < 2 and chance < 0.12:
        return {"steps": [item(dice, depth + 1) for _ in range(int(dice.integers(1, 4)))], **strength(dice)}
    if depth < 2 and chance < 0.3:
        return {"on": mask(dice, 0), "do": item(dice, depth + 1)}
    if depth == 0 and chance < 0.34:
        return {"recipe": str(dice.choice(["portrait", "film-still", "print", "scan", "poster", "web"]))}
    whole = depth == 0 or dice.random() < 0.02  # what changes the size cannot be done in part
    name = str(dice.choice([name for name, op in OPS.items() if whole or op.schema.shape == "same"]))
    part = {} if OPS[name].schema.shape == "changes" and dice.random() > 0.02 else strength(dice)
    return {"op": name, **dials(dice, OPS[name].schema.dials), **part}


def strength(dice: Dice) -> dict[str, float]:
    return {"strength": round(float(dice.random()), 3)} if dice.random() < 0.2 else {}


def mask(dice: Dice, depth: int) -> str:
    """A mask in words."""
    chance = dice.random()
    if depth < 2 and chance < 0.2:
        return f"not {mask(dice, depth + 1)}"
    if depth < 2 and chance < 0.4:
        return f"({mask(dice, depth + 1)} {dice.choice(['and', 'or'])} {mask(dice, depth + 1)})"
    edge = f" grow={dice.integers(-9, 10)}" if dice.random() < 0.3 else ""
    edge += f" feather={dice.uniform(0, 9):.2f}" if dice.random() < 0.3 else ""
    if chance < 0.7:
        return str(dice.choice(["part", "ramp"])) + edge
    name = str(dice.choice(SELECT))
    otherwise = " otherwise=everything" if name == "foreground" else ""
    return name + otherwise + edge


def dials(dice: Dice, schemas: tuple[DialSchema, ...]) -> dict[str, Any]:
    """Values for some of the dials: in the middle, at the bounds, rarely beyond."""
    given: dict[str, Any] = {}
    for dial in schemas:
        if dial.name == "otherwise":
            given["otherwise"] = str(dice.choice(["nothing", "everything"]))
        elif dial.kind != "model" and (dial.needed or dice.random() < 0.4):
            given[dial.name] = value(dice, dial)
    return given


def value(dice: Dice, dial: DialSchema) -> Any:
    if dial.kind in ("number", "integer"):
        return number(dice, dial)
    if dial.kind == "numbers":
        return [number(dice, dial) for _ in range(dial.count or int(dice.integers(1, 5)) * 2)]
    if dial.kind == "colours":
        return [str(dice.choice(COLOURS)) for _ in range(dial.count or int(dice.integers(1, 6)))]
    plain: Mapping[str, Any] = {
        "switch": bool(dice.random() < 0.5), "colour": str(dice.choice(COLOURS)), "file": str(CUBE), "text": "3:2",
        "image": str(dice.choice(["first.png", "second.png"])),
        "choice": str(dice.choice(dial.choices)) if dial.choices else "",
    }  # fmt: skip
    return plain[dial.kind]


def number(dice: Dice, dial: DialSchema) -> float:
    low = dial.bounds.get("ge", dial.bounds.get("gt", -2.0) + 1e-3)
    high = min(dial.bounds.get("le", dial.bounds.get("lt", 2.0) - 1e-3), SMALL.get(dial.name, 1e9))
    chance = dice.random()
    if chance < 0.01:
        found = float(low - 1 if dice.random() < 0.5 else high * 2 + 1)  # to be refused
    elif chance < 0.15:
        found = float(low)
    elif chance < 0.3:
        found = float(high)
    else:
        found = low + (high - low) * float(dice.random()) ** 3  # mostly near the lower bound, where images are small
    return int(found) if dial.kind == "integer" else round(found, 4)


def keeps_alpha(recipe: Recipe) -> bool:
    """Whether no step is one that may change alpha."""
    ops = [OPS[step.op] for step in steps(recipe.items)]
    return all(op.alpha in ("keep", "weigh") and op.schema.shape == "same" for op in ops)


def broken(one: Case) -> str:
    """Which promise the case breaks; nothing where it breaks none."""
    given = one.image.copy()
    try:
        recipe = from_json(one.recipe, masks=tuple(one.context.masks))
        if parse(str(recipe), masks=tuple(one.context.masks)) != recipe:
            return f"its text is read as another recipe: {recipe}"
        first = refine(one.image, one.recipe, one.context)
    except MaquetteError as error:
        return "" if len(str(error)) > 10 else f"the sentence says nothing: {error}"
    except Exception:
        return traceback.format_exc()
    if not np.array_equal(given, one.image):
        return "the image that was given is changed"
    if first.dtype != given.dtype or first.ndim != 3 or first.shape[2] not in (1, 3, 4) or 0 in first.shape:
        return f"{first.shape} of {first.dtype} from {given.shape} of {given.dtype}"
    if first.dtype == np.float32 and not (np.isfinite(first).all() and first.min() >= 0 and first.max() <= 1):
        return f"values from {first.min()} to {first.max()}"
    if not np.array_equal(first, refine(one.image, one.recipe, one.context)):
        return "another result the second time"
    if given.shape[2] == first.shape[2] == 4 and keeps_alpha(recipe):
        off = np.abs(first[..., 3].astype(np.float64) - given[..., 3]).max() / WHITE[str(given.dtype)]
        if off > 1e-6:
            return f"alpha is off by {off:.3g} of its range"
    return ""


def outcome(one: Case) -> str:
    """Whether the case can be done."""
    try:
        refine(one.image, one.recipe, one.context)
    except MaquetteError:
        return "refused"
    return "done"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("--start", type=int, default=0)
    given = parser.parse_args()
    warnings.simplefilter("error")
    failed = 0
    for number_ in range(given.start, given.start + given.count):
        one = case(number_)
        said = broken(one)
        if said:
            failed += 1
            print(f"--- {number_}: {one.image.shape} {one.image.dtype} tile={one.context.tile!r} {one.recipe}\n{said}")
    print(f"{given.count} recipes, {failed} of them broke a promise")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
