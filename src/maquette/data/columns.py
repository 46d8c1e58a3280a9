"""What the columns of a source mean: each becomes a condition of one kind, by the rules below, or is left out by name.

    its name is label, class or category            label (also when it holds whole numbers)
    its name is text, caption, prompt, description  text
    it holds images, or names files beside them     map (if the name says map, mask or segmentation), else image
    it holds numbers (at least nine in ten)         number
    it holds true and false                         label
    it holds few different, short words             label
    it holds other words                            text

A value that is missing stays missing. A value of another kind than its column sets the image aside, with the reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from maquette.core.condition import ConditionSpec, Kind
from maquette.core.image import Mode

LABELS = ("label", "labels", "class", "category")
TEXTS = ("text", "caption", "captions", "prompt", "description")
PICTURES = ("image", "map", "mask", "segmentation", "conditioning_image", "input_image")
IGNORED = (
    "file_name", "filename", "file", "split", "id", "idx", "index", "uuid", "url", "path", "hash", "md5", "sha1",
    "sha256", "__index_level_0__",
)  # fmt: skip
MOST_CLASSES = 1000
FEW_WORDS, SHORT_WORD = 100, 40
TEXT_BYTES = (16, 192)
_ENDINGS = ("_file", "_path", "_image", "_map", "_mask")
_MAP = re.compile(r"map|mask|segment|label")
_MEMORY = 4096
_FEW = 10
"""Pictures that fewer than one in so many files have are no condition."""


class Unfit(Exception):
    """A value does not fit its column; says why."""


def names_pictures(column: str) -> bool:
    """Whether a column of that name, if it names files, names pictures that belong to the image."""
    low = column.lower()
    return low in PICTURES or low.endswith(_ENDINGS)


@dataclass
class Column:
    """What was seen in one column, in constant memory."""

    name: str
    classes: tuple[str, ...] = ()
    """What integers mean, where the source says so."""
    picture: bool = False
    seen: int = 0
    numbers: int = 0
    whole: int = 0
    truths: int = 0
    words: int = 0
    others: int = 0
    letters: int = 0
    longest: int = 0
    low: float = math.inf
    high: float = -math.inf
    different: set[str] = field(default_factory=set)
    kind: Kind | None = None
    why_not: str = ""

    def see(self, value: Any, times: int = 1) -> None:
        """Take note of one value, or of the same value so many times."""
        value = _plain(value)
        if value is None:
            return
        self.seen += times
        number = _number(value)
        if isinstance(value, bool):
            self.truths += times
        elif number is not None:
            self.numbers += times
            self.whole += times * (number == int(number))
            self.low, self.high = min(self.low, number), max(self.high, number)
        elif not isinstance(value, str):
            self.others += times
            return
        else:
            self.words += times
        text = _word(value)
        self.letters += times * len(text)
        self.longest = max(self.longest, len(text.encode("utf-8", "replace")))
        if len(self.different) < _MEMORY:
            self.different.add(text[: 4 * SHORT_WORD])

    def merge(self, other: Column) -> None:
        """Take over what was seen in another column that means the same."""
        self.classes += tuple(name for name in other.classes if name not in self.classes)
        self.picture |= other.picture
        for name in ("seen", "numbers", "whole", "truths", "words", "others", "letters"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest = max(self.longest, other.longest)
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.different |= other.different

    def decide(self) -> None:
        """Choose the kind of condition, or say why there is none."""
        self.kind, self.why_not = self._kind(self.name.lower())
        if self.kind == "label" and not self.classes and self.words and self.numbers * 10 >= self.seen * 9:
            # A stray word among numbered labels is a mistake, not a label.
            self.different = {word for word in self.different if _number(word) is not None}
        if self.kind == "label" and self.classes:  # Another source may know labels that this one has no number for.
            more = (word for word in self.different if word not in self.classes and _number(word) is None)
            self.classes += tuple(sorted(more))
        if self.kind == "label":
            count = len(self.classes or self.different)
            if count > MOST_CLASSES:
                self.kind, self.why_not = None, f"it has more than {MOST_CLASSES} different labels"
            elif count < 2:
                self.kind, self.why_not = None, "it is the same for all images"
        if self.kind == "number" and self.low == self.high:
            self.kind, self.why_not = None, "it is the same for all images"

    def _kind(self, name: str) -> tuple[Kind | None, str]:
        if self.picture or (names_pictures(name) and self._names_files()):
            return ("map" if _MAP.search(name) else "image"), ""
        if not self.seen:
            return None, "it is empty everywhere"
        if self.others * 2 > self.seen:
            return None, "it holds neither words nor numbers"
        if self.classes or (name in LABELS and self.whole == self.numbers):
            return "label", ""
        if name in TEXTS:
            return "text", ""
        if self.numbers * 10 >= self.seen * 9:
            return "number", ""
        if self.truths * 10 >= self.seen * 9:
            return "label", ""
        few = len(self.different) <= FEW_WORDS and 2 * len(self.different) <= self.seen
        return ("label", "") if few and self.letters <= SHORT_WORD * self.seen else ("text", "")

    def _names_files(self) -> bool:
        return self.words > 0 and all("." in word[1:] for word in self.different)

    def spec(self, name: str, mode: Mode) -> ConditionSpec:
        """The condition under this name."""
        if self.kind == "label":
            return ConditionSpec(
                name=name, kind="label", classes=self.classes or tuple(sorted(self.different, key=_order))
            )
        if self.kind == "number":
            return ConditionSpec(name=name, kind="number", low=self.low, high=self.high)
        if self.kind == "text":
            least, most = TEXT_BYTES
            return ConditionSpec(name=name, kind="text", length=min(most, max(least, -(-self.longest // 8) * 8)))
        if self.kind == "map":
            # How many classes there are is known when all maps were read.
            return ConditionSpec(name=name, kind="map", classes=tuple(str(k) for k in range(256)))
        return ConditionSpec(name=name, kind="image", mode=mode)

    def read(self, value: Any) -> Any:
        """The value for the condition; None where it is missing; `Unfit` where it is of another kind."""
        value = _plain(value)
        if value is None:
            return None
        if self.kind == "number":
            number = _number(value)
            if number is None or isinstance(value, bool):
                raise Unfit(f"its {self.name} is {_short(value)}, not a number")
            return number
        if not isinstance(value, (str, int, float)):
            raise Unfit(f"its {self.name} is {_short(value)}, not a word")
        if self.kind == "label":
            return self._label(value)
        return _word(value)

    def _label(self, value: Any) -> str | None:
        number = _number(value)
        if self.classes and number is not None and number == int(number) and _word(value) not in self.classes:
            if number == -1:
                return None
            if not 0 <= number < len(self.classes):
                raise Unfit(f"its {self.name} is {_short(value)}, but there are only {len(self.classes)} names")
            return self.classes[int(number)]
        word = _word(value)[: 4 * SHORT_WORD]
        if word not in (self.classes or self.different):
            raise Unfit(f"its {self.name} is {_short(value)}, which is none of the labels")
        return word


class Columns:
    """All columns of some sources, and the conditions they become."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}
        self.names: dict[str, str] = {}
        """Column -> name of its condition. Columns of several sources that mean the same lead to one."""
        self._apart: set[str] = set()
        """Columns that stand beside another one of the same meaning, so that they are not one."""

    def expect(self, names: Mapping[str, tuple[str, ...]], pictures: Iterable[str]) -> None:
        """Take over what a source knows about its columns."""
        for name, classes in names.items():
            column = self._columns.setdefault(name, Column(name))
            column.classes += tuple(word for word in classes if word not in column.classes)
        for name in pictures:
            self._columns.setdefault(name, Column(name)).picture = True

    def adopt(self, column: Column) -> None:
        """Take over a column that was looked at elsewhere."""
        if column.name in self._columns:
            self._columns[column.name].merge(column)
        else:
            self._columns[column.name] = column

    def seen(self) -> list[str]:
        """The names of all columns."""
        return list(self._columns)

    def leave_out(self, name: str) -> None:
        """Forget a column."""
        self._columns.pop(name, None)

    def see(self, said: Mapping[str, Any]) -> None:
        """Take note of one row."""
        for group in (LABELS, TEXTS) if len(said) > 1 else ():
            beside = [name for name in said if name.lower() in group and said[name] is not None]
            if len(beside) > 1:
                self._apart.update(beside)
        for name, value in said.items():
            column = self._columns.get(name)
            if column is None:
                column = self._columns[name] = Column(name)
            column.see(value)

    def decide(self, total: int = 0) -> Iterator[str]:
        """Choose conditions, for so many files; yields one sentence for each column that is left out."""
        alike = self._join()
        for name, column in self._columns.items():
            if name.lower() in IGNORED:
                continue
            column.decide()
            if column.kind in ("image", "map") and 0 < column.seen * _FEW < total:
                # Everything without that picture would be set aside.
                column.kind, column.why_not = None, f"only {column.seen:,} of {total:,} files have such a picture"
            if column.kind is None:
                yield f"the column {name!r} is left out: {column.why_not}"
            else:
                self.names[name] = self._free(column, name)
        for name, other in alike.items():
            self._columns[name] = self._columns[other]
            if other in self.names:
                self.names[name] = self.names[other]

    def _join(self) -> dict[str, str]:
        """Make one of columns that mean the same in different sources, such as text and caption."""
        alike: dict[str, str] = {}
        for group in (LABELS, TEXTS):
            same = [name for name in self._columns if name.lower() in group and name not in self._apart]
            for name in same[1:]:
                self._columns[same[0]].merge(self._columns.pop(name))
                alike[name] = same[0]
        return alike

    def specs(self, mode: Mode) -> tuple[ConditionSpec, ...]:
        """The conditions, labels first, then texts, then the others."""
        order: list[Kind] = ["label", "text", "number", "map", "image"]
        different = {name: column for column, name in reversed(self.names.items())}
        specs = [self._columns[column].spec(name, mode) for name, column in reversed(different.items())]
        return tuple(sorted(specs, key=lambda spec: order.index(spec.kind)))

    def read(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Values of the flat conditions by name; `Unfit` if one is of another kind."""
        found: dict[str, Any] = {}
        for column, name in self.names.items():
            if self._columns[column].kind not in ("image", "map") and found.get(name) is None:
                found[name] = self._columns[column].read(said.get(column))
        return found

    def pictures(self) -> dict[str, str]:
        """Columns that name or hold further images, and the names of their conditions."""
        return {c: name for c, name in self.names.items() if self._columns[c].kind in ("image", "map")}

    def _free(self, column: Column, name: str) -> str:
        """A name for the condition that nothing else has."""
        low = name.lower()
        plain = re.sub(r"[^\w-]+", "_", low).strip("_-")[:48] or "condition"
        if column.kind in ("image", "map"):
            plain = re.sub(r"_(file|path|image)$", "", plain)
        if column.kind == "label" and low in LABELS:
            plain = "label"
        if column.kind == "text" and low in TEXTS:
            plain = "text"
        taken = set(self.names.values())
        return next(n for n in (plain, *(f"{plain}_{k}" for k in range(2, 10_000))) if n not in taken)


def _plain(value: Any) -> Any:
    """The value, or None where it says that there is none; of several texts the first."""
    if isinstance(value, (list, tuple)) and value and all(isinstance(part, str) for part in value):
        value = value[0]
    if isinstance(value, str):
        value = value.encode("utf-8", "replace").decode().strip()
        return value or None
    return None if isinstance(value, float) and math.isnan(value) else value


def _number(value: Any) -> float | None:
    """The value as a finite number, if it is one or reads like one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _word(value: Any) -> str:
    """A label's or text's words; 3.0 and 3 are the same."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _order(word: str) -> tuple[float, str]:
    number = _number(word)
    return (math.inf if number is None else number, word)


def _short(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, bytes):
        return "binary"
    text = str(value)
    return repr(text if len(text) <= 40 else text[:37] + "...")
