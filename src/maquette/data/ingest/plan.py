"""What an ingest is to do: settings, the form of the images, and what is there already."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from maquette.core.choices import FRAMES, POSITIONS, Frames, Position
from maquette.core.condition import ConditionSpec
from maquette.core.errors import DataError, UsageError
from maquette.core.image import MODES, Mode
from maquette.core.spec import DataSpec
from maquette.data.columns import Columns
from maquette.data.dataset import Dataset, existing
from maquette.data.decoding.limits import Limits
from maquette.data.decoding.shape import FITS, MOST_CROPS, SMALLS, Fit, Form, Half, Small
from maquette.data.ingest.beside import IMAGES
from maquette.data.ingest.item import Item
from maquette.data.ingest.previous import Previous
from maquette.data.ingest.survey import LABELLING
from maquette.data.source import Entry, Source

_FIELDS = (
    "width", "height", "mode", "fit", "small", "position", "crops", "half", "input", "frames", "rate", "past", "labels",
    "held_out", "seed", "opt_outs",
)  # fmt: skip
_RATE = 1.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How files become a dataset."""

    width: int = 64
    height: int = 64
    mode: str = "auto"
    """`auto`: as the files are."""
    fit: str = "crop"
    small: str = "set-aside"
    position: str = "centre"
    """Which part a crop keeps: `centre`, or `salient` for what stands out."""
    crops: int = 1
    """How many different parts of each picture are taken."""
    half: str = ""
    """Pictures side by side: which half is the `input`, left or right; the other is the image."""
    input: str = ""
    """A folder whose files of equal names are the inputs."""
    frames: str = "auto"
    """Which images of films and animations: first, all, scenes, sequences; auto suits the kind of file."""
    rate: float | None = None
    """Frames a second that are taken of a film; 0 takes all. Left out: 1, and all for sequences."""
    past: int = 4
    """In sequences: how many frames come before each image."""
    labels: str = "auto"
    """Whether folders are labels."""
    opt_outs: str = "honour"
    """What happens to images whose makers forbid training on them: honour sets them aside."""
    held_out: float = 0.1
    seed: int = 0
    workers: int | None = None

    def __post_init__(self) -> None:
        DataSpec(height=self.height, width=self.width)
        words: dict[str, tuple[str, ...]] = {
            "mode": ("auto", *MODES), "fit": FITS, "small": SMALLS, "position": POSITIONS,
            "half": ("", "left", "right"), "frames": FRAMES, "labels": LABELLING,
            "opt_outs": ("honour", "ignore"),
        }  # fmt: skip
        for name, choices in words.items():
            value = getattr(self, name)
            if value not in choices:
                raise UsageError(f"{name} = {value!r} is not possible", do=f"there are: {', '.join(choices)}")
        for name, value, low, high in (
            ("crops", self.crops, 1, MOST_CROPS), ("rate", self.rate or 0, 0, 1000), ("past", self.past, 1, 64),
        ):  # fmt: skip
            if not low <= value <= high:
                raise UsageError(f"{name} = {value:g} is not possible", do=f"give {low} to {high}")
        if not 0 <= self.held_out <= 0.9:
            raise UsageError(f"a held-out share of {self.held_out:g} is not possible", do="give 0 to 0.9")
        if self.workers is not None and not 1 <= self.workers <= 256:
            raise UsageError(f"{self.workers} workers are not possible", do="give 1 to 256")
        if self.half and self.input:
            raise UsageError("inputs cannot be both beside the images and in a folder", do="choose one of the two")


def parse_size(text: str | int) -> tuple[int, int]:
    """Width and height of a size such as `64` or `96x64`; both are multiples of 8."""
    match = re.fullmatch(r"(\d{1,6})(?:[xX×](\d{1,6}))?", str(text).strip())
    if match is None:
        raise UsageError(f"{text!r} is not a size", do="write for example 64, or 96x64 for width x height")
    width, height = int(match[1]), int(match[2] or match[1])
    try:
        DataSpec(height=height, width=width)
    except DataError as error:
        raise UsageError(error.what, do=error.do) from None
    return width, height


