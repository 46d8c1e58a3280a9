"""The bytes of one image file as right pixels of one form. Runs inside a decoding worker, on files nobody vouches for.

In order: format by content, limits from the header, orientation, colour profile, palette, transparency, 16 bits, size.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import (  # Each reader is named, so that no other is ever loaded.
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)
from PIL import Image as Pillow

from maquette.core import image as images
from maquette.core.image import Mode

FORMATS = tuple(
    reader.format
    for reader in (
        PngImagePlugin.PngImageFile,
        JpegImagePlugin.JpegImageFile,
        WebPImagePlugin.WebPImageFile,
        GifImagePlugin.GifImageFile,
        BmpImagePlugin.BmpImageFile,
        TiffImagePlugin.TiffImageFile,
        AvifImagePlugin.AvifImageFile,
        PpmImagePlugin.PpmImageFile,
    )
)
Fit = Literal["crop", "pad", "stretch"]
Small = Literal["set-aside", "enlarge"]
FITS: tuple[Fit, ...] = ("crop", "pad", "stretch")
SMALLS: tuple[Small, ...] = ("set-aside", "enlarge")
_ORIENTATION = 0x0112
_TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT, 3: Pillow.Transpose.ROTATE_180, 4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE, 6: Pillow.Transpose.ROTATE_270, 7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}  # fmt: skip
_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a file is to become."""

    width: int
    height: int
    mode: Mode | Literal["auto", "map"] = "rgb"
    """`auto` keeps what the file holds (as grey, grey16, rgb or rgba); `map` keeps integers and never mixes them."""
    fit: Fit = "crop"
    small: Small = "set-aside"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one file may cost."""

    pixels: int = 100_000_000
    seconds: float = 10.0
    memory: int = 1 << 30
    """Bytes of address space of a worker, where the system can hold it to them."""
    file: int = 256 << 20
    """Bytes of a file."""


class Refused(Exception):
    """The file does not become an image; says why in words for people."""


def decode(content: bytes, form: Form, limits: Limits) -> NDArray[Any]:
    """The image as height x width x channels (a map as height x width); raises `Refused`, and Pillow's errors."""
    picture = _open(content, limits)
    turned = False
    if picture.format in ("JPEG", "MPO") and form.mode != "map":
        # A reduced decoding of at least twice the final size costs a fraction and looks the same.
        turned = _orientation(picture) > 4
        wanted = _geometry(picture.width, picture.height, form, turned)
        picture.draft(None, tuple(2 * side for side in wanted.whole))
    picture.load()
    orientation = _orientation(picture)
    geometry = _geometry(picture.width, picture.height, form, orientation > 4)
    if form.mode == "map":
        return _map(picture, geometry, orientation, form)
    natural = _natural(picture)
    if geometry.size != natural.size or geometry.box != (0, 0, *natural.size):
        natural = natural.resize(geometry.size, Pillow.Resampling.LANCZOS, geometry.box, 3.0)
    if orientation > 1:
        natural = natural.transpose(_TURNS[orientation])
    array = _array(natural, picture.info.get("icc_profile"))
    if form.mode == "auto":
        return array
    return _pad(images.convert(array, form.mode), form)


def _open(content: bytes, limits: Limits) -> Any:
    if not content:
        raise Refused("the file is empty")
    try:
        picture = Pillow.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise Refused(_guess(content)) from None
    if picture.width * picture.height > limits.pixels:
        raise Refused(
            f"it has {picture.width} x {picture.height} pixels, more than {limits.pixels / 1e6:g} million are not read"
        )
    return picture


