"""From any pile of files to a dataset: every file gets exactly one outcome, kept or set aside with a reason.

First all sources are looked through for what is said about the images (names and columns only), then the files are
decoded in bounded workers and written as they come. Memory stays the same however many there are.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from maquette.core import image as images
from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Note, Progress, Result, Warning
from maquette.core.image import Mode
from maquette.core.spec import DataSpec
from maquette.data.columns import Unfit
from maquette.data.dataset import Dataset, Writer
from maquette.data.decoding.limits import Limits
from maquette.data.decoding.pixels import digest_of_pixels
from maquette.data.decoding.reader import Reader
from maquette.data.ingest.decode import Decoder, Decodes, Task
from maquette.data.ingest.item import Item
from maquette.data.ingest.plan import Plan, Settings, parse_size
from maquette.data.ingest.previous import Previous, key_of, root_of, unfinished
from maquette.data.ingest.remarks import remarks
from maquette.data.ingest.survey import Labels, Survey
from maquette.data.origin import ORIGIN
from maquette.data.parts import Tally, divide
from maquette.data.source import Entry, Source, open_source, stamp_of

__all__ = ["Settings", "ingest", "parse_size"]

_TELL_EVERY = 0.25
_PIECE_BYTES, _PIECE_IMAGES, _PIECE_SECONDS = 8 << 20, 2_048, 5.0
"""Images are written in pieces of so many bytes, or after so many seconds: what a kill can cost."""
_SAMPLE = 128
_OPTED_OUT = "its makers do not allow training"
OpenDecoder = Callable[[Limits], contextlib.AbstractContextManager[Decodes]]
_GONE = ("it cannot be read (no such file", "it cannot be read (input/output", "it cannot be read (stale")


def ingest(
    sources: Sequence[str | Path], to: str | Path, *, settings: Settings | None = None, add: bool = False,
    decoder: OpenDecoder | None = None,
) -> Iterator[Event]:  # fmt: skip
    """Make a dataset of these sources. The last event is the `Result`, whose value is the dataset.

    Where it is there already, made in the same way, only what is new is read. With `add`, the sources come to those
    that it was made of. `decoder` stands in the place of the workers of this machine.
    """
    if not sources:
        raise UsageError("there is nothing to ingest", do="give a folder, an image, an archive or a Parquet file")
    with Reader() as reader:
        opened = [open_source(source, reader) for source in sources]
        plan = Plan.make(opened, Path(to), settings or Settings(), add)
        if plan.up_to_date is not None:
            yield Note(text=f"{plan.up_to_date.path} is up to date: the same sources and settings made it")
            yield Result(verb="ingest", facts=plan.up_to_date.facts(), value=plan.up_to_date)
            return
        yield from _Ingest(opened, plan, decoder).run()


class _Ingest:
    """One run of `ingest`."""

    def __init__(self, sources: Sequence[Source], plan: Plan, decoder: OpenDecoder | None) -> None:
        self.decoder = decoder or partial(Decoder, plan.settings.workers)
        self.sources, self.plan, self.settings = sources, plan, plan.settings
        self.survey = Survey(sources, cast(Labels, self.settings.labels))
        self.roots = [root_of(source.where) for source in sources]
        self.began = self.told = self.filling = time.monotonic()
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.example = ""
        self.pictures: dict[str, str] = {}
        """Columns that hold or name further pictures, and the conditions they become."""
        self.tally = Tally()
        self.highest: dict[str, int] = {}
        """The highest class seen in each map."""
        self.said: Counter[str] = Counter()
        """How images came to be, by what their files say."""
        self.reused = self.burned = self.askew = self.seen = self.goal = 0

    def run(self) -> Iterator[Event]:
        yield from self._look()
        plan, columns = self.plan, self.survey.columns
        previous = None if plan.dataset is None else Previous.of_dataset(plan.dataset)
        with self.decoder(plan.limits) as decoder:
            if plan.dataset is not None:
                mode = plan.dataset.spec.mode
            elif self.settings.mode == "auto":
                mode = yield from self._choose_mode(decoder)
            else:
                mode = cast(Mode, self.settings.mode)
            spec = plan.spec(mode, columns)
            record = plan.record(self.survey.private)
            if previous is None:
                previous = unfinished(plan.to, record)
                if previous is not None:
                    yield Note(text=f"going on from {previous.count:,} images that a stopped ingest has read")
            licences = {name: text for source in self.sources for name, text in source.licences().items()}
            replaces, keep = plan.dataset is not None, previous.folder if previous else None
            with Writer(plan.to, spec, settings=record, licences=licences, replace=replaces, keep=keep) as writer:
                yield from self._fill(writer, decoder, previous)
                if not writer.count:
                    raise self._nothing()
                parts, groups, moved = divide(self.tally, self.settings.held_out, self.settings.seed)
                data = writer.finish(parts, groups, spec=self._final(spec))
        if moved:
            yield Warning(text=f"{moved} held-out images are copies of images to train on; they are trained on now")
        yield from remarks(data, self.tally)
        yield from self._told_about_files(data)
        yield Result(verb="ingest", facts=self._facts(data), value=data)

    def _look(self) -> Iterator[Event]:
        """Count the files and look at what is said about them."""
        survey = self.survey
        for count in survey.look():
            if self._due():
                yield self._progress(count, None, "files found")
        if not survey.total:
            where = ", ".join(source.where for source in self.sources)
            raise DataError("there are no files in it", where=where, do="give a folder that holds images")
        if self.plan.kept is not None:
            for said in self.plan.kept_values():
                survey.columns.see(said)
        self.plan.expect(survey.columns)
        for text in (*survey.decide(), *survey.notes()):
            yield Note(text=text)
        self.pictures = survey.columns.pictures()
        yield Note(text=f"{survey.total:,} file{'s' * (survey.total != 1)} found")

    def _choose_mode(self, decoder: Decodes) -> Generator[Event, None, Mode]:
        """The mode that suits a sample of the files."""
        form = replace(self.plan.form("auto"), fit="crop", small="enlarge", crops=1, frames="first", position="centre")
        glance = replace(form, glance=True)
        each = -(-_SAMPLE // len(self.sources))
        entries = (entry for source in self.sources for entry in source.sample(each))
        seen: Counter[Mode] = Counter()

        def tasks() -> Iterator[Task]:
            for entry in entries:
                if seen["rgba"]:  # Nothing that follows could change it.
                    return
                if entry.content is not None and not entry.trouble:
                    yield Task(content=entry.content, form=glance if seen["rgb"] else form)

        for outcome in decoder.decode(tasks(), first=2):
            if outcome.image is not None:
                seen[_look(outcome.image)] += 1
        count = seen.total()
        if seen["rgba"]:
            mode, why = "rgba", "some files are transparent somewhere"
        elif seen["rgb"] or not count:
            mode, why = "rgb", f"there are colours, and none of the {count} files looked at is transparent"
        elif seen["grey"]:
            mode, why = "grey", "the files looked at have no colours"
        else:
            mode, why = "grey16", "the files looked at are grey with 16 bits"
        if count:
            yield Note(text=f"mode {mode}: {why} (--mode chooses another)")
        return cast(Mode, mode)

    def _fill(self, writer: Writer, decoder: Decodes, previous: Previous | None) -> Iterator[Event]:
        """Decode everything and write what can be kept."""
        spec = writer.spec
        frames = sum(c.length for c in spec.conditions if c.kind == "frames")
        most = max(1, min(_PIECE_IMAGES, _PIECE_BYTES // (spec.height * spec.width * 4 * (1 + frames))))
        kept: list[Item] = []
        written = time.monotonic()
        for item in self._all(spec, decoder, previous):
            if item.reason:
                self._set_aside(writer, item)
            else:
                kept.append(item)
                pixels = item.pixels or digest_of_pixels(np.ascontiguousarray(item.images[""]).data)
                self.tally.add(pixels, item.part, item.clip, item.kept)
            if len(kept) >= most or (kept and time.monotonic() - written > _PIECE_SECONDS):
                self._write(writer, kept)
                kept, written = [], time.monotonic()
            if self._due():
                done = writer.count + len(kept)
                yield self._progress(self.seen, self.goal, "images", kept=done, set_aside=self.reasons.total())
        if kept:
            self._write(writer, kept)
        changed = self.plan.changed(self.sources) if self.seen != self.goal else ""
        if changed:  # Otherwise a file of many images turned out to be damaged somewhere.
            raise DataError("files came or went while it was read", where=changed, do="run the same command again")
        self.goal = self.seen
        yield self._progress(self.seen, self.goal, "images", kept=writer.count, set_aside=self.reasons.total())

    def _all(self, spec: DataSpec, decoder: Decodes, previous: Previous | None) -> Iterator[Item]:
        """What stays of a dataset that is added to, then every file with what became of it, in order."""
        self.seen, self.goal = 0, self.survey.total
        self.filling = time.monotonic()
        names = [c.name for c in spec.conditions if c.kind in ("image", "map", "frames")]
        if self.plan.kept is not None:
            self.goal += len(self.plan.kept)
            for item in self.plan.kept_items(names):
                self.seen += 1
                yield item
        if previous is not None and any(name not in [c.name for c in previous.spec.conditions] for name in names):
            previous = None
        yield from self._items(spec, decoder, previous, names)

    def _items(self, spec: DataSpec, decoder: Decodes, previous: Previous | None, names: list[str]) -> Iterator[Item]:
        """Every entry with what became of it, in order."""
        waiting: deque[Item] = deque()
        forms = {name: self.plan.form(spec.mode, spec.condition(name)) for name in names if name != "frames"}
        form = self.plan.form(spec.mode, None)
        if forms:
            form = replace(form, frames="first")

        def tasks() -> Iterator[Task | None]:
            number = 0
            for place, source in enumerate(self.sources):
                for entry in source.entries():
                    item = self._prepare(place, source, entry, number)
                    item.known = not item.reason and previous is not None and len(previous.rows(item.key)) > 0
                    number += 1
                    waiting.append(item)
                    if item.known or not item.contents:
                        yield None  # It keeps its place in the line.
                        continue
                    for name, content in item.contents.items():
                        yield Task(content=content, form=forms[name] if name else form)

        file = count = 0
        for outcome in decoder.decode(tasks()):
            first = waiting[0]
            if first.contents and not first.known and forms:
                first.take(outcome)
                if not first.complete:
                    continue
                made: Iterable[Item] = [self._checked(first)]
            elif first.contents and not first.known:
                made = [first.one_of_many(outcome, file, count)]
                file, count = (file + 1, 0) if outcome.last else (file, count + 1)
            elif first.known and previous is not None:
                self.reused += 1
                made = first.again(previous, names)
            else:
                made = [first]
            if outcome.last:
                self.seen += 1
                waiting.popleft()
            yield from made

    def _prepare(self, place: int, source: Source, entry: Entry, number: int) -> Item:
        """What has to be decoded for an entry."""
        survey = self.survey
        item = Item(survey.path(place, entry, number), place, survey.part(place, entry), reason=entry.trouble)
        if item.reason:
            return item
        try:
            said, item.values = survey.values(place, entry)
        except Unfit as error:
            item.reason = str(error)
            return item
        found: dict[str, bytes | str | Path | None] = {"": entry.content, **self.plan.further(source, entry)}
        for column, name in self.pictures.items():
            value = said.get(column)
            if name not in found:
                found[name] = source.companion(value) if isinstance(value, str) else value
        for name, content in found.items():
            if not isinstance(content, (bytes, str, Path)):
                item.reason = f"it has no {name}" if name else "the row holds no image"
                return item
        item.contents = cast("dict[str, bytes | str | Path]", found)
        stamp = entry.stamp
        if len(found) > 1:
            stamp += "".join(stamp_of(more) for name, more in found.items() if name and isinstance(more, (str, Path)))
        item.key = key_of(self.roots[place], entry.path, stamp)
        return item

    def _checked(self, item: Item) -> Item:
        """Note pictures of one item whose shapes differ, so that they do not cover each other."""
        if not item.reason and self.settings.fit != "stretch":
            ratios = [width / height for width, height in item.shapes.values() if height]
            self.askew += bool(ratios) and max(ratios) > 1.03 * min(ratios)
        return item

    def _set_aside(self, writer: Writer, item: Item) -> None:
        if item.reason.startswith(_GONE) and not os.path.exists(self.sources[item.source].where):
            where = self.sources[item.source].where
            raise DataError("it vanished while it was read", where=where, do="run the same command again")
        pattern = re.sub(r"\d+", "0", item.reason)
        self.reasons[pattern] += 1
        self.examples.setdefault(pattern, f"{item.path}: {item.reason}")
        self.example = self.example or f"{item.path}: {item.reason}"
        writer.set_aside(item.path, item.reason)

    def _write(self, writer: Writer, kept: Sequence[Item]) -> None:
        spec = writer.spec
        conditions: dict[str, NDArray[Any]] = {}
        for c in spec.conditions:
            if c.kind in ("image", "map", "frames"):
                conditions[c.name] = np.stack([item.images[c.name] for item in kept])
            else:
                conditions[c.name] = np.stack([c.encode(item.values.get(c.name)) for item in kept])
            if c.kind == "map":
                self.highest[c.name] = max(self.highest.get(c.name, 0), int(conditions[c.name].max()))
        origins = np.array([item.origin for item in kept], ORIGIN)
        self.burned += int(np.count_nonzero(origins["traits"] & 128))
        self.said.update(str(item.marks["source"]) for item in kept if item.marks.get("source"))
        pixels = np.stack([item.images[""] for item in kept])
        writer.append(pixels, conditions, [item.record() for item in kept], origins)

    def _final(self, spec: DataSpec) -> DataSpec:
        """The form with as many classes of each map as there are."""
        conditions = tuple(
            replace(c, classes=c.classes[: self.highest[c.name] + 1]) if c.kind == "map" else c for c in spec.conditions
        )
        return replace(spec, conditions=conditions)

    def _told_about_files(self, data: Dataset) -> Iterator[Event]:
        """What a person should know about the files."""
        if self.plan.dataset is not None:
            before = len(self.plan.kept or ()) or self.reused
            yield Note(
                text=f"{self.survey.total - self.reused:,} files were new; {before:,} were known and not read again"
            )
        if self.askew:
            yield Warning(text=f"{self.askew:,} images have another shape than their pictures; they may not cover them")
        if self.burned:
            yield Warning(
                text=f"{self.burned:,} images may have names or dates burned into their pixels (by what their DICOM"
                " files say); nothing in the pixels was changed, so look at them before anything is shared"
            )
        if self.said:
            told = ", ".join(f"{count:,} {source}" for source, count in self.said.most_common(5))
            yield Note(text=f"{self.said.total():,} images say where they came from: {told}")
        refused = sum(count for reason, count in self.reasons.items() if reason.startswith(_OPTED_OUT))
        if refused:
            yield Note(text=f"the makers of {refused:,} files forbid training on them; --opt-outs ignore takes them")
        aside, total = self.reasons.total(), self.goal
        if aside:
            yield Warning(text=f"{aside:,} of {total:,} files were set aside ({self._why()})")

    def _facts(self, data: Dataset) -> dict[str, Any]:
        return {
            **data.facts(),
            "new": self.survey.total - self.reused,
            "provenance": dict(self.said),
            "known": self.reused + len(self.plan.kept or ()),
        }

    def _why(self) -> str:
        """The three most common reasons, each by an example."""
        common = self.reasons.most_common(3)
        return "; ".join(f"{number:,} such as {self.examples[pattern]}" for pattern, number in common)

    def _nothing(self) -> DataError:
        small = any("is smaller than" in reason for reason in self.reasons)
        what = f"none of the {self.survey.total:,} files can be used (for example {self.example})"
        if self.survey.total == 1:
            alone = os.path.isfile(self.sources[0].where)
            reason = self.example.partition(": ")[2]
            what = f"it cannot be used ({reason})" if alone else f"its only file cannot be used ({self.example})"
        return DataError(
            what,
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
        now = time.monotonic()
        eta = None if total is None or not done else (now - self.filling) * (total - done) / done
        return Progress(
            verb="ingest", done=done, total=total, unit=unit, seconds=now - self.began, eta=eta, numbers=numbers
        )


def _look(image: NDArray[Any]) -> Mode:
    """What an image really is: colours that are all grey, or alpha that is all solid, do not count."""
    mode = images.mode_of(image)
    if mode == "rgba" and (image[..., 3] == 255).all():
        image, mode = image[..., :3], "rgb"
    if mode == "rgb" and (image == image[..., :1]).all():
        return "grey"
    return mode
