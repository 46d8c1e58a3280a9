"""What an op takes, in words: dials as help, forms, documents and recipes see them. Loads neither NumPy nor OpenCV."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from maquette.core.errors import UsageError, nearest
from maquette.core.settings import Described, SettingKind

DialKind = Literal[
    "number", "integer", "switch", "choice", "text", "colour", "colours", "numbers", "file", "image", "model"
]
OpKind = Literal["filter", "effect", "geometry", "colour", "segment", "select"]
OP_KINDS: tuple[OpKind, ...] = get_args(OpKind)
_FORMS: Mapping[str, str] = {
    "number": "X", "integer": "N", "switch": "yes|no", "choice": "WORD", "text": "TEXT", "colour": "#RRGGBB",
    "colours": "#RRGGBB:#RRGGBB", "numbers": "X:X:...", "file": "FILE", "image": "FILE", "model": "RUN",
}  # fmt: skip
_WORDS: Mapping[str, str] = {
    "number": "a number", "integer": "a whole number", "switch": "yes or no", "colour": "a colour such as #ff8800",
    "colours": "colours such as #ff8800:#223344", "numbers": "numbers such as 0.2:0.8", "text": "a word",
    "choice": "a word", "file": "a file", "image": "an image file", "model": "a run",
}  # fmt: skip


@dataclass(frozen=True)
class Dial:
    """Says what one parameter of an op is: `radius: Annotated[float, Dial("in pixels", gt=0, le=50)] = 1.0`."""

    help: str
    _: dataclasses.KW_ONLY
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] = ()
    kind: DialKind | None = None
    """Where the type does not say it: colour, colours, file and image are all text to Python."""
    form: str = ""
    """How a value is written, where the usual form says too little: `LEFT:TOP:RIGHT:BOTTOM`."""
    count: int | None = None
    """How many numbers or colours there are, where it is not free."""
    needed: bool = False
    """That it must be given: the default is None and the op can do nothing without it."""
    pixels: bool = False
    """That it is a length in pixels, and so half as long where the image is shown at half its size."""


@dataclass(frozen=True, kw_only=True)
class DialSchema:
    """One dial of an op."""

    name: str
    """As it is typed: with dashes."""
    kind: DialKind
    help: str
    default: Any = None
    choices: tuple[str, ...] = ()
    bounds: Mapping[str, float] = field(default_factory=dict)
    form: str = ""
    count: int | None = None
    needed: bool = False
    pixels: bool = False

    @property
    def parameter(self) -> str:
        """The name of the function's parameter."""
        return self.name.replace("-", "_")

    def described(self) -> Described:
        """As a setting, for help and documents."""
        several = ":".join("X" * self.count) if self.kind == "numbers" and self.count else ""
        kinds: dict[str, SettingKind] = {"number": "number", "integer": "integer", "switch": "switch"}
        return Described(
            name=self.parameter, option=self.name, kind=kinds.get(self.kind, "text"), help=self.help,
            default=join(self.default) if isinstance(self.default, (list, tuple)) else self.default,
            choices=self.choices, bounds=self.bounds, required=self.needed,
            form=self.form or several or _FORMS[self.kind],
        )  # fmt: skip

    def read(self, value: Any) -> Any:
        """The value as the op takes it, from a word, from JSON or from Python; fails with a sentence."""
        if value is None and self.default is None:
            return None
        read = _READ[self.kind](value)
        if read is None:
            raise UsageError(f"{self.name} = {_shown(value)} is not possible", do=f"give {_WORDS[self.kind]}")
        if self.kind == "choice" and read not in self.choices:
            raise UsageError(f"{self.name} = {_shown(value)} is not possible", do=nearest(read, self.choices))
        numbers = read if self.kind == "numbers" else (read,) if self.kind in ("number", "integer") else ()
        for number in numbers:
            self._check(number)
        if self.count is not None and isinstance(read, tuple) and len(read) != self.count:
            raise UsageError(
                f"{self.name} = {_shown(value)} is not possible",
                do=f"give {self.count} of them, as {self.described().form}",
            )
        return read

    def shrunk(self, value: Any, share: float) -> Any:
        """A length for an image that is so much smaller, within the bounds."""
        if not self.pixels or value is None:
            return value
        low = self.bounds.get("ge", self.bounds.get("gt", -math.inf))
        length = max(value * share, low if "ge" in self.bounds else low + 1e-3)
        return max(math.ceil(low), round(length)) if self.kind == "integer" else length

    def _check(self, number: float) -> None:
        checks: dict[str, tuple[Callable[[float, float], bool], str]] = {
            "ge": (lambda a, b: a >= b, "at least"), "gt": (lambda a, b: a > b, "more than"),
            "le": (lambda a, b: a <= b, "at most"), "lt": (lambda a, b: a < b, "less than"),
        }  # fmt: skip
        for bound, limit in self.bounds.items():
            holds, words = checks[bound]
            if not holds(number, limit):
                raise UsageError(f"{self.name} = {number:g} is not possible", do=f"give {words} {limit:g}")


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, (str, int, float)) else f"something of the type {type(value).__name__}"


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _integer(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,20}", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = _number(value)
    return int(number) if number is not None and number.is_integer() and abs(number) < 2**53 else None