def _guess(content: bytes) -> str:
    """Why Pillow does not know the file, for those kinds that people do have."""
    start = content[:512].lstrip().lower()
    if content[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return "it is a HEIC photograph, which is not read; convert it to JPEG first"
    if start.startswith((b"<svg", b"<?xml")):
        return "it is a drawing or text in XML, not an image of pixels"
    if content[:8] == b"\x89PNG\r\n\x1a\n" or content[:3] == b"\xff\xd8\xff" or content[:4] in (b"GIF8", b"RIFF"):
        return "it begins like an image but is damaged"
    known = ", ".join(FORMATS[:-1])
    return f"it is not an image of a known format ({known})"


def _orientation(picture: Any) -> int:
    """The EXIF orientation, 1 to 8; what cannot be read counts as upright, as in browsers."""
    said = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
    if picture.format != "TIFF" and not any(key in picture.info for key in said):
        return 1
    try:
        value = int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1
    return value if value in _TURNS else 1


@dataclass(frozen=True)
class _Geometry:
    box: tuple[float, float, float, float]
    """What of the file's pixels is used."""
    size: tuple[int, int]
    """What it is resized to, before the image is turned upright."""
    whole: tuple[int, int]
    """The size of the whole picture at that scale."""


def _geometry(width: int, height: int, form: Form, turned: bool) -> _Geometry:
    target = (form.height, form.width) if turned else (form.width, form.height)
    scales = (target[0] / width, target[1] / height)
    scale = {"crop": max(scales), "pad": min(scales), "stretch": max(scales)}[form.fit]
    if scale > 1 and form.small == "set-aside":
        seen = (height, width) if turned else (width, height)
        raise Refused(f"{seen[0]}x{seen[1]} is smaller than {form.width}x{form.height}")
    box, size = (0.0, 0.0, float(width), float(height)), target
    if form.fit == "crop":
        used = (min(width, target[0] / scale), min(height, target[1] / scale))
        left, top = (width - used[0]) / 2, (height - used[1]) / 2
        box = (left, top, left + used[0], top + used[1])
    elif form.fit == "pad":
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
    whole = (max(size[0], round(width * scale)), max(size[1], round(height * scale)))
    return _Geometry(box, size, whole)


def _natural(picture: Any) -> Any:
    """The picture in a mode that can be resized: L, LA, RGB, RGBA, CMYK, LAB, or F for 16-bit grey."""
    mode, info = picture.mode, picture.info
    if mode in _SIXTEEN or mode == "I":
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65535:
            raise Refused("its pixels are 32-bit numbers; save it with 16 bits")
        if "transparency" in info and mode != "I":
            alpha = np.where(values == info["transparency"], 0, 255).astype(np.uint8)
            grey = images.convert(values.astype(np.uint16)[..., None], "grey")[..., 0]
            return Pillow.merge("LA", (Pillow.fromarray(grey), Pillow.fromarray(alpha)))
        return Pillow.fromarray(values.astype(np.float32))
    if mode == "F":
        raise Refused("its pixels are floating-point numbers; save it with 8 or 16 bits")
    if "transparency" in info and mode in ("1", "L", "P", "RGB"):
        return picture.convert("RGBA")
    become = {
        "1": "L", "P": "RGB", "PA": "RGBA", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB", "La": "LA", "RGBa": "RGBA",
    }  # fmt: skip
    if mode in become:
        return picture.convert(become[mode])
    if mode not in ("L", "LA", "RGB", "RGBA", "CMYK", "LAB"):
        raise Refused(f"images of the colour mode {mode} are not read")
    return picture


def _array(natural: Any, profile: bytes | None) -> NDArray[Any]:
    """The pixels in sRGB, in the nearest of our modes."""
    if natural.mode == "F":
        deep: NDArray[np.uint16] = np.rint(np.clip(np.asarray(natural), 0, 65535)).astype(np.uint16)
        return deep[..., None]
    alpha = natural.getchannel("A") if natural.mode in ("LA", "RGBA") else None
    colour = natural.convert(natural.mode[:-1]) if alpha else natural
    transform = _transform(profile, colour.mode) if profile or colour.mode == "LAB" else None
    if transform is not None:
        colour = ImageCms.applyTransform(colour, transform)
    elif colour.mode == "CMYK":
        colour = colour.convert("RGB")
    if alpha:
        colour = colour.convert("RGB")
        colour.putalpha(alpha)
    array = np.asarray(colour)
    return array if array.ndim == 3 else array[..., None]


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes | None, mode: str) -> Any:
    """From an embedded profile to sRGB; None where there is nothing to do, or where the profile cannot be used.

    A profile that is damaged or of another colour space says nothing about the pixels: they count as sRGB, as in
    browsers.
    """
    space = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}[mode]
    try:
        if mode == "LAB":
            source: Any = ImageCms.createProfile("LAB")
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
            if source.profile.xcolor_space != space or "sRGB" in (source.profile.profile_description or ""):
                return None
        # A grey profile leads to RGB as well, with three equal channels: sRGB has no grey form.
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.PERCEPTUAL)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _map(picture: Any, geometry: _Geometry, orientation: int, form: Form) -> NDArray[np.uint8]:
    if picture.mode not in ("1", "L", "P", *_SIXTEEN):
        raise Refused("a map must be a grey or palette image whose values are numbers of classes")
    values = np.asarray(picture).astype(np.int64)
    if values.max() > 255:
        raise Refused("a map can name at most 256 classes")
    small = Pillow.fromarray(values.astype(np.uint8)).resize(geometry.size, Pillow.Resampling.NEAREST, geometry.box)
    if orientation > 1:
        small = small.transpose(_TURNS[orientation])
    array = np.asarray(small)
    if array.shape != (form.height, form.width):
        raise Refused("a map cannot be padded; choose --fit crop or --fit stretch")
    return array


def _pad(array: NDArray[Any], form: Form) -> NDArray[Any]:
    """The image in the middle of a white ground, or of a transparent one."""
    height, width = array.shape[:2]
    if (height, width) == (form.height, form.width):
        return array
    ground = 0 if array.shape[2] == 4 else images.depth(images.mode_of(array))
    whole = np.full((form.height, form.width, array.shape[2]), ground, array.dtype)
    top, left = (form.height - height) // 2, (form.width - width) // 2
    whole[top : top + height, left : left + width] = array
    return whole
