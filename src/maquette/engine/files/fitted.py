"""Files of any kind and size as images of the form that a model takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError
from maquette.core.spec import DataSpec
from maquette.data.decoding.shape import Form
from maquette.data.ingest.decode import Decoder, Task
from maquette.engine.files.batch import Batch, plan
from maquette.engine.files.refine import LIMITS
from maquette.refining.recipe import Recipe


@dataclass(frozen=True)
class Fitted:
    """One file as an image of the model's form; or the reason why it is none."""

    name: str
    """Its place within what was named, without ending."""
    source: str
    """Where it is, for people."""
    content: bytes | Path
    image: NDArray[Any] | None
    reason: str = ""


class Files:
    """All files that words name, each brought to the model's size and mode (scaled, and cropped in the middle)."""

    def __init__(self, words: Sequence[str], spec: DataSpec) -> None:
        self._plan = plan(words, Batch(recipe=Recipe(items=()), to=Path("."), writes=False))
        self._form = Form(width=spec.width, height=spec.height, mode=spec.mode, small="enlarge", frames="first")
        self.troubles = list(self._plan.troubles)

    def __len__(self) -> int:
        return len(self._plan.outputs)

    def __iter__(self) -> Iterator[Fitted]:
        with Decoder(1, LIMITS) as decoder:
            for work in self._plan.work():
                (outcome,) = decoder.decode([Task(content=work.content, form=self._form)])
                name = work.to.with_suffix("").as_posix()
                yield Fitted(
                    name, work.name, work.content, outcome.image, "" if outcome.image is not None else outcome.reason
                )


def fitted(file: Path, spec: DataSpec) -> NDArray[Any]:
    """One file as an image of the model's form, or an error that says why not."""
    form = Form(width=spec.width, height=spec.height, mode=spec.mode, small="enlarge", frames="first")
    with Decoder(1, LIMITS) as decoder:
        (outcome,) = decoder.decode([Task(content=file, form=form)])
    if outcome.image is None:
        raise DataError(outcome.reason, where=file, do="give an image file")
    return np.asarray(outcome.image)
