"""Datasets that the project draws itself, for trials and tests: no download, no rights, and every fact known.

    shapes    captioned shapes of one colour, count and place       label, text
    stickers  small creatures with a face, cut out                  label
    digits    two digits in motion; the next image of a film        frames
    bounces   a shape that chance throws back from the borders      frames
    facades   houses from the front                                 map
    numbers   a sun over the sea                                    two numbers
    fields    a source of warmth, and weather over it               three numbers
    compositions  abstract paintings of a few cells                 nothing
    rooms     rooms from the front, empty and furnished             label
    growth    rust that spreads over metal                          frames
    stations  a field of values                                     eight numbers
    scans     slices through a chest, a few with fluid in a lung         label

Item k depends on the seed and on k alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from maquette.core import image as images
from maquette.core.condition import ConditionSpec
from maquette.core.errors import UsageError, nearest
from maquette.core.event import Event, Note, Progress, Result
from maquette.core.image import MODES, Mode
from maquette.core.noise import uniform
from maquette.core.spec import DataSpec
from maquette.data.dataset import Writer, already
from maquette.data.drawn import chances, drawings, growth, rooms
from maquette.data.drawn.drawings import Dice, Drawing
from maquette.data.drawn.scans import LABELS, scans
from maquette.data.ingest import pieces

COUNT = 4000
_PIECE = 128
MOVING: Mapping[str, Callable[[Dice, int, int, int], Drawing]] = MappingProxyType(
    {"digits": drawings.digits, "bounces": chances.bounces, "growth": growth.growth}
)
"""What is drawn as a film: the frames that are known, and the image that comes next."""
_STILL: Mapping[str, Callable[[Dice, int, int], Drawing]] = MappingProxyType({
    "facades": drawings.facades, "numbers": drawings.numbers, "fields": chances.fields,
    "stickers": pieces.stickers, "compositions": pieces.compositions, "scans": scans,
    "stations": growth.stations, "rooms": rooms.rooms,
})  # fmt: skip
_CONDITIONS: Mapping[str, Callable[[Mode, int], tuple[ConditionSpec, ...]]] = MappingProxyType({
    "shapes": lambda mode, past: (
        ConditionSpec(name="label", kind="label", classes=drawings.SHAPES),
        ConditionSpec(name="text", kind="text", length=48),
    ),
    **{
        kind: lambda mode, past: (ConditionSpec(name="frames", kind="frames", length=past, mode=mode),)
        for kind in MOVING
    },
    "stickers": lambda mode, past: (ConditionSpec(name="label", kind="label", classes=pieces.STICKERS),),
    "compositions": lambda mode, past: (),
    "facades": lambda mode, past: (ConditionSpec(name="map", kind="map", classes=drawings.FACADE),),
    "numbers": lambda mode, past: _numbers("sun_height", "sun_side"),
    "fields": lambda mode, past: _numbers("east", "north", "unrest"),
    "stations": lambda mode, past: _numbers(*growth.STATIONS),
    "rooms": lambda mode, past: (ConditionSpec(name="label", kind="label", classes=rooms.LABELS),),
    "scans": lambda mode, past: (ConditionSpec(name="label", kind="label", classes=LABELS),),
})  # fmt: skip
KINDS = tuple(_CONDITIONS)
_MODES: Mapping[str, Mode] = MappingProxyType(
    {"digits": "grey", "fields": "grey", "stations": "grey", "growth": "grey", "stickers": "rgba", "scans": "grey16"}
)
"""The mode of what is not drawn in colours, when none is asked for."""
LONGEST = 64
"""Frames that may come before an image."""


def _numbers(*names: str) -> tuple[ConditionSpec, ...]:
    return tuple(ConditionSpec(name=name, kind="number") for name in names)


def spec_of(kind: str, *, width: int, height: int, mode: Mode | None = None, past: int = drawings.FRAMES) -> DataSpec:
    """The form of a drawn dataset."""
    if kind not in KINDS:
        raise UsageError(f"nothing is drawn under the name {kind!r}", do=nearest(kind, KINDS))
    if mode is not None and mode not in MODES:
        raise UsageError(f"there is no image mode {mode!r}", do=f"there are: {', '.join(MODES)}")
    if not 1 <= past <= LONGEST:
        raise UsageError(f"{past} frames before each image cannot be drawn", do=f"give 1 to {LONGEST}")
    chosen = mode or _MODES.get(kind, "rgb")
    return DataSpec(height=height, width=width, mode=chosen, conditions=_CONDITIONS[kind](chosen, past))


def draw(kind: str, spec: DataSpec, seed: int, index: int) -> Drawing:
    """Item `index` of the drawn dataset of this kind, form and seed."""
    dice = Dice(seed, f"drawn {kind} {index}")
    if kind == "shapes":
        drawn = drawings.shapes(dice, spec.width, spec.height, transparent=spec.mode == "rgba")
    elif kind in MOVING:
        drawn = MOVING[kind](dice, spec.width, spec.height, spec.condition("frames").length)
    else:
        drawn = _STILL[kind](dice, spec.width, spec.height)
    conditions = dict(drawn.conditions)
    if "frames" in conditions:
        conditions["frames"] = np.stack([images.convert(frame, spec.mode) for frame in conditions["frames"]])
    return Drawing(image=images.convert(drawn.image, spec.mode), conditions=conditions, facts=drawn.facts)


def make_drawn(
    kind: str,
    to: str | Path,
    *,
    width: int = 32,
    height: int = 32,
    mode: Mode | None = None,
    count: int = COUNT,
    seed: int = 0,
    held_out: float = 0.1,
    past: int = drawings.FRAMES,
) -> Iterator[Event]:
    """Draw a dataset of `count` images; those in motion with so many frames before each."""
    spec = spec_of(kind, width=width, height=height, mode=mode, past=past)
    if count < 1 or not 0 <= held_out < 1:
        raise UsageError("a drawn dataset needs at least one image, and less than all of it held out")
    began = time.monotonic()
    settings = {
        "source": f"drawn:{kind}", "width": width, "height": height, "mode": spec.mode, "count": count, "seed": seed,
        "held_out": held_out, **({"past": past} if past != drawings.FRAMES else {}),
    }  # fmt: skip
    made = already(to, settings)
    if made is not None:
        yield Note(text=f"{made.path} is up to date")
        yield Result(verb="ingest", facts=made.facts(), value=made)
        return
    with Writer(to, spec, settings=settings, licences={kind: "CC0, drawn by Maquette"}) as writer:
        for start in range(0, count, _PIECE):
            _append(writer, kind, spec, seed, range(start, min(count, start + _PIECE)))
            seconds = time.monotonic() - began
            eta = seconds * (count - writer.count) / writer.count
            yield Progress(verb="ingest", done=writer.count, total=count, unit="images", seconds=seconds, eta=eta)
        held = max(round(count * held_out), int(held_out > 0 and count >= 10))
        order = np.argsort(uniform(seed, "drawn held out", count), kind="stable")
        parts = np.zeros(count, np.uint8)
        parts[order[:held]] = 1
        data = writer.finish(parts, np.arange(count, dtype=np.int32))
    yield Result(verb="ingest", facts=data.facts(), value=data)


def _append(writer: Writer, kind: str, spec: DataSpec, seed: int, indices: range) -> None:
    drawn = [draw(kind, spec, seed, index) for index in indices]
    conditions = {
        c.name: np.stack([c.encode(item.conditions[c.name], spec.height, spec.width) for item in drawn])
        for c in spec.conditions
    }
    flat = {c.name for c in spec.conditions if c.kind in ("label", "text", "number")}
    items = [
        {
            "path": f"drawn:{kind}/{seed}/{index}",
            "conditions": {name: value for name, value in item.conditions.items() if name in flat},
            "facts": item.facts,
        }
        for index, item in zip(indices, drawn, strict=True)
    ]
    writer.append(np.stack([item.image for item in drawn]), conditions, items)
