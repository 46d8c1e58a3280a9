"""What is said about the images of a dataset, corrected in bulk: labels, captions and numbers, in a new edition."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.condition import ConditionSpec
from maquette.core.errors import ConditionError, DataError, UsageError
from maquette.core.spec import DataSpec
from maquette.core.words import plural
from maquette.data.audit.repair import find
from maquette.data.dataset import Dataset
from maquette.data.edition import Changes, revise

_LARGEST = 256 << 20
_PATHS = ("file_name", "path", "image", "file")


def assign(
    data: Dataset, names: Sequence[str], condition: str, value: str | None, *, kind: str = "label"
) -> tuple[Dataset, int]:
    """Say the same of all these images. Returns the new edition and how many values are other than before."""
    return _apply(data, {condition: dict.fromkeys(find(data, names).tolist(), value)}, kind)


def from_table(data: Dataset, path: Path) -> tuple[Dataset, int]:
    """Say what a CSV file says: one row an image, one column a condition. Empty cells change nothing."""
    rows = _read(path)
    column = next((name for name in _PATHS if name in rows[0]), None)
    if column is None:
        raise DataError("it has no column file_name", where=path, do="name the images in a column file_name or path")
    place: dict[str, int] = {}
    twice: set[str] = set()
    for index in np.concatenate([data.indices("train"), data.indices("held-out")]).tolist():
        name = str(data.item(index).get("path", ""))
        twice |= {name} if name in place else set()
        place[name] = index
    said: dict[str, dict[int, str | None]] = {name: {} for name in rows[0] if name and name != column}
    for number, row in enumerate(rows, 2):
        name = (row[column] or "").strip()
        if name not in place:
            raise DataError(f"line {number}: no image in use is called {name!r}", where=path, do="check its path")
        if name in twice:
            raise DataError(f"line {number}: several images are called {name!r}", where=path, do="label them apart")
        for key in said:
            if row[key]:
                said[key][place[name]] = row[key].strip()
    return _apply(data, said, "label")


def rename(data: Dataset, condition: str, pairs: Sequence[str]) -> tuple[Dataset, int]:
    """Give labels other names; two labels that get one name become one."""
    spec = data.spec.condition(condition)
    if spec.kind != "label":
        raise UsageError(f"{condition} is no label", do="only labels have names")
    new = list(spec.classes)
    for pair in pairs:
        old, sign, name = (part.strip() for part in pair.partition("="))
        if not sign or not name:
            raise UsageError(f"{pair!r} is not of the form OLD=NEW")
        if old not in spec.classes:
            raise ConditionError(f"there is no {condition} {old!r}", do=f"there are: {', '.join(spec.classes)}")
        new[spec.classes.index(old)] = name
    classes = tuple(dict.fromkeys(new))
    table = np.array([classes.index(name) for name in new], np.int32)
    values = _values(data, spec)
    moved = np.where(values >= 0, table[np.maximum(values, 0)], values).astype(np.int32)
    touched = np.array([a != b for a, b in zip(spec.classes, new, strict=True)])
    count = int(np.count_nonzero((values >= 0) & touched[np.maximum(values, 0)]))
    changed = _replaced(data.spec, replace(spec, classes=classes))
    what = f"labels renamed: {', '.join(pairs)}"
    manifest = {"renamed": list(pairs)}
    return revise(data, Changes(what=what, spec=changed, conditions={condition: moved}), manifest=manifest), count


def _read(path: Path) -> list[dict[str, str]]:
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError("the table is too large", where=path, do="cut it into several")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"it cannot be read ({(error.strerror or str(error)).lower()})", where=path) from None
    except UnicodeDecodeError:
        raise DataError("it is not UTF-8 text", where=path, do="save it as CSV in UTF-8") from None
    try:
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise DataError(f"it is not a table ({error})", where=path, do="save it as CSV") from None
    if not rows:
        raise DataError("the table has no rows", where=path, do="one row an image")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise DataError(f"line {number} has another number of cells than the first", where=path)
    return rows


def _apply(data: Dataset, said: Mapping[str, Mapping[int, str | None]], kind: str) -> tuple[Dataset, int]:
    """Encode the values, extend labels and ranges where they need it, and make an edition of what changed."""
    spec, changed, arrays = data.spec, 0, {}
    decided: list[dict[str, Any]] = []
    known = {condition.name for condition in spec.conditions}
    for name, values in said.items():
        if not values:
            continue
        condition = spec.condition(name) if name in known else _fresh(name, kind, values)
        if condition.kind not in ("label", "text", "number"):
            raise UsageError(f"{name} is {condition.kind}, which cannot be said in words")
        condition = _wide_enough(condition, values)
        before = _values(data, condition) if name in known else _missing(condition, len(data))
        after = before.copy()
        for index, value in values.items():
            after[index] = condition.encode(_number(value, name) if condition.kind == "number" else value)
        same = (before == after) | ((before != before) & (after != after))  # NaN is equal to itself here
        other = ~same.reshape(len(same), -1).all(1)
        changed += int(other.sum())
        if other.any() or name not in known:
            arrays[name] = after
            spec = _replaced(spec, condition)
            decided += [
                {
                    "item": int(k), "path": data.item(int(k)).get("path", ""), "condition": name,
                    "before": condition.describe(before[k]), "after": condition.describe(after[k]),
                }
                for k in np.flatnonzero(other)
            ]  # fmt: skip
    if not arrays:
        return data, 0
    what = f"{plural(changed, 'value')} of {', '.join(arrays)} changed"
    return revise(data, Changes(what=what, spec=spec, conditions=arrays), manifest={"decisions": decided}), changed


def _fresh(name: str, kind: str, values: Mapping[int, str | None]) -> ConditionSpec:
    if not name.isidentifier():
        raise UsageError(f"{name!r} cannot be the name of a condition", do="use letters, digits and _")
    words = [value for value in values.values() if value is not None]
    if not words:
        raise UsageError(f"there is no condition {name!r} to take values away from")
    if kind == "label":
        return ConditionSpec(name=name, kind="label", classes=tuple(dict.fromkeys(words)))
    if kind == "number":
        numbers = [_number(word, name) for word in words]
        return ConditionSpec(name=name, kind="number", low=min(numbers), high=max(numbers))
    return ConditionSpec(name=name, kind="text")


def _wide_enough(condition: ConditionSpec, values: Mapping[int, str | None]) -> ConditionSpec:
    words = [value for value in values.values() if value is not None]
    if condition.kind == "label":
        return replace(condition, classes=tuple(dict.fromkeys([*condition.classes, *words])))
    if condition.kind == "number" and words:
        numbers = [_number(word, condition.name) for word in words]
        return replace(condition, low=min(condition.low, *numbers), high=max(condition.high, *numbers))
    return condition


def _number(value: str | None, name: str) -> float:
    try:
        number = float(value or "nan")
    except ValueError:
        number = float("nan")
    if value is not None and not np.isfinite(number):
        raise ConditionError(f"{name} = {value!r} is not a number")
    return number


def _replaced(spec: DataSpec, condition: ConditionSpec) -> DataSpec:
    known = [c.name for c in spec.conditions]
    if condition.name in known:
        return replace(spec, conditions=tuple(condition if c.name == condition.name else c for c in spec.conditions))
    return replace(spec, conditions=(*spec.conditions, condition))


def _values(data: Dataset, condition: ConditionSpec) -> NDArray[Any]:
    return data.conditions(np.arange(len(data)), [condition.name])[condition.name]


def _missing(condition: ConditionSpec, count: int) -> NDArray[Any]:
    missing = condition.missing()
    return np.broadcast_to(missing, (count, *missing.shape)).copy()
