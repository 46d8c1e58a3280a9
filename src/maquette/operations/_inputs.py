"""What `sample` is asked to make images of: words and numbers for all of them, and image files, one or many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import ConditionError, DataError, UsageError, nearest
from maquette.core.event import Warning
from maquette.core.settings import parse_pairs

if TYPE_CHECKING:
    from maquette.core.spec import DataSpec
    from maquette.operations.sample import Sample
    from maquette.trust.signing import Source

STRETCH = 1024
"""Images that are made between two looks at what is asked for, so that memory does not grow with their number."""
TOGETHER = 64
"""Image files that are read at a time."""
ENDINGS = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Given:
    """What some images are made from: values by name of condition, and the files among them."""

    values: dict[str, Any]
    digests: dict[str, str] = field(default_factory=dict)
    source: Source | None = None
    """The image that was given, as an ingredient of what is made from it."""
    name: str = ""
    """What the names of the images begin with."""


class Inputs:
    """All that was asked for. Files are read when their turn comes; of several, those that cannot be are left out."""

    def __init__(self, request: Sample, form: DataSpec) -> None:
        self.form = form
        self.before = _before(request, form)
        self.common = {**flat(request, form), **self.before.values}
        self.large = {c.name: c for c in form.conditions if c.kind in ("image", "map")}
        self.files = self._sets([self._named(word) for word in request.image])
        self.names = _different([_varying(files, self.files[0]).stem for files in self.files])
        self.refused: list[str] = []

    @property
    def many(self) -> bool:
        """Whether there are several inputs, so that names of files begin with theirs."""
        return len(self.files) > 1

    @property
    def asked(self) -> dict[str, Any]:
        """The names of all that was given, for people."""
        words = {
            name: value if isinstance(value, (str, int, float)) else "image" for name, value in self.common.items()
        }
        return words | {name: "image" for files in self.files[:1] for name in files}

    def stretches(self, seeds: Sequence[int]) -> Iterator[list[tuple[Given, Sequence[int]]] | Warning]:
        """Every input with its seeds, as many at a time as fit into one stretch."""
        if not self.files:
            for piece in _pieces(seeds, TOGETHER if self.before.values else STRETCH):
                yield [(Given(self.common, self.before.digests, self.before.source), piece)]
            return
        for start in range(0, len(self.files), TOGETHER):
            read = []
            for place in range(start, min(len(self.files), start + TOGETHER)):
                try:
                    read.append(self._read(place))
                except (DataError, ConditionError) as error:
                    if not self.many:
                        raise
                    self.refused.append(str(error))
                    yield Warning(text=f"left out: {error}")
            most = TOGETHER if self.before.values else STRETCH
            whole = max(1, most // len(seeds))
            for at in range(0, len(read), whole):
                for piece in _pieces(seeds, most):
                    yield [(given, piece) for given in read[at : at + whole]]

    def _named(self, word: str) -> tuple[str, list[Path]]:
        """The condition that a word names, and its files."""
        if not self.large:
            raise ConditionError("this model cannot be given an image", do="leave out --image")
        name, sign, file = word.partition("=")
        if not (sign and name in self.large):
            if len(self.large) > 1:
                named = ", ".join(self.large)
                raise UsageError("the model takes several images", do=f"write NAME=FILE; the names are {named}")
            name, file = next(iter(self.large)), word
        path = Path(file).expanduser()
        if not path.is_dir():
            return name, [path]
        files = sorted(inner for inner in path.iterdir() if inner.is_file() and inner.suffix.lower() in ENDINGS)
        if not files:
            raise DataError("there is no image in it", where=path, do="give images or a folder of them")
        return name, files

    def _sets(self, words: Sequence[tuple[str, list[Path]]]) -> list[dict[str, Path]]:
        """One set of files for each input: what is given once goes with all of the others."""
        by_name: dict[str, list[Path]] = {}
        for name, files in words:
            by_name.setdefault(name, []).extend(files)
        counts = {len(files) for files in by_name.values()} - {1}
        if len(counts) > 1:
            told = ", ".join(f"{len(files)} of {name}" for name, files in by_name.items())
            raise UsageError(f"the images do not go together ({told})", do="give one of each, or equally many")
        return [
            {name: files[place if len(files) > 1 else 0] for name, files in by_name.items()}
            for place in range(max(counts, default=1) if by_name else 0)
        ]

    def _read(self, place: int) -> Given:
        from maquette.operations._files import read
        from maquette.store.digest import file_digest
        from maquette.trust.press import source_of

        files = self.files[place]
        images = {name: read(path, self.large[name], self.form) for name, path in files.items()}
        for name, image in images.items():
            self.large[name].encode(image, self.form.height, self.form.width)  # a map may hold what there is not
        digests = {name: f"sha256:{file_digest(path)}" for name, path in files.items()} | self.before.digests
        prefix = f"{self.names[place]}-" if self.many else ""
        return Given({**self.common, **images}, digests, source_of(next(iter(files.values()))), prefix)


def _varying(files: dict[str, Path], first: dict[str, Path]) -> Path:
    """The file that tells this input from the first one."""
    return next((path for name, path in files.items() if path != first[name]), next(reversed(files.values())))


def _pieces(seeds: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (seeds[at : at + size] for at in range(0, len(seeds), size))


def _different(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that were there before."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found


def _before(request: Sample, form: DataSpec) -> Given:
    """The frames that came before, read from a film, an animation or a folder."""
    from maquette.operations import _files

    if not request.frames:
        return Given({})
    films = [condition for condition in form.conditions if condition.kind == "frames"]
    if not films:
        raise ConditionError("this model goes on from no frames", do="leave out --frames")
    values = {condition.name: _files.read(request.frames, condition, form) for condition in films}
    digests = {condition.name: f"sha256:{_files.digest(request.frames)}" for condition in films}
    return Given(values, digests, _files.source(request.frames))


def flat(request: Any, form: DataSpec) -> dict[str, Any]:
    """Label, text and numbers, by name of condition."""
    given: dict[str, Any] = {}
    if request.label is not None:
        given |= _one(form, "label", request.label)
    if request.text is not None:
        given |= _one(form, "text", request.text)
    for name, value in parse_pairs(request.number).items():
        numbers = [c.name for c in form.conditions if c.kind == "number"]
        if name not in numbers:
            raise ConditionError(f"this model knows no number {name!r}", do=nearest(name, numbers))
        given[name] = value
    return given


def _one(form: DataSpec, kind: str, word: str) -> dict[str, str]:
    names = [condition.name for condition in form.conditions if condition.kind == kind]
    if not names:
        raise ConditionError(
            f"this model was not trained with a {kind}",
            do=f"it can be given: {', '.join(c.name for c in form.conditions) or 'nothing'}",
        )
    name, sign, value = word.partition("=")
    if sign and name in names:
        return {name: value}
    if len(names) > 1:
        raise UsageError(f"the model knows several conditions of the kind {kind}", do=f"write {names[0]}={word}")
    return {names[0]: word}
