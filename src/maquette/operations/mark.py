"""The verb `mark`: one hidden mark in every image that a model learns from, so that what it makes carries it too."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Note, Progress, Result, Warning
from maquette.core.settings import argument, setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maquette.data.dataset import Dataset
    from maquette.store.workspace import Workspace

MOST_IMAGES = 4096
"""That are looked at together; more say nothing more."""
TELL_EVERY = 0.5
_BYTES = 4  # that the mark carries: the first of the dataset's digest
_WHAT = "marked"
_TRIED = 64  # images that are tried before all are marked


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What to mark, or where to look for a mark."""

    of: str = argument("a dataset to mark, or images to look at: one, or a folder of them", form="DATASET|IMAGES")
    strength: float = setting(1.0, "how strong the mark is; 1 cannot be seen", gt=0, le=4)
    secret: str = setting("", "a file with the secret; the workspace keeps its own when left out", form="FILE")


@operation
def mark(request: Mark, workspace: Workspace) -> Iterator[Event]:
    """Mark a dataset, so that whoever has a model's weights alone makes marked images; or look for such a mark.

    A research setting. Every image of the dataset gets the same mark, which only the holder of the secret finds; a
    model learns it with the rest. The dataset as it was stays: maquette remove DATASET --undo brings it back.
    """
    from maquette.trust.marks import secret

    path = workspace.dataset_path(request.of)
    if (path / "dataset.json").is_file():
        yield from _marking(path, request, secret(workspace.home, request.secret, make=True), workspace)
    elif not Path(request.of).expanduser().exists():
        raise UsageError(f"{request.of!r} is neither a dataset nor images", do="see what there is: maquette list")
    else:
        yield from _looking(request, secret(workspace.home, request.secret))


def _marking(path: Path, request: Mark, secret: bytes, workspace: Workspace) -> Iterator[Event]:
    from maquette.data.dataset import Dataset
    from maquette.data.edition import Changes, history, number, revise
    from maquette.trust import cards

    data = Dataset.open(path)
    if any(str(one["what"]).startswith(_WHAT) for one in history(data)):
        raise UsageError("it is marked already", where=path, do=f"maquette remove {request.of} --undo takes it back")
    payload = bytes.fromhex(data.digest[: 2 * _BYTES])
    if not any(_takes(image, payload, secret, request.strength) for image in data.images(_some(len(data)))):
        raise DataError("none of its images can carry a mark: they are too small, too flat, or drawn", where=path)
    marker = _Marker(payload, secret, request.strength)
    changes = Changes(what=f"{_WHAT}: every image carries one mark", images=dict.fromkeys(range(len(data)), marker))
    told = {"mark": payload.hex(), "strength": request.strength}
    yield from _marked(marker, len(data), lambda: revise(data, changes, manifest=told))
    marked, unfit = len(data) - marker.unfit, marker.unfit
    if unfit:
        yield Warning(text=f"{unfit:,} of {len(data):,} images cannot carry a mark (too flat, or drawn) and stay as is")
    data = Dataset.open(path)
    workspace.index.add_dataset(data)
    trouble = cards.refresh(path)
    if trouble:
        yield Warning(text=trouble)
    facts = {
        "dataset": str(path), "marked": marked, "unmarked": unfit, "mark": payload.hex(), "digest": data.digest,
        "edition": number(data),
    }  # fmt: skip
    summary = f"{path}: {marked:,} images carry the mark {payload.hex()} (edition {number(data)})."
    yield Result(
        verb="mark", facts=facts, value=data, summary=summary,
        next=(f"maquette train {request.of} --time 10m", f"maquette remove {request.of} --undo"),
    )  # fmt: skip


