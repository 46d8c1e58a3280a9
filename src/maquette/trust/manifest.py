"""What an image says about where it came from: the model, the data, the seed, what was asked for, what was done after.

It holds no personal data unless the maker chose a name: no user, no path, no host. Read from files that anybody may
have written, it is bounded before it is believed.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from maquette.core.errors import TrustError
from maquette.store.digest import canonical_json, json_digest

VERSION = 1
LABEL = "org.maquette.manifest"
"""The name of the C2PA assertion that holds the manifest."""
Kind = Literal["sampled", "guided", "edited", "sheet"]
KINDS: tuple[Kind, ...] = ("sampled", "guided", "edited", "sheet")
"""Made from a seed alone; from a seed and an image that was given; from another image; several made images in one."""
LARGEST = 32_768
"""Bytes of a manifest as JSON."""
DEPTH = 8
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_MARK = re.compile(r"[0-9a-f]{0,64}")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Where one image came from."""

    kind: Kind
    time: str
    """UTC, to the second: 2026-11-21T10:00:00Z."""
    software: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Versions of what computed, and on what: maquette, python, torch, device, threads, processor."""
    maker: str = ""
    """The name that the maker chose; empty when none was chosen."""
    family: str = ""
    model: str = ""
    """The digest of the model file."""
    dataset: str = ""
    """The digest of the dataset that the model learned from."""
    set_aside: str = ""
    """The digest of the list of what was left out of that dataset."""
    seed: int | None = None
    seeds: Sequence[int] = ()
    """Of a sheet: the first and the last. Of an image made of a mix of seeds: all of them."""
    weights: Sequence[float] = ()
    """Of an image made of a mix of seeds: how much each counts. `seed` is the one that counts most."""
    conditions: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the image was asked to be; of an image that was given, its digest."""
    dials: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    refinements: Sequence[Mapping[str, Any]] = ()
    """What was done to the image after it was made, in order."""
    batch: int = 0
    """Images computed in one pass, on which the last bits depend."""
    mark: str = ""
    """The bits of the watermark, in hexadecimal; empty when there is none."""
    strength: float | None = None
    """How strong the watermark is."""
    tile: str = ""
    """The axes along which the image repeats without a seam."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise TrustError(f"{str(self.kind)[:40]!r} is no kind of manifest")
        for name, pattern in _PATTERNS.items():
            value = getattr(self, name)
            if not isinstance(value, str) or not pattern.fullmatch(value):
                raise TrustError(f"{name} = {str(value)[:80]!r} has no place in a manifest")
        for name in ("software", "conditions", "dials"):
            value = getattr(self, name)
            if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
                raise TrustError(f"{name} of a manifest is not a table")
            object.__setattr__(self, name, _plain(value))
        if self.seed is not None and not (type(self.seed) is int and 0 <= self.seed < 2**63):
            raise TrustError("the seed of a manifest is not a seed")
        if self.strength is not None and not (type(self.strength) in (int, float) and math.isfinite(self.strength)):
            raise TrustError("the strength of a manifest is not a number")
        if type(self.batch) is not int or not 0 <= self.batch < 2**31:
            raise TrustError("the batch of a manifest is not a count")
        for name in ("refinements", "seeds"):
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)) or len(value) > 256:
                raise TrustError(f"{name} of a manifest is not a list, or too long")
            object.__setattr__(self, name, tuple(_plain(value)))
        if not all(isinstance(step, Mapping) for step in self.refinements):
            raise TrustError("a refinement of a manifest is not a table")
        if not all(type(seed) is int and 0 <= seed < 2**63 for seed in self.seeds):
            raise TrustError("a seed of a manifest is not a seed")
        if not (isinstance(self.weights, (list, tuple)) and len(self.weights) in (0, len(self.seeds))):
            raise TrustError("the weights of a manifest are not a list, or not one for each seed")
        if not all(type(weight) in (int, float) and math.isfinite(weight) for weight in self.weights):
            raise TrustError("a weight of a manifest is not a number")
        object.__setattr__(self, "weights", tuple(float(weight) for weight in self.weights))
        if len(canonical_json(self.to_json())) > LARGEST:
            raise TrustError(f"a manifest has at most {LARGEST:,} bytes", do="say less in conditions and refinements")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, without what was not said."""
        found: dict[str, Any] = {"version": VERSION}
        for part in dataclasses.fields(self):
            value = getattr(self, part.name)
            if value not in (None, "", {}, (), []) and not (part.name == "batch" and value == 0):
                found[part.name] = list(value) if isinstance(value, tuple) else value
        return found

    @classmethod
    def from_json(cls, value: Any) -> Manifest:
        """The inverse of `to_json`, for a value that anybody may have written."""
        if not isinstance(value, Mapping):
            raise TrustError("the manifest is not a table")
        version = value.get("version")
        if type(version) is not int or version < 1:
            raise TrustError("the manifest does not say of which version it is")
        if version > VERSION:
            raise TrustError(
                f"the manifest has version {min(version, 10**9)}, written by a newer Maquette", do="update Maquette"
            )
        fields = {part.name for part in dataclasses.fields(cls)}
        unknown = [str(key)[:40] for key in value if key not in fields and key != "version"]
        if unknown:
            raise TrustError(f"the manifest has the entry {unknown[0]!r}, which no manifest has")
        missing = {"kind", "time"} - set(value)
        if missing:
            raise TrustError(f"the manifest does not say its {sorted(missing)[0]}")
        return cls(**{key: item for key, item in value.items() if key != "version"})

    @property
    def digest(self) -> str:
        """The digest of all it says."""
        return json_digest(self.to_json())

    def same_image(self, other: Manifest) -> bool:
        """Whether both say how the same image is made (when, by whom and with what software aside)."""
        rest: dict[str, Any] = {"time": "1970-01-01T00:00:00Z", "maker": "", "software": {}}
        return dataclasses.replace(self, **rest) == dataclasses.replace(other, **rest)


_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "time": _TIME, "maker": re.compile(r"[^\x00-\x1f\x7f]{0,64}"), "family": re.compile(r"[\w.-]{0,64}"),
    "model": re.compile(rf"(?:{_DIGEST.pattern})?"), "dataset": re.compile(rf"(?:{_DIGEST.pattern})?"),
    "set_aside": re.compile(rf"(?:{_DIGEST.pattern})?"), "mark": _MARK, "tile": re.compile("x?y?"),
}  # fmt: skip


def _plain(value: Any, depth: int = 0) -> Any:
    """The value as plain JSON: what is nested too deeply, not finite or of another kind is refused."""
    if depth > DEPTH:
        raise TrustError("the manifest is nested too deeply")
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        short = float(f"{value:.15g}")  # the C2PA library may change the last digits of longer ones
        return short if math.isfinite(short) else value
    if isinstance(value, Mapping) and len(value) <= 256:
        return {_word(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and len(value) <= 1024:
        return [_plain(item, depth + 1) for item in value]
    raise TrustError(f"a manifest cannot hold this {type(value).__name__}")


def _word(key: Any) -> str:
    if not isinstance(key, str) or len(key) > 256:
        raise TrustError("a manifest has only words of at most 256 letters as names")
    return key