class Plan:
    """What is to be done, and with what that is there already."""

    def __init__(self, sources: Sequence[Source], to: Path, settings: Settings) -> None:
        self.to, self.settings = to, settings
        self.limits = Limits()
        self.dataset: Dataset | None = None
        """The dataset that is there and will be replaced by the one that is made."""
        self.up_to_date: Dataset | None = None
        self.kept: Dataset | None = None
        """The same, where all of it stays."""
        self._sources = [source.where for source in sources]
        self._fingerprints = [source.fingerprint() for source in sources]
        self._input = _input_of(settings)

    @classmethod
    def make(cls, sources: Sequence[Source], to: Path, settings: Settings, add: bool) -> Plan:
        """Compare what is asked for with what is there."""
        plan = cls(sources, to, settings)
        there = existing(to)
        if there is None:
            return plan
        old = there.description["settings"]
        if "fingerprints" not in old:
            raise DataError(
                "a dataset that was not ingested is here already", where=to, do="choose another name or remove it first"
            )
        if add:
            plan._add_to(there, old)
        else:
            plan._compare(there, old)
        return plan

    def _compare(self, there: Dataset, old: Mapping[str, Any]) -> None:
        new = self.record(bool(old.get("private")))
        if {**_DEFAULTS, **old} == {**_DEFAULTS, **new}:
            self.up_to_date = there
        elif _form(old) == _form(new) and old["sources"] == new["sources"] and "added" not in old:
            _refuse_changed(there)
            self.dataset = there
        else:
            same = "other settings" if old["sources"] == new["sources"] else "other sources or settings"
            do = "choose another name or remove it first; --add adds sources to it"
            raise DataError(f"a dataset of {same} is here already", where=self.to, do=do)

    def _add_to(self, there: Dataset, old: Mapping[str, Any]) -> None:
        known = set(old["fingerprints"])
        if known.issuperset(self._fingerprints):
            self.up_to_date = there
            return
        _refuse_changed(there)
        mine, theirs = _form(self.record(False)), _form(old)
        usual = _form(Plan.__new__(Plan)._plain(Settings()))
        for name, value in mine.items():
            if value != theirs[name] and value != usual[name]:
                raise UsageError(
                    f"{name} = {value} cannot be added to a dataset whose {name} is {theirs[name]}",
                    do="leave it out, or choose another name for a new dataset",
                )
        self.settings = replace(self.settings, **{name: theirs[name] for name in _FIELDS})
        self.dataset = self.kept = there
        self._fingerprints = [*old["fingerprints"], *self._fingerprints]
        self._sources = [*old["sources"], *self._sources]

    def record(self, private: bool) -> dict[str, Any]:
        """What the dataset remembers of how it was made; of files about patients, not where they lay."""
        sources = ["DICOM files"] * len(self._sources) if private else self._sources
        record = {"sources": sources, "fingerprints": self._fingerprints, **self._plain(self.settings)}
        return record | ({"private": True} if private else {}) | ({"added": True} if self.kept is not None else {})

    def changed(self, sources: Sequence[Source]) -> str:
        """Which source is not what it was when the work began; empty if all are."""
        for source, before in zip(sources, self._fingerprints[-len(sources) :], strict=True):
            if not os.path.exists(source.where) or source.fingerprint() != before:
                return source.where
        return ""

    def _plain(self, settings: Settings) -> dict[str, Any]:
        return {name: getattr(settings, name) for name in _FIELDS}

    def form(self, mode: Any, condition: ConditionSpec | None = None) -> Form:
        """What the files of the images, or of one of their conditions, are to become."""
        settings = self.settings
        half = settings.half
        if condition is not None:
            mode = "map" if condition.kind == "map" else condition.mode
        elif half:
            half = "left" if half == "right" else "right"
        rate = settings.rate if settings.rate is not None else 0.0 if settings.frames == "sequences" else _RATE
        return Form(
            width=settings.width, height=settings.height, mode=mode, fit=cast(Fit, settings.fit),
            small=cast(Small, settings.small), position=cast(Position, settings.position), crops=settings.crops,
            half=cast(Half, half), frames=cast(Frames, settings.frames), rate=rate, past=settings.past,
            heed=settings.opt_outs == "honour",
        )  # fmt: skip

    def expect(self, columns: Columns) -> None:
        """Tell the columns which pictures come besides those that sources have."""
        name = self._input[0] if self._input else "input" if self.settings.half else ""
        if name:
            columns.expect({}, [name])
        if self.kept is not None:
            columns.expect({}, [c.name for c in self.kept.spec.conditions if c.kind in ("image", "map")])

    def spec(self, mode: Mode, columns: Columns) -> DataSpec:
        """The form of the dataset."""
        settings, conditions = self.settings, columns.specs(mode)
        if settings.frames == "sequences":
            if columns.pictures():
                raise UsageError("sequences cannot have further pictures", do="leave out --frames sequences")
            conditions += (ConditionSpec(name="frames", kind="frames", length=settings.past, mode=mode),)
        elif columns.pictures() and (settings.crops > 1 or settings.position != "centre"):
            raise UsageError(
                "images with further pictures are cut in the middle, so that they cover each other",
                do="leave out --crops and --position",
            )
        return DataSpec(height=settings.height, width=settings.width, mode=mode, conditions=conditions)

    def further(self, source: Source, entry: Entry) -> dict[str, bytes | str | Path | None]:
        """The input that belongs to an entry: the other half of its picture, or the file of its name elsewhere."""
        if self.settings.half:
            return {"input": entry.content}
        if self._input is None:
            return {}
        name, folder = self._input
        stem = os.path.splitext(entry.path)[0]
        for candidate in (entry.path, *(stem + e for ending in IMAGES for e in (ending, ending.upper()))):
            path = folder / candidate
            if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
                return {name: path}
        return {name: None}

    def kept_values(self) -> Iterator[Mapping[str, Any]]:
        """What is known about the images that stay."""
        assert self.kept is not None
        for index in range(len(self.kept)):
            yield self.kept.item(index).get("conditions", {})

    def kept_items(self, names: list[str]) -> Iterator[Item]:
        """The images that stay."""
        assert self.kept is not None
        previous, count = Previous.of_dataset(self.kept), len(self.kept)
        groups = self.kept.groups
        sizes = np.bincount(groups)
        for start in range(0, count, 256):
            rows = np.arange(start, min(count, start + 256))
            pixels, pictures = previous.images(rows), previous.pictures(rows, names)
            for place, row in enumerate(rows.tolist()):
                record = previous.item(row)
                origin = previous.origin(row)
                clip = (1 << 63) + int(groups[row]) if sizes[groups[row]] > 1 else 0
                yield Item(
                    record["path"], values=dict(record.get("conditions", {})), digest=record.get("digest", ""),
                    marks=record.get("marks", {}),
                    images={"": pixels[place], **{name: pictures[name][place] for name in names}},
                    origin=origin,
                    kept=previous.part(row), clip=clip, key=origin[0],
                )  # fmt: skip


_DEFAULTS = {field.name: field.default for field in fields(Settings) if field.name in _FIELDS}


def _form(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record.get(name, _DEFAULTS[name]) for name in _FIELDS}


def _input_of(settings: Settings) -> tuple[str, Path] | None:
    """Name of the condition and folder of the inputs, where there is one."""
    if not settings.input:
        return None
    folder = Path(os.path.expanduser(settings.input))
    if not folder.is_dir():
        raise DataError("there is no such folder of inputs", where=settings.input, do="check the path")
    name = re.sub(r"[^\w-]+", "_", folder.resolve().name.lower()).strip("_-")
    generic = len(name) < 2 or name in ("input", "inputs", "source", "sources", "images", "traina", "trainb")
    return ("input" if generic else name[:48]), folder


def _refuse_changed(there: Dataset) -> None:
    """A dataset that was repaired or corrected is not made again: that would undo it."""
    if there.description.get("edition", 1) != 1:
        raise DataError(
            "images were repaired, removed or labelled since it was made, which reading its sources again would undo",
            where=there.path,
            do="make a dataset of the new files apart, or take the changes back with maquette audit --undo first",
        )
