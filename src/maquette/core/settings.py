"""Settings are frozen dataclasses; here they go to and from JSON, command-line words and JSON Schema.

A field is declared with `setting(default, help, ge=..., le=...)`. Unknown keys, wrong types and values out of range
fail with a sentence that names the key, the value and what is allowed.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from maquette.core.errors import UsageError, nearest

T = TypeVar("T")
_BOUNDS = ("ge", "gt", "le", "lt", "multiple_of")


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    read: Callable[[str], Any] | None = None,
    form: str = "",
    repeat: bool = False,
    **bounds: float,
) -> Any:
    """Declare one setting: its default, one sentence about it, and optional bounds (ge, gt, le, lt, multiple_of).

    `read` turns a word into the value before it is checked (`parse_seconds`); `form` shows how a value is written
    (`KEY=VALUE`); a list that may `repeat` takes each word whole, others split a word at its commas.
    """
    unknown = set(bounds) - set(_BOUNDS)
    if unknown:
        raise TypeError(f"unknown bounds {sorted(unknown)}")
    if isinstance(default, (list, dict)):
        raise TypeError("a setting's default is immutable: use a tuple")
    metadata = {"help": help, "choices": choices, "bounds": bounds, "read": read, "form": form, "repeat": repeat}
    return dataclasses.field(default=default, metadata=metadata)


def required(
    help: str, *, choices: tuple[str, ...] = (), read: Callable[[str], Any] | None = None, form: str = ""
) -> Any:
    """Declare a setting that must be given."""
    return dataclasses.field(metadata={"help": help, "choices": choices, "bounds": {}, "read": read, "form": form})


def argument(help: str, *, many: bool = False, default: Any = dataclasses.MISSING, form: str = "") -> Any:
    """Declare a setting that stands on the command line without a name; `many` takes all words that are left."""
    metadata = {"help": help, "bounds": {}, "place": "argument", "repeat": many, "form": form}
    return dataclasses.field(default=default, metadata=metadata)


def dials(help: str) -> Any:
    """Declare the place (a `Mapping[str, str]`) for settings that only the work itself knows: a family's own dials."""
    return dataclasses.field(default_factory=dict, metadata={"help": help, "bounds": {}, "place": "dials"})


