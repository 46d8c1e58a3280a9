"""From any pile of files to a dataset: every file gets exactly one outcome, kept or set aside with a reason.

First all sources are looked through for what is said about the images (names and columns only), then the files are
decoded in bounded workers and written as they come. Memory stays the same however many there are.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from maquette.core import image as images
from maquette.core.condition import ConditionSpec
from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Note, Progress, Result, Warning
from maquette.core.image import MODES, Mode
from maquette.core.spec import DataSpec
from maquette.data import origin
from maquette.data.columns import Columns, Unfit
from maquette.data.dataset import Dataset, Writer, already
from maquette.data.decode import Decoder, Outcome, Task
from maquette.data.parts import Tally, divide
from maquette.data.shape import FITS, SMALLS, Fit, Form, Small
from maquette.data.source import Entry, Source, open_source

_TELL_EVERY = 0.25
_PIECE_BYTES = 8 << 20
_SAMPLE = 128


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How files become a dataset."""

    width: int = 64
    height: int = 64
    mode: str = "auto"
    """`auto`: as the files are."""
    fit: str = "crop"
    small: str = "set-aside"
    held_out: float = 0.1
    seed: int = 0
    workers: int | None = None

    def __post_init__(self) -> None:
        DataSpec(height=self.height, width=self.width)
        words: dict[str, tuple[str, ...]] = {"mode": ("auto", *MODES), "fit": FITS, "small": SMALLS}
        for name, choices in words.items():
            value = getattr(self, name)
            if value not in choices:
                raise UsageError(f"{name} = {value!r} is not possible", do=f"there are: {', '.join(choices)}")
        if not 0 <= self.held_out <= 0.9:
            raise UsageError(f"a held-out share of {self.held_out:g} is not possible", do="give 0 to 0.9")
        if self.workers is not None and not 1 <= self.workers <= 256:
            raise UsageError(f"{self.workers} workers are not possible", do="give 1 to 256")


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


def ingest(sources: Sequence[str | Path], to: str | Path, *, settings: Settings | None = None) -> Iterator[Event]:
    """Make a dataset of these sources. The last event is the `Result`, whose value is the dataset."""
    chosen = settings or Settings()
    if not sources:
        raise UsageError("there is nothing to ingest", do="give a folder, an image or a Parquet file")
    opened = [open_source(source) for source in sources]
    record = {
        "sources": [str(source) for source in sources], "fingerprints": [source.fingerprint() for source in opened],
        "width": chosen.width, "height": chosen.height, "mode": chosen.mode, "fit": chosen.fit,
        "small": chosen.small, "held_out": chosen.held_out, "seed": chosen.seed,
    }  # fmt: skip
    made = already(to, record)
    if made is not None:
        yield Note(text=f"{made.path} is up to date: the same sources and settings made it")
        yield Result(verb="ingest", facts=made.facts(), value=made)
        return
    yield from _Ingest(opened, Path(to), chosen, record).run()


