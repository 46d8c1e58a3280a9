"""What an image is asked to be: label, text, number, image, map or frames. The one place where what a user typed
becomes numbers.

A `ConditionSpec` says what a dataset knows about each image, and travels from the dataset to the model to the command
line. Encoded values are small NumPy arrays; every kind has a value that means "not given".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core import image as images
from maquette.core.choices import KINDS as KINDS
from maquette.core.choices import Kind as Kind
from maquette.core.errors import ConditionError, DataError, UsageError, nearest

FLAT: frozenset[Kind] = frozenset({"label", "text", "number"})
"""Kinds that are one value an image; the others (`image`, `map`, `frames`) are as large as the image."""

NO_LABEL = -1
TEXT_BYTES = 96


@dataclass(frozen=True, kw_only=True)
class ConditionSpec:
    """One thing known about every image of a dataset."""

    name: str
    kind: Kind
    classes: tuple[str, ...] = ()
    """The names of labels, or of a map's integers."""
    low: float = 0.0
    high: float = 1.0
    """The range of a number in the dataset; it is scaled to [-1, 1]."""
    length: int = 0
    """Bytes of text, or how many frames."""
    mode: images.Mode = "rgb"
    """The mode of an image or of frames."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"there is no kind of condition {self.kind!r}", do=nearest(self.kind, KINDS))
        if self.kind in ("label", "map") and not self.classes:
            raise DataError(f"the condition {self.name!r} has no classes")
        if self.kind == "number" and not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise DataError(f"the condition {self.name!r} has a range that is not finite")
        for side in ("low", "high"):  # A range of whole numbers is the same range, and has the same digest.
            object.__setattr__(self, side, float(getattr(self, side)))
        if self.kind == "text" and not self.length:
            object.__setattr__(self, "length", TEXT_BYTES)

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """The shape of one encoded value, for images of this size."""
        channels = images.CHANNELS[self.mode]
        return {
            "label": (), "number": (), "text": (self.length,), "map": (height, width),
            "image": (height, width, channels), "frames": (self.length, height, width, channels),
        }[self.kind]  # fmt: skip

    @property
    def dtype(self) -> type[np.generic]:
        """The NumPy type of an encoded value."""
        if self.kind in ("image", "frames"):
            return images.dtype(self.mode)
        return {"label": np.int32, "number": np.float32, "text": np.uint8, "map": np.uint8}[self.kind]  # type: ignore[return-value]

    def missing(self) -> NDArray[Any]:
        """The value that means: not given."""
        if self.kind == "label":
            return np.array(NO_LABEL, np.int32)
        if self.kind == "number":
            return np.array(np.nan, np.float32)
        if self.kind == "text":
            return np.zeros(self.length, np.uint8)
        raise ConditionError(f"the condition {self.name!r} ({self.kind}) must be given")

    def encode(self, value: Any, height: int = 0, width: int = 0) -> NDArray[Any]:
        """What a user typed, or a dataset's row says, as numbers. `None` means: not given."""
        if value is None:
            return self.missing()
        if self.kind == "label":
            if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and str(value) not in self.classes:
                if not 0 <= int(value) < len(self.classes):
                    raise ConditionError(f"there is no {self.name} number {value}", do=f"there are {len(self.classes)}")
                return np.array(value, np.int32)
            if str(value) not in self.classes:
                raise ConditionError(f"there is no {self.name} {str(value)!r}", do=nearest(str(value), self.classes))
            return np.array(self.classes.index(str(value)), np.int32)
        if self.kind == "number":
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = math.nan
            if not abs(number) <= float(np.finfo(np.float32).max):
                raise ConditionError(f"{self.name} = {value!r} is not a number")
            return np.array(number, np.float32)
        if self.kind == "text":
            return encode_text(str(value), self.length)
        array = np.asarray(value)
        expected = self.shape(height, width)
        if array.shape != expected:
            raise ConditionError(f"the {self.kind} {self.name!r} has shape {array.shape}, the model needs {expected}")
        if self.kind != "map":
            if array.dtype != self.dtype:
                need = np.dtype(self.dtype)
                raise ConditionError(f"the {self.kind} {self.name!r} has pixels of {array.dtype}, not {need}")
            return array
        if array.dtype.kind not in "iu":
            raise ConditionError(f"the map {self.name!r} holds {array.dtype}", do="give the integers of its classes")
        for value in (int(array.min()), int(array.max())) if array.size else ():
            if not 0 <= value < len(self.classes):
                known = f"0 to {len(self.classes) - 1}"
                named = "" if self.classes[0] == "0" else f": {', '.join(self.classes[:12])}"
                raise ConditionError(
                    f"the map {self.name!r} holds {value}, and the classes are {known}{named}",
                    do="paint every pixel in one of these numbers",
                )
        return array.astype(self.dtype)

    def describe(self, encoded: NDArray[Any]) -> Any:
        """The encoded value in the words of the user; None where it was not given."""
        if self.kind == "label":
            return None if int(encoded) == NO_LABEL else self.classes[int(encoded)]
        if self.kind == "number":
            return None if math.isnan(float(encoded)) else float(encoded)
        if self.kind == "text":
            return bytes(encoded).rstrip(b"\0").decode("utf-8", "replace") or None
        return f"{self.kind} {'x'.join(str(n) for n in encoded.shape)}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name, "kind": self.kind, "classes": list(self.classes), "low": self.low, "high": self.high,
            "length": self.length, "mode": self.mode,
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ConditionSpec:
        """The inverse of `to_json`."""
        from maquette.core.settings import from_json

        return from_json(cls, value, what="condition")


def encode_text(text: str, length: int) -> NDArray[np.uint8]:
    """UTF-8 bytes cut at a character's end and filled with zeros."""
    encoded = " ".join(text.replace("\0", " ").split()).encode("utf-8", "replace")[:length]
    encoded = encoded.decode("utf-8", "ignore").encode("utf-8")
    return np.frombuffer(encoded.ljust(length, b"\0"), np.uint8).copy()
