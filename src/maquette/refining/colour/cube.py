"""Look-up tables of colours (.cube files, as Adobe and Resolve write them): read, applied, made and written."""

from __future__ import annotations

import functools
import os
import re
import stat
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError
from maquette.core.files import write_bytes
from maquette.core.image import Image
from maquette.refining.colour.space import Floats, in_strips, look_up, top
from maquette.refining.pixels import to_depth, to_float

Method = Literal["tetrahedral", "trilinear"]
MOST_ONE, MOST_THREE = 65536, 129
"""The longest 1-D table and the longest side of a 3-D one. 129 is twice what grading programs write at their finest."""
_MOST_BYTES = 100 << 20
_UNIT = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
Domain = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class Cube:
    """What each colour becomes: curves for the channels, a lattice of colours, or the one and then the other."""

    curves: Floats | None = None
    """(size, 3): what evenly spaced levels of red, green and blue become."""
    lattice: Floats | None = None
    """(size, size, size, 3), by blue, green and red: what evenly spaced colours become."""
    title: str = ""
    curve_domain: Domain = _UNIT
    lattice_domain: Domain = _UNIT
    _flat: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, function: Callable[[Image], Image], size: int = 33, title: str = "") -> Cube:
        """The lattice of what `function` does to colours, so that other programs can do it too.

        It must treat each pixel by itself: a blur, or a balance measured on the image, has no table.
        """
        if not 2 <= size <= MOST_THREE:
            raise DataError(f"a lattice of {size} colours a side is not possible", do=f"choose 2 to {MOST_THREE}")
        steps = np.linspace(0, 1, size, dtype=np.float32)
        blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
        colours = np.stack([red, green, blue], axis=3).reshape(size, size * size, 3)
        made = np.asarray(function(colours), np.float32)
        return cls(lattice=made.reshape(size, size, size, 3), title=title)

    @property
    def is_identity(self) -> bool:
        """Whether it leaves every colour as it is, to a hundredth of an 8-bit level."""
        return bool(np.abs(self(_probe()) - _probe()).max() < 4e-5)

    def __call__(self, image: Image, method: Method = "tetrahedral") -> Image:
        """The image with its colours looked up."""
        if self.curves is not None:
            image = self._through_curves(image)
        if self.lattice is None:
            return image
        if (
            method == "trilinear"
            and image.dtype == np.uint8
            and self.lattice_domain == _UNIT
            and len(self.lattice) <= 65
        ):
            return self._through_pillow(image)
        blend = _tetrahedral if method == "tetrahedral" else _trilinear
        return in_strips(image, lambda part: self._through_lattice(part, blend))

    def _through_curves(self, image: Image) -> Image:
        assert self.curves is not None
        levels = np.arange(top(image.dtype) + 1) / top(image.dtype) if image.dtype.kind != "f" else None
        made = []
        for at in range(3):
            low, high = self.curve_domain[0][at], self.curve_domain[1][at]
            steps = np.linspace(low, high, len(self.curves))
            made.append(np.interp(image[..., at] if levels is None else levels, steps, self.curves[:, at]))
        values = np.clip(np.stack(made, axis=-1), 0, 1)
        if levels is None:
            return values.astype(np.float32)
        return look_up(image, np.floor(values * top(image.dtype) + 0.5).astype(image.dtype))

    def _through_pillow(self, image: Image) -> Image:
        from PIL import Image as Pillow
        from PIL import ImageFilter

        assert self.lattice is not None
        if "pillow" not in self._flat:
            table = self.lattice.reshape(-1, 3)
            self._flat["pillow"] = ImageFilter.Color3DLUT(len(self.lattice), table.ravel().tolist(), _copy_table=False)
        return np.asarray(Pillow.fromarray(np.ascontiguousarray(image)).filter(self._flat["pillow"]))

    def _through_lattice(self, image: Image, blend: Callable[..., Any]) -> Image:
        assert self.lattice is not None
        low, high = (np.asarray(end, np.float32) for end in self.lattice_domain)
        size = len(self.lattice)
        at = (to_float(image) - low) * ((size - 1) / (high - low)).astype(np.float32)
        np.clip(at, 0, size - 1, out=at)
        cell = np.minimum(at.astype(np.int16), np.int16(size - 2))
        at -= cell
        # As a picture, so that OpenCV can gather from it: red to the right, green and then blue downwards.
        picture = self.lattice.reshape(size * size, size, 3)
        start = np.dstack([cell[..., 0], cell[..., 2] * np.int16(size) + cell[..., 1]])
        return to_depth(blend(picture, start, cv2.split(at), size), image.dtype)

    def to_text(self) -> str:
        """The cube as a .cube file."""
        title = re.sub(r'[^ -~]|"', "", self.title)
        lines = [f'TITLE "{title}"'] if title else []
        tables = [(name, table) for name, table in (("1D", self.curves), ("3D", self.lattice)) if table is not None]
        domains = {"1D": self.curve_domain, "3D": self.lattice_domain}
        both = len(tables) == 2
        for name, table in tables:
            low, high = domains[name]
            lines.append(f"LUT_{name}_SIZE {len(table)}")
            if both or (low, high) != _UNIT:
                if both:
                    lines.append(f"LUT_{name}_INPUT_RANGE {low[0]:.9g} {high[0]:.9g}")
                else:
                    lines += [f"DOMAIN_MIN {_numbers(low)}", f"DOMAIN_MAX {_numbers(high)}"]
        lines += [_numbers(row) for _, table in tables for row in table.reshape(-1, 3)]
        return "\n".join(lines) + "\n"

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the .cube file, whole or not at all."""
        path = Path(path)
        write_bytes(path, self.to_text().encode("ascii"))
        return path


def _numbers(values: Any) -> str:
    return " ".join(f"{float(value):.7g}" for value in values)


@functools.cache
def _probe() -> Floats:
    steps = np.linspace(0, 1, 17, dtype=np.float32)
    return np.stack(np.meshgrid(steps, steps, steps), axis=3).reshape(17, -1, 3)


_NONE: Any = None  # OpenCV's second map, which whole numbers do not need


def _corner(picture: Floats, start: NDArray[np.int16], right: Any, down: Any) -> Floats:
    """The colours at a corner of each cell."""
    at = start.copy()
    at[..., 0] += right
    at[..., 1] += down
    return np.asarray(cv2.remap(picture, at, _NONE, cv2.INTER_NEAREST))


def _tetrahedral(picture: Floats, start: NDArray[np.int16], share: Any, size: int) -> Floats:
    """Each cell cut into six tetrahedra along its grey diagonal, so that greys come from greys alone."""
    red, green, blue = share
    most, least = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    middle = red + green + blue - most - least
    # From black's corner to white's along the axes, the farthest first: the second corner has gone along that axis,
    # the third along all but the nearest.
    far_red = (red >= green) & (red >= blue)
    far_green = ~far_red & (green >= blue)
    near_blue = (blue <= green) & (blue <= red)
    near_green = ~near_blue & (green <= red)
    far_down = np.where(far_red, 0, np.where(far_green, 1, size)).astype(np.int16)
    near_down = np.where(near_blue, 1, np.where(near_green, size, size + 1)).astype(np.int16)
    made = _corner(picture, start, 0, 0) * (1 - most)[..., None]
    made += _corner(picture, start, far_red, far_down) * (most - middle)[..., None]
    made += _corner(picture, start, near_blue | near_green, near_down) * (middle - least)[..., None]
    made += _corner(picture, start, 1, size + 1) * least[..., None]
    return np.asarray(made)


def _trilinear(picture: Floats, start: NDArray[np.int16], share: Any, size: int) -> Floats:
    """The eight corners of the cell, each by how near it is."""
    red, green, blue = (part[..., None] for part in share)

    def row(down: int) -> Floats:
        return np.asarray(_corner(picture, start, 0, down) * (1 - red) + _corner(picture, start, 1, down) * red)

    first = row(0) * (1 - green) + row(1) * green
    return np.asarray(first * (1 - blue) + (row(size) * (1 - green) + row(size + 1) * green) * blue)


# Reading files that nobody vouches for


def read(path: str | os.PathLike[str]) -> Cube:
    """The cube in that file; read once, until the file changes."""
    path = Path(path)
    try:
        form = path.stat()
    except OSError as error:
        raise DataError(f"it cannot be read ({(error.strerror or str(error)).lower()})", where=path) from None
    if not stat.S_ISREG(form.st_mode):
        raise DataError("it is not a plain file", where=path, do="name a .cube file")
    if form.st_size > _MOST_BYTES:
        raise DataError(
            f"the file has {form.st_size / 2**20:.0f} MB, more than {_MOST_BYTES >> 20} are not read", where=path
        )
    return _read(path, form.st_mtime_ns, form.st_size)


@functools.lru_cache(maxsize=8)
def _read(path: Path, _moment: int, _size: int) -> Cube:
    try:
        with open(path, "rb") as stream:
            content = stream.read(_MOST_BYTES)
    except OSError as error:
        raise DataError(f"it cannot be read ({(error.strerror or str(error)).lower()})", where=path) from None
    try:
        return parse(content)
    except DataError as error:
        raise DataError(error.what, where=path, do=error.do or "export the table again as a .cube file") from None


def parse(content: bytes) -> Cube:
    """The cube that a file's bytes are; every bound is checked before anything of that size is made."""
    if b"\0" in content[: 1 << 16]:
        raise DataError("it is not text, so it is no .cube file")
    text = content.decode("utf-8-sig", "replace")
    head = _Head()
    lines = text.splitlines()
    start = 0
    for start, line in enumerate(lines):
        words = line.partition("#")[0].split()
        if words and (words[0][0] in "0123456789+-."):
            break
        if words:
            head.take(words, start + 1)
    else:
        start = len(lines)
    return head.cube([line for line in lines[start:] if line.partition("#")[0].strip()], start)