def _some(count: int) -> list[int]:
    """A few places among so many, evenly apart."""
    return sorted({count * k // _TRIED for k in range(_TRIED)}) if count else []


def _takes(image: NDArray[Any], payload: bytes, secret: bytes, strength: float) -> bool:
    marker = _Marker(payload, secret, strength)
    marker(image)
    return not marker.unfit


class _Marker:
    """Marks one image after another, and counts."""

    def __init__(self, payload: bytes, secret: bytes, strength: float) -> None:
        self._payload, self._secret, self._strength = payload, secret, strength
        self.done = self.unfit = 0
        self.stopped = False

    def __call__(self, image: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        from maquette.trust.watermark import UnfitError, embed

        if self.stopped:
            raise KeyboardInterrupt
        frames = image if image.ndim == 4 else image[None]
        try:
            marked = [embed(one, self._payload, self._secret, self._strength, steady=True) for one in frames]
        except UnfitError:
            self.unfit += 1
            marked = list(frames)
        self.done += 1
        return np.stack(marked) if image.ndim == 4 else marked[0]


def _marked(marker: _Marker, total: int, work: Callable[[], Dataset]) -> Iterator[Event]:
    """Do the work beside, and say how far it is."""
    began = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            while not future.done():
                wait([future], timeout=TELL_EVERY)
                yield Progress.since(began, "mark", marker.done, total)
            future.result()
        finally:
            marker.stopped = True


def _looking(request: Mark, secret: bytes) -> Iterator[Event]:
    from maquette.trust.watermark import detect, detect_many

    images = _images(Path(request.of).expanduser())
    forms = Counter(image.shape for image in images)
    form, count = forms.most_common(1)[0]
    alike = [image for image in images if image.shape == form]
    if count < len(images):
        yield Note(text=f"{len(images) - count:,} images of other sizes are left out: a mark adds up in one size alone")
    together, alone = detect_many(alike, secret, _BYTES), 0
    began = told = time.perf_counter()
    for done, image in enumerate(alike, 1):
        alone += detect(image, secret, _BYTES).present
        if (now := time.perf_counter()) - told >= TELL_EVERY or done == count:
            told = now
            yield Progress.since(began, "mark", done, count)
    said = together.payload.hex() if together.payload else None
    facts: Mapping[str, Any] = {
        "images": count,
        "present": together.present,
        "p_value": together.p_value,
        "alone": alone,
        "mark": said,
    }
    yield Result(verb="mark", facts=facts, value=facts, summary=_summary(request.of, facts, together.p_value))


def _summary(name: str, facts: Mapping[str, Any], chance: float) -> str:
    many = facts["images"] > 1
    who = f"{name}: {facts['images']:,} images together" if many else f"{name}: the image"
    if not facts["present"]:
        often = f"{chance:.2g} of all sets" if many else f"{chance:.2g} of all images"
        return f"{who} {'do' if many else 'does'} not carry the mark ({often} without it look as marked as this)."
    rare = f"by chance one in {1 / max(chance, 1e-12):,.0f}" + (" or fewer" if chance < 1e-12 else "")
    alone = f"; looked at alone, {facts['alone']:,} of them do" if many else ""
    what = f" {facts['mark']}" if facts["mark"] else ""
    return f"{who} {'carry' if many else 'carries'} the mark{what} ({rare} would){alone}."


def _images(path: Path) -> Sequence[NDArray[np.generic]]:
    """The images of a folder or of one file, decoded in a process of its own."""
    from maquette.data.decoding.shape import WHOLE
    from maquette.data.ingest.decode import Decoder, Task
    from maquette.trust.reading import MEDIA

    kinds = {ending for ending, kind in MEDIA.items() if kind.startswith("image/")}
    files = sorted(one for one in path.rglob("*") if one.suffix.lower() in kinds) if path.is_dir() else [path]
    files = [one for one in files if one.name != "sheet.png"][:MOST_IMAGES]
    with Decoder(1) as decoder:
        outcomes = list(decoder.decode(Task(content=file, form=WHOLE) for file in files))
    images = [outcome.image for outcome in outcomes if outcome.image is not None]
    if not images:
        raise DataError("there are no images in it that can be read", where=path)
    return images
