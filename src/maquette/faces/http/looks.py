"""Pictures for the screen: any file, decoded by the bounded workers, scaled, and written anew as a harmless PNG."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.data.ingest.decode import Decoder
    from maquette.refining.run import Halfway

WORKERS = 2
WIDEST = 2048
KEPT = 96 << 20
"""Bytes of pictures that are kept."""


class Store:
    """Keeps what was asked for last, up to so many bytes."""

    def __init__(self, most: int = KEPT) -> None:
        self._most, self._size = most, 0
        self._kept: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any, make: Callable[[], Any], size: Callable[[Any], int]) -> Any:
        """What is kept under the key, or what is made now."""
        kept = self.find(key)
        if kept is not None:
            return kept
        made = make()
        self.put(key, made, size(made))
        return made

    def find(self, key: Any) -> Any:
        """What is kept under the key, or None."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: Any, made: Any, size: int) -> None:
        """Keep something; what was not asked for the longest goes."""
        with self._lock:
            self._size -= self._kept.pop(key, (None, 0))[1]
            if size <= self._most // 4:
                self._kept[key] = (made, size)
                self._size += size
            while self._size > self._most:
                _, (_, gone) = self._kept.popitem(last=False)
                self._size -= gone


class Halves:
    """Pictures halfway through recipes, so that a slider costs the steps from its own on alone.

    One belongs to one picture as it is shown. What was made by a trained model is not kept, since it may be trained on;
    what was made with the help of other files is, as long as those stay as they were.
    """

    def __init__(self, store: Store, picture: Hashable) -> None:
        self._store, self._picture = store, picture
        self.files: set[Path] = set()
        """The files that were read until now."""
        self.models = False
        """Whether a model was asked for."""

    def recall(self, steps: str) -> Halfway | None:
        """The picture after these steps, if it is kept and nothing that it was made with has changed."""
        kept = self._store.find((self._picture, steps))
        try:
            if kept is None or any(_key(path) != stamp for path, stamp in kept[1].items()):
                return None
        except OSError:
            return None
        self.files |= set(kept[1])
        found: Halfway = kept[0]
        return found

    def keep(self, steps: str, halfway: Halfway) -> None:
        """Keep it, unless a model had its hands in it."""
        if self.models:
            return
        try:
            stamps = {path: _key(path) for path in self.files}
        except OSError:  # one went while it was looked at
            return
        size = halfway.image.nbytes + sum(weights.nbytes for weights in halfway.found.values())
        self._store.put((self._picture, steps), (halfway, stamps), int(size))


class Looks:
    """Decodes and keeps pictures. Threads share it."""

    def __init__(self) -> None:
        self._decoder: Decoder | None = None
        self._lock, self._two = threading.Lock(), threading.Semaphore(WORKERS)
        self._images, self._files, self._halves = Store(), Store(KEPT // 2), Store()

    def image(self, path: Path) -> NDArray[Any]:
        """The pixels of a file of any origin."""
        return self._images.get(_key(path), lambda: self._decoded(path), lambda image: int(image.nbytes))  # type: ignore[no-any-return]

    def png(self, path: Path, width: int | None) -> bytes:
        """A file as a PNG, at most so wide (or, where it is smaller, enlarged by whole numbers)."""

        def make() -> bytes:
            with self._two:  # large pictures are held by a few threads at most
                return png(scaled(self.image(path), width))

        return bytes(self._files.get((_key(path), width), make, len))

    def small(self, path: Path, width: int) -> tuple[NDArray[Any], int]:
        """A file no wider than the screen, and how wide it is; kept, since previews ask for it again and again."""

        def make() -> tuple[NDArray[Any], int]:
            image = self.image(path)
            return (scaled(image, width) if width < image.shape[1] else image), int(image.shape[1])

        return self._images.get((_key(path), width), make, lambda made: int(made[0].nbytes))  # type: ignore[no-any-return]

    def halves(self, path: Path, width: int) -> Halves:
        """What is kept of this picture, so wide, halfway through recipes."""
        return Halves(self._halves, (_key(path), width))

    def close(self) -> None:
        """End the workers."""
        with self._lock:
            if self._decoder is not None:
                self._decoder.close()

    def _decoded(self, path: Path) -> NDArray[Any]:
        from maquette.data.decoding.shape import WHOLE
        from maquette.data.ingest.decode import Decoder, Task
        from maquette.engine.files.refine import LIMITS

        with self._lock:
            if self._decoder is None:
                self._decoder = Decoder(WORKERS, LIMITS)
        outcome = next(iter(self._decoder.decode([Task(content=path, form=WHOLE)])))
        if outcome.image is None:
            raise DataError(f"{path.name} cannot be shown: {outcome.reason}")
        return outcome.image


def _key(path: Path) -> tuple[str, int, int]:
    found = os.stat(path)
    return (os.fspath(path), found.st_mtime_ns, found.st_size)


def fitted(image: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """The image in that size."""
    import cv2
    import numpy as np

    if image.shape[:2] == (height, width):
        return image
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small.reshape(height, width, image.shape[2]))


def scaled(image: NDArray[Any], width: int | None) -> NDArray[Any]:
    """The image so wide: made smaller by averages, larger by repeating pixels a whole number of times."""
    import cv2
    import numpy as np

    from maquette.core.image import convert, mode_of, premultiply, unpremultiply

    if image.ndim == 3 and image.dtype == np.uint16 and image.shape[2] > 1:
        image = (image >> 8).astype(np.uint8)
    if mode_of(image) == "grey16":
        image = convert(image, "grey")
    if width is None or width == image.shape[1]:
        return image
    if width > image.shape[1]:
        times = max(1, width // image.shape[1])
        return np.asarray(image.repeat(times, axis=0).repeat(times, axis=1))
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    small = cv2.resize(premultiply(image), (width, height), interpolation=cv2.INTER_AREA)
    return unpremultiply(small.reshape(height, width, image.shape[2]))


def png(image: NDArray[Any]) -> bytes:
    """A PNG, written quickly."""
    import io

    from maquette.core.image import to_pil

    stream = io.BytesIO()
    to_pil(image).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def quick(image: NDArray[Any], kind: str = "") -> tuple[bytes, str]:
    """The picture as quickly as may be: JPEG where nothing is transparent and it is large, else PNG."""
    import io

    from maquette.core.image import to_pil

    kind = kind or ("png" if image.shape[2] == 4 or image.size < 3 * 128 * 128 else "jpeg")
    if kind == "png":
        return png(image), "image/png"
    if kind == "jpeg" and image.shape[2] == 4:
        from maquette.core.image import convert

        image = convert(image, "rgb")
    stream = io.BytesIO()
    if kind == "webp":
        to_pil(image).save(stream, "WEBP", quality=90, method=0)
    else:
        to_pil(image).save(stream, "JPEG", quality=92, subsampling=0)
    return stream.getvalue(), f"image/{kind}"