class _Head:
    """What the words before the numbers say."""

    def __init__(self) -> None:
        self.title = ""
        self.sizes: dict[str, int] = {}
        self.domains: dict[str, Domain] = {}
        self.low: tuple[float, float, float] | None = None
        self.high: tuple[float, float, float] | None = None

    def take(self, words: list[str], line: int) -> None:
        word = words[0].upper()
        if word == "TITLE":
            self.title = " ".join(words[1:]).strip('"')[:200]
        elif word in ("LUT_1D_SIZE", "LUT_3D_SIZE"):
            name, most = (word[4:6], MOST_ONE if word[4] == "1" else MOST_THREE)
            if name in self.sizes:
                raise DataError(f"line {line} gives a second size")
            if len(words) != 2 or not re.fullmatch("[0-9]{1,9}", words[1]) or not 2 <= int(words[1]) <= most:
                given = " ".join(words[1:])[:40]
                raise DataError(f"line {line}: a table of size {given!r} is not possible", do=f"2 to {most} is read")
            self.sizes[name] = int(words[1])
        elif word in ("DOMAIN_MIN", "DOMAIN_MAX"):
            numbers = _three(words[1:], line)
            self.low, self.high = (numbers, self.high) if word.endswith("MIN") else (self.low, numbers)
        elif word in ("LUT_1D_INPUT_RANGE", "LUT_3D_INPUT_RANGE"):
            numbers = _three([*words[1:], "0"], line)
            self.domains[word[4:6]] = ((numbers[0],) * 3, (numbers[1],) * 3)
        elif not re.fullmatch(r"[A-Z][A-Z0-9_]*", word):
            raise DataError(f"line {line} is neither a keyword nor numbers, so it is no .cube file")

    def domain(self, name: str) -> Domain:
        domain = self.domains.get(name, (self.low or _UNIT[0], self.high or _UNIT[1]))
        if any(high - low < 1e-6 for low, high in zip(*domain, strict=True)):
            raise DataError(f"its domain goes from {_numbers(domain[0])} to {_numbers(domain[1])}, which is none")
        return domain

    def cube(self, lines: list[str], before: int) -> Cube:
        if not self.sizes:
            raise DataError("it names no LUT_1D_SIZE or LUT_3D_SIZE, so it is no .cube file")
        one, three = self.sizes.get("1D", 0), self.sizes.get("3D", 0)
        wanted = one + three**3
        if len(lines) != wanted:
            raise DataError(f"it should hold {wanted:,} rows of numbers and holds {len(lines):,}")
        domains = self.domain("1D"), self.domain("3D")
        values = _table(lines, before)
        return Cube(
            curves=values[:one] if one else None,
            lattice=values[one:].reshape(three, three, three, 3) if three else None,
            title=self.title, curve_domain=domains[0], lattice_domain=domains[1],
        )  # fmt: skip


def _three(words: list[str], line: int) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(word) for word in words)
    except ValueError:
        raise DataError(f"line {line} should end with numbers") from None
    if not all(abs(number) <= 1e6 for number in (red, green, blue)):  # NaN is not either
        raise DataError(f"line {line} holds a number that is not possible")
    return red, green, blue


def _table(lines: list[str], before: int) -> Floats:
    """The rows of three numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            values = np.loadtxt(lines, dtype=np.float64, comments="#", ndmin=2)
    except (ValueError, UserWarning):
        raise DataError(f"line {_first_odd(lines) + before + 1} or one near it is not three numbers") from None
    if values.shape[1] != 3:
        raise DataError(f"its rows hold {values.shape[1]} numbers, not three")
    if not np.isfinite(values).all() or np.abs(values).max() > 1e4:
        raise DataError("it holds values that are not numbers, or far outside 0 to 1")
    return values.astype(np.float32)


def _first_odd(lines: list[str]) -> int:
    for at, line in enumerate(lines):
        try:
            if len([float(word) for word in line.partition("#")[0].split()]) != 3:
                return at
        except ValueError:
            return at
    return 0