class _Ingest:
    """One run of `ingest`."""

    def __init__(self, sources: Sequence[Source], to: Path, settings: Settings, record: dict[str, Any]) -> None:
        self.sources, self.to, self.settings, self.record = sources, to, settings, record
        self.columns = Columns()
        self.total = 0
        self.began = self.told = time.monotonic()
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.example = ""
        self.tally = Tally()
        self.highest: dict[str, int] = {}
        """The highest class seen in each map."""

    def run(self) -> Iterator[Event]:
        yield from self._survey()
        with Decoder(self.settings.workers) as decoder:
            if self.settings.mode == "auto":
                mode = yield from self._choose_mode(decoder)
            else:
                mode = cast(Mode, self.settings.mode)
            spec = DataSpec(
                height=self.settings.height, width=self.settings.width, mode=mode, conditions=self.columns.specs(mode)
            )
            licences = {name: text for source in self.sources for name, text in source.licences().items()}
            with Writer(self.to, spec, settings=self.record, licences=licences) as writer:
                yield from self._fill(writer, decoder)
                if not writer.count:
                    raise self._nothing()
                parts, groups, moved = divide(self.tally, self.settings.held_out, self.settings.seed)
                data = writer.finish(parts, groups, spec=self._final(spec))
        if moved:
            yield Warning(text=f"{moved} held-out images are copies of images to train on; they are trained on now")
        yield from self._remarks(data)
        yield Result(verb="ingest", facts=data.facts(), value=data)

    def _survey(self) -> Iterator[Event]:
        """Count the files and look at what is said about them."""
        for source in self.sources:
            self.columns.expect(source.names, source.pictures)
        for source in self.sources:
            for entry in source.entries(content=False):
                self.total += 1
                if not entry.trouble:
                    self.columns.see(entry.said)
                if self._due():
                    yield self._progress(self.total, None, "files found")
        if not self.total:
            where = ", ".join(source.where for source in self.sources)
            raise DataError("there are no files in it", where=where, do="give a folder that holds images")
        for text in self.columns.decide():
            yield Note(text=text)
        yield Note(text=f"{self.total:,} files found")

    def _choose_mode(self, decoder: Decoder) -> Generator[Event, None, Mode]:
        """The mode that suits a sample of the files."""
        form = Form(width=self.settings.width, height=self.settings.height, mode="auto", fit="crop", small="enlarge")
        each = -(-_SAMPLE // len(self.sources))
        entries = (entry for source in self.sources for entry in source.sample(each))
        tasks = (Task(content=e.content, form=form) for e in entries if e.content is not None and not e.trouble)
        seen = Counter(_look(outcome.image) for outcome in decoder.decode(tasks) if outcome.image is not None)
        count = sum(seen.values())
        if seen["rgba"]:
            mode, why = "rgba", f"{seen['rgba']} of {count} files looked at are transparent somewhere"
        elif seen["rgb"] or not count:
            mode, why = "rgb", f"{seen['rgb']} of {count} files looked at have colours"
        elif seen["grey"]:
            mode, why = "grey", "the files looked at have no colours"
        else:
            mode, why = "grey16", "the files looked at are grey with 16 bits"
        if count:
            yield Note(text=f"mode {mode}: {why} (--mode chooses another)")
        return cast(Mode, mode)

    def _fill(self, writer: Writer, decoder: Decoder) -> Iterator[Event]:
        """Decode everything and write what can be kept."""
        spec = writer.spec
        most = max(1, _PIECE_BYTES // (spec.height * spec.width * 4))
        kept: list[_Item] = []
        for number, item in enumerate(self._items(spec, decoder), 1):
            if item.reason:
                self._set_aside(writer, item)
            else:
                kept.append(item)
                self.tally.add(hashlib.blake2b(item.images[0].tobytes(), digest_size=8).digest(), item.entry.part)
            if len(kept) >= most:
                self._write(writer, kept)
                kept = []
            if self._due() or number == self.total:
                done = writer.count + len(kept)
                yield self._progress(number, self.total, "images", kept=done, set_aside=self.reasons.total())
        if kept:
            self._write(writer, kept)

    def _items(self, spec: DataSpec, decoder: Decoder) -> Iterator[_Item]:
        """Every entry with what became of it, in order."""
        waiting: deque[_Item] = deque()
        forms = {name: self._form(spec, spec.condition(name)) for name in self.columns.pictures().values()}
        form = self._form(spec, None)

        def tasks() -> Iterator[Task]:
            for place, source in enumerate(self.sources):
                # With several folders, a path begins with the name of its own.
                folder = len(self.sources) > 1 and Path(source.where).is_dir()
                prefix = f"{Path(source.where).name}/" if folder else ""
                for entry in source.entries():
                    item = self._prepare(source, replace(entry, path=prefix + entry.path))
                    item.source = place
                    waiting.append(item)
                    for name, content in item.contents.items():
                        yield Task(content=content, form=forms[name] if name else form)

        for outcome in decoder.decode(tasks()):
            while not waiting[0].contents:
                yield waiting.popleft()
            item = waiting[0]
            item.take(outcome)
            if item.complete:
                yield waiting.popleft()
        yield from waiting

    def _prepare(self, source: Source, entry: Entry) -> _Item:
        """What has to be decoded for an entry: the image under the name "", further pictures under theirs."""
        item = _Item(entry, reason=entry.trouble)
        if item.reason:
            return item
        try:
            item.values = self.columns.read(entry.said)
        except Unfit as error:
            item.reason = str(error)
            return item
        found: dict[str, bytes | Path | None] = {"": entry.content}
        for column, name in self.columns.pictures().items():
            said = entry.said.get(column)
            found[name] = source.companion(said) if isinstance(said, str) else said
        for name, content in found.items():
            if not isinstance(content, (bytes, Path)):
                item.reason = f"it has no {name}" if name else "the row holds no image"
                return item
        item.contents = cast("dict[str, bytes | Path]", found)
        return item

    def _form(self, spec: DataSpec, condition: ConditionSpec | None) -> Form:
        mode: Any = spec.mode if condition is None else "map" if condition.kind == "map" else condition.mode
        fit, small = cast(Fit, self.settings.fit), cast(Small, self.settings.small)
        return Form(width=spec.width, height=spec.height, mode=mode, fit=fit, small=small)

    def _set_aside(self, writer: Writer, item: _Item) -> None:
        pattern = re.sub(r"\d+", "0", item.reason)
        self.reasons[pattern] += 1
        self.examples.setdefault(pattern, item.reason)
        self.example = self.example or f"{item.entry.path}: {item.reason}"
        writer.set_aside(item.entry.path, item.reason)

    def _write(self, writer: Writer, kept: Sequence[_Item]) -> None:
        spec, names = writer.spec, list(self.columns.pictures().values())
        conditions = {
            c.name: np.stack([c.encode(item.values[c.name]) for item in kept])
            for c in spec.conditions
            if c.name not in names
        }
        for place, name in enumerate(names, 1):
            conditions[name] = np.stack([item.images[place] for item in kept])
            if spec.condition(name).kind == "map":
                self.highest[name] = max(self.highest.get(name, 0), int(conditions[name].max()))
        origins = np.stack([origin.row(item.facts, source=item.source) for item in kept])
        records = [item.record() for item in kept]
        writer.append(np.stack([item.images[0] for item in kept]), conditions, records, origins)

    def _final(self, spec: DataSpec) -> DataSpec:
        """The form with as many classes of each map as there are."""
        conditions = tuple(
            replace(c, classes=c.classes[: self.highest[c.name] + 1]) if c.kind == "map" else c for c in spec.conditions
        )
        return replace(spec, conditions=conditions)

    def _remarks(self, data: Dataset) -> Iterator[Event]:
        """What a person should know about the dataset that was made."""
        count = len(data)
        for condition in data.spec.conditions:
            missing = data.missing(condition.name)
            if missing:
                yield Warning(text=f"{missing:,} of {count:,} images have no {condition.name}")
            if condition.kind == "label":
                values = data.conditions(np.arange(count), [condition.name])[condition.name]
                there = np.bincount(values[values >= 0], minlength=len(condition.classes))
                lost = [name for name, images in zip(condition.classes, there, strict=True) if not images]
                if lost:
                    yield Warning(text=f"no image is left with the {condition.name} {', '.join(lost[:5])}")
        copies = count - (int(data.groups.max()) + 1)
        if copies:
            yield Note(text=f"{copies:,} images are exact copies of others; copies are never split between the parts")
        aside = self.reasons.total()
        if aside:
            yield Warning(text=f"{aside:,} of {self.total:,} files were set aside ({self._why()})")

    def _why(self) -> str:
        """The three most common reasons, each by an example."""
        common = self.reasons.most_common(3)
        return "; ".join(f"{number:,} such as: {self.examples[pattern]}" for pattern, number in common)

    def _nothing(self) -> DataError:
        small = any("is smaller than" in reason for reason in self.reasons)
        return DataError(
            f"none of the {self.total:,} files can be used (for example {self.example})",
            where=", ".join(source.where for source in self.sources),
            do="choose a smaller --size, or --small enlarge" if small else "give a folder that holds images",
        )

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self.told < _TELL_EVERY:
            return False
        self.told = now
        return True

    def _progress(self, done: int, total: int | None, unit: str, **numbers: float) -> Progress:
        seconds = time.monotonic() - self.began
        eta = None if total is None else seconds * (total - done) / max(1, done)
        return Progress(verb="ingest", done=done, total=total, unit=unit, seconds=seconds, eta=eta, numbers=numbers)


@dataclass
class _Item:
    """One entry on its way: what is said about it, what is to be decoded, and what was."""

    entry: Entry
    reason: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    contents: dict[str, bytes | Path] = field(default_factory=dict)
    images: list[NDArray[Any]] = field(default_factory=list)
    digest: str = ""
    facts: tuple[Any, ...] = ()
    source: int = 0
    answers: int = 0

    @property
    def complete(self) -> bool:
        """Whether all its files have had their outcome."""
        return self.answers == len(self.contents)

    def take(self, outcome: Outcome) -> None:
        """The outcome of its next file."""
        name = list(self.contents)[self.answers]
        self.answers += 1
        if outcome.image is None:
            self.reason = self.reason or (f"its {name}: {outcome.reason}" if name else outcome.reason)
        else:
            self.images.append(outcome.image)
            self.digest = self.digest or outcome.digest
            self.facts = self.facts or outcome.facts

    def record(self) -> dict[str, Any]:
        """What the dataset remembers about where the image came from."""
        return {"path": self.entry.path, "digest": self.digest, "conditions": self.values}


def _look(image: NDArray[Any]) -> Mode:
    """What an image really is: colours that are all grey, or alpha that is all solid, do not count."""
    mode = images.mode_of(image)
    if mode == "rgba" and (image[..., 3] == 255).all():
        image, mode = image[..., :3], "rgb"
    if mode == "rgb" and (image == image[..., :1]).all():
        return "grey"
    return mode