def _switch(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}.get(str(value).lower())


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _colour(value: Any) -> str | None:
    if not isinstance(value, str) or not re.fullmatch(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})", value):
        return None
    digits = value[1:].lower()
    return "#" + (digits if len(digits) == 6 else "".join(2 * digit for digit in digits))


def _several(one: Any) -> Any:
    def read(value: Any) -> tuple[Any, ...] | None:
        parts = value.split(":") if isinstance(value, str) else value
        if not isinstance(parts, (list, tuple)) or not parts:
            return None
        values = tuple(one(part) for part in parts)
        return None if None in values else values

    return read


def _file(value: Any) -> str | None:
    return os.fspath(value) if isinstance(value, (str, os.PathLike)) and os.fspath(value) else None


def _or_object(value: Any) -> Any:
    """A name, or in Python the thing itself: an array, a callable."""
    return value or None if isinstance(value, str) else _file(value) or value


_READ: Mapping[str, Any] = {
    "number": _number, "integer": _integer, "switch": _switch, "choice": _text, "text": _text, "colour": _colour,
    "colours": _several(_colour), "numbers": _several(_number), "file": _file, "image": _or_object,
    "model": _or_object,
}  # fmt: skip


def join(values: Any) -> str:
    """Several numbers or colours as one word."""
    return ":".join(f"{value:.12g}" if isinstance(value, float) else str(value) for value in values)


STRENGTH = DialSchema(
    name="strength", kind="number", default=1.0, bounds={"ge": 0, "le": 1},
    help="how much of the op's effect is laid over the image; 0 changes nothing",
)  # fmt: skip
"""A dial of every op."""


@dataclass(frozen=True, kw_only=True)
class OpSchema:
    """An op in words: what it is for, and what it takes."""

    name: str
    kind: OpKind
    summary: str
    description: str = ""
    module: str = ""
    """Where it is, so that only that file is imported."""
    dials: tuple[DialSchema, ...] = ()
    shape: Literal["same", "changes"] = "same"
    """Whether the image has the same width and height afterwards."""

    def dial(self, name: str) -> DialSchema:
        """The dial of that name; fails with the nearest ones."""
        known = {dial.name: dial for dial in self.dials} | {"strength": STRENGTH}
        found = known.get(name.replace("_", "-"))
        if found is None:
            raise UsageError(f"{self.name} has no dial {name!r}", do=nearest(name, known))
        return found

    def read(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values that were given, checked; by parameter."""
        read: dict[str, Any] = {}
        for name, value in values.items():
            dial = self.dial(name)
            try:
                read[dial.parameter] = dial.read(value)
            except UsageError as error:
                raise UsageError(f"{self.name}: {error.what}", do=error.do) from None
        return read

    def check_needs(self, values: Mapping[str, Any]) -> None:
        """Fail if something is missing that the op cannot do without."""
        for dial in self.dials:
            if dial.needed and values.get(dial.parameter) is None:
                form = dial.described().form
                raise UsageError(f"{self.name} needs its {dial.name}", do=f"write {self.name} {dial.name}={form}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; of a dial only what is worth saying."""
        plain = {key: part for key, part in dataclasses.asdict(self).items() if part}
        usual = dataclasses.asdict(DialSchema(name="", kind="text", help=""))
        plain["dials"] = [
            {key: _plain(part) for key, part in dial.items() if key in ("name", "kind") or part != usual[key]}
            for dial in plain.get("dials", ())
        ]
        return plain

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> OpSchema:
        """The inverse of `to_json`."""
        dials = tuple(
            DialSchema(
                **{
                    **dial,
                    "choices": tuple(dial.get("choices", ())),
                    "default": tuple(dial["default"]) if isinstance(dial.get("default"), list) else dial.get("default"),
                }
            )
            for dial in value["dials"]
        )
        return cls(**{**value, "dials": dials})


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
