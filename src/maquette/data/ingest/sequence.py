"""The frames that a model is to go on from, from a film, an animation or a folder of numbered images.

They are read in other processes like all that comes from elsewhere. Frames that do not follow each other are refused:
a model would take a gap for a leap.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.choices import Mode
from maquette.core.errors import DataError
from maquette.core.image import convert, to_pil
from maquette.data.decoding.limits import Limits
from maquette.data.decoding.moving import CUT, difference, glance
from maquette.data.decoding.shape import Form
from maquette.data.ingest.decode import Decoder, Task

MOST = Limits().frames
"""Images that are read of a folder."""
_NUMBER = re.compile(r"(\d+)(?=\D*$)")
_HIDDEN = (".jsonl", ".json", ".txt", ".csv", ".md")
"""Files that lie beside images and are none."""


def read_frames(where: Path, count: int, *, width: int, height: int, mode: Mode) -> NDArray[Any]:
    """The last `count` frames, N H W C; or a sentence that says what is wrong with them."""
    if not where.exists():
        raise DataError("there is no such film or folder", where=where, do="check the path")
    single = not where.is_dir()
    files = [where] if single else frame_files(where)
    form = Form(width=width, height=height, mode=mode, small="enlarge", frames="all", rate=0)
    last: deque[tuple[NDArray[Any], int]] = deque(maxlen=count)
    sizes: dict[tuple[int, int], Path] = {}
    seen = 0
    with Decoder(1) as decoder:
        outcomes = decoder.decode([Task(content=file, form=form) for file in files])
        for outcome in outcomes:
            name = where if single else files[min(seen, len(files) - 1)]
            if outcome.image is None:
                raise DataError(outcome.reason, where=name, do="give a film, an animation or a folder of images")
            if not single and not outcome.last:
                raise DataError("it holds several images", where=name, do="give it alone, or a folder of single images")
            sizes.setdefault((int(outcome.facts[1]), int(outcome.facts[2])), name)
            if len(sizes) > 1:
                (one, first), (other, second) = list(sizes.items())[:2]
                raise DataError(
                    f"frames differ in size: {first.name} has {one[0]}x{one[1]}, {second.name} {other[0]}x{other[1]}",
                    where=where, do="give frames of one size",
                )  # fmt: skip
            last.append((outcome.image, outcome.scene))
            seen += 1
    if seen < count:
        raise DataError(
            f"it holds {seen} frame{'' if seen == 1 else 's'}, and the model goes on from {count}",
            where=where, do=f"give at least {count}",
        )  # fmt: skip
    images, scenes = zip(*last, strict=True)
    fresh = _cut(images, scenes)
    if fresh < count:
        raise DataError(
            f"its scene changes {fresh} frame{'' if fresh == 1 else 's'} before the end, and the model goes on from "
            f"{count} of one scene",
            where=where, do="end the film before the cut, or later after it",
        )  # fmt: skip
    return np.stack(images)


def frame_files(folder: Path) -> list[Path]:
    """The images of a folder in the order of the numbers in their names; fails where numbers are missing or twice."""
    files = sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and not file.name.startswith(".") and file.suffix.lower() not in _HIDDEN
    )
    if not files:
        raise DataError("there is no image in it", where=folder, do="give a folder of numbered images")
    if len(files) > MOST:
        raise DataError(f"it holds {len(files):,} files, more than {MOST:,} are not read", where=folder)
    numbers = [_NUMBER.search(file.stem) for file in files]
    if any(number is None for number in numbers):
        bare = next(file for file, number in zip(files, numbers, strict=True) if number is None)
        raise DataError(
            f"the name {bare.name} has no number, so its place among the frames is not known",
            where=folder, do="number the frames: 001.png, 002.png, ...",
        )  # fmt: skip
    order = sorted((int(number[1]), file) for number, file in zip(numbers, files, strict=True) if number)
    pairs = list(itertools.pairwise(order))
    step = min((after - before for (before, _), (after, _) in pairs), default=1)
    for (before, one), (after, other) in pairs:
        if before == after:
            raise DataError(f"{one.name} and {other.name} have one number", where=folder, do="number each frame once")
        if step and after - before != step:
            raise DataError(
                f"there is a gap between {one.name} and {other.name}", where=folder,
                do=f"add frame {before + step}, or leave out all up to {before}",
            )  # fmt: skip
    return [file for _, file in order]


def _cut(images: Sequence[NDArray[Any]], scenes: Sequence[int]) -> int:
    """How many frames there are since the last cut; all of them if there is none. Long scenes are numbered in parts."""
    for place in range(len(images) - 1, 0, -1):
        if scenes[place] != scenes[place - 1]:
            looks = [glance(to_pil(convert(images[at], "rgb"))) for at in (place - 1, place)]
            if difference(*looks) >= CUT:
                return len(images) - place
    return len(images)