SettingKind = Literal["text", "integer", "number", "switch", "list", "mapping", "settings"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Described:
    """One setting as help, forms and documents show it."""

    name: str
    option: str
    """The name as it is typed: `held-out` for `held_out`, `from` for `from_`."""
    kind: SettingKind
    help: str
    default: Any = None
    required: bool = False
    place: Literal["option", "argument", "dials"] = "option"
    repeat: bool = False
    choices: tuple[str, ...] = ()
    bounds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    form: str = ""


def describe(cls: type) -> tuple[Described, ...]:
    """The settings of a class in their order. Loads no validator, so that help stays fast."""
    hints = typing.get_type_hints(cls)
    return tuple(_describe(field, hints[field.name]) for field in dataclasses.fields(cls))


def _describe(field: dataclasses.Field[Any], hint: Any) -> Described:
    parts = [part for part in get_args(hint) if part is not type(None)] if _is_union(hint) else [hint]
    choices = field.metadata.get("choices") or tuple(
        str(choice) for part in parts if get_origin(part) is Literal for choice in get_args(part)
    )
    needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    return Described(
        name=field.name,
        option=field.name.rstrip("_").replace("_", "-"),
        kind=_kind(parts),
        help=field.metadata.get("help", ""),
        default=None if needed else _plain(default),
        required=needed,
        place=field.metadata.get("place", "option"),
        repeat=field.metadata.get("repeat", False),
        choices=choices,
        bounds=field.metadata.get("bounds", {}),
        form=field.metadata.get("form", ""),
    )


def _kind(parts: list[Any]) -> SettingKind:
    kinds: dict[Any, SettingKind] = {bool: "switch", int: "integer", float: "number"}
    for part in parts:
        if part in kinds:
            return kinds[part]
        origin = get_origin(part) or part
        if origin in (tuple, list):
            return "list"
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return "mapping"
        if dataclasses.is_dataclass(origin):
            return "settings"
    return "text"


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (typing.Union, types.UnionType)


@functools.cache
def _model(cls: type) -> Any:
    import pydantic

    hints = typing.get_type_hints(cls)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        default = ... if field.default is dataclasses.MISSING else field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        kind = hints[field.name]
        if field.metadata.get("choices"):
            literal: Any = typing.Literal.__getitem__(tuple(field.metadata["choices"]))
            kind = literal | None if type(None) in get_args(kind) else literal
        info = pydantic.Field(default, description=field.metadata.get("help"), **field.metadata.get("bounds", {}))
        fields[field.name] = (_finite(kind), info)
    config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return pydantic.create_model(cls.__name__, __config__=config, **fields)


def _finite(kind: Any) -> Any:
    """The type with every float in it restricted to finite numbers."""
    import pydantic

    if kind is float:
        return pydantic.FiniteFloat
    if _is_union(kind):
        return functools.reduce(operator.or_, (_finite(part) for part in get_args(kind)))
    if get_origin(kind) is tuple:
        return tuple[tuple(_finite(part) for part in get_args(kind))]  # type: ignore[misc]
    return kind


def _is_sequence(kind: Any) -> bool:
    if _is_union(kind):
        return any(_is_sequence(part) for part in get_args(kind))
    return get_origin(kind) in (tuple, list)


def from_json(cls: type[T], values: Mapping[str, Any], *, what: str = "settings") -> T:
    """Build settings of class `cls` from a mapping; text values are read as the field's type."""
    import pydantic

    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise UsageError(f"{what}: there is no setting {key!r}", do=nearest(key, fields))
    hints = typing.get_type_hints(cls)
    read = {key: _read(fields[key], hints[key], value, what) for key, value in values.items()}
    try:
        checked = _model(typing.cast(type, cls)).model_validate(read)
    except pydantic.ValidationError as error:
        raise _sentence(error.errors()[0], what) from None
    return cls(**{name: getattr(checked, name) for name in fields})


_WANTED = {
    "int_parsing": "should be a whole number", "int_type": "should be a whole number",
    "int_from_float": "should be a whole number", "float_parsing": "should be a number",
    "float_type": "should be a number", "bool_parsing": "should be yes or no", "bool_type": "should be yes or no",
    "greater_than_equal": "should be at least {ge}", "greater_than": "should be more than {gt}",
    "less_than_equal": "should be at most {le}", "less_than": "should be less than {lt}",
}  # fmt: skip
"""What the validator misses, by the name of its complaint; its own words are for programmers."""


def _sentence(error: Any, what: str) -> UsageError:
    """The validator's first complaint in plain words."""
    key = ".".join(str(part) for part in error["loc"][:1]).rstrip("_")
    given = error["input"]
    if error["type"] == "missing":
        return UsageError(f"{what}: {key} must be given")
    if error["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return UsageError(f"{what}: {key} = {given!r} is not possible", do=nearest(str(given), choices))
    whole = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in error.get("ctx", {}).items()}
    wanted = _WANTED.get(error["type"], "").format(**whole)
    reason = wanted or str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return UsageError(f"{what}: {key} = {given!r} is not possible (it {reason[:1].lower() + reason[1:]})")


def _read(field: dataclasses.Field[Any], hint: Any, value: Any, what: str) -> Any:
    """A word as the value it stands for, an object as the settings it describes; all else stays as it is."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_json(hint, value, what=f"{what}: {field.name}")
    if not isinstance(value, str):
        return value
    if field.metadata.get("read"):
        try:
            return field.metadata["read"](value)
        except UsageError as error:
            raise UsageError(error.what, where=f"{what}: {field.name.rstrip('_')}", do=error.do) from None
    if not _is_sequence(hint):
        return value
    if field.metadata.get("repeat"):
        return (value,)
    return tuple(part.strip() for part in value.split(",") if part.strip())


def to_json(settings: Any) -> dict[str, Any]:
    """The settings as plain JSON values (tuples become lists, nested settings become objects)."""
    return {field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list, set, frozenset)):
        return [_plain(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def schema(cls: type) -> dict[str, Any]:
    """JSON Schema of the settings class."""
    return typing.cast("dict[str, Any]", _model(cls).model_json_schema())


def parse_pairs(pairs: typing.Iterable[str]) -> dict[str, str]:
    """Read words like `width=64` into a mapping."""
    values: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise UsageError(f"{pair!r} is not of the form KEY=VALUE")
        values[key.strip().replace("-", "_")] = value.strip()
    return values


def parse_seconds(text: str | float) -> float:
    """Read a time such as `90`, `90s`, `10m` or `1h30m` as seconds."""
    word = str(text).strip().lower()
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", word)
    if not word or match is None:
        raise UsageError(f"{text!r} is not a time", do="write for example 90s, 10m or 1h30m")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    total = days * 86400 + hours * 3600 + minutes * 60 + seconds
    if not 0 < total <= 366 * 86400:
        raise UsageError(f"a time of {text!r} is not possible", do="give more than 0 seconds and at most a year")
    return total


def parse_count(text: str | int) -> int:
    """Read a count such as `5000`, `200k` or `1.5M`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([km]?)", str(text).strip().lower().replace("_", "").replace(",", ""))
    if match is None:
        raise UsageError(f"{text!r} is not a count", do="write for example 5000, 200k or 1.5M")
    count = round(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2]])
    if not 0 < count <= 10**12:
        raise UsageError(f"a count of {text!r} is not possible", do="give at least 1")
    return count
