"""Files that a model is given: an image, a map, or the frames of a film, in the form that it was trained with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.condition import ConditionSpec
    from maquette.core.spec import DataSpec
    from maquette.trust.signing import Source


def read(file: str | Path, condition: ConditionSpec, spec: DataSpec) -> NDArray[Any]:
    """The pixels of a file (of frames also a folder) as this condition takes them."""
    from maquette.data.decoding.shape import Form
    from maquette.data.ingest.decode import Decoder, Task
    from maquette.data.ingest.sequence import read_frames

    path = Path(file).expanduser()
    if condition.kind == "frames":
        return read_frames(path, condition.length, width=spec.width, height=spec.height, mode=condition.mode)
    mode: Any = "map" if condition.kind == "map" else condition.mode
    form = Form(width=spec.width, height=spec.height, mode=mode, small="enlarge")
    with Decoder(1) as decoder:
        (outcome,) = decoder.decode([Task(content=path, form=form)])
    if outcome.image is None:
        raise DataError(outcome.reason, where=file, do="give an image file")
    return outcome.image


def digest(file: str) -> str:
    """The digest of a file, or of the files of a folder in the order of their numbers."""
    from maquette.store.digest import file_digest

    digests = [file_digest(path) for path in _files(Path(file).expanduser())]
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()


def source(file: str) -> Source | None:
    """The file as an ingredient of what is made from it; of a folder of frames the last one."""
    from maquette.trust.press import source_of

    *_, last = _files(Path(file).expanduser())
    return source_of(last)


def _files(path: Path) -> Iterator[Path]:
    from maquette.data.ingest.sequence import frame_files

    yield from frame_files(path) if path.is_dir() else [path]
