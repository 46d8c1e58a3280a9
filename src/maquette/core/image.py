"""The one picture convention: a NumPy array, height x width x channels, uint8 (or uint16 for `grey16`).

Colour is sRGB; alpha is straight (not premultiplied) in files and arrays, and premultiplied inside models only.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maquette.core import deep
from maquette.core.choices import MODES as MODES
from maquette.core.choices import Mode as Mode
from maquette.core.errors import DataError, UsageError
from maquette.core.files import write_bytes
from maquette.core.profile import tag

CHANNELS: dict[Mode, int] = {"grey": 1, "rgb": 3, "rgba": 4, "grey16": 1}
Image: TypeAlias = NDArray[Any]
Mask: TypeAlias = NDArray[np.bool_]
_REC709 = np.array([0.2126, 0.7152, 0.0722])


def depth(mode: Mode) -> int:
    """The largest value a pixel can have."""
    return 65535 if mode == "grey16" else 255


def dtype(mode: Mode) -> type[np.unsignedinteger[Any]]:
    """The NumPy type of a pixel."""
    return np.uint16 if mode == "grey16" else np.uint8


def mode_of(image: Image) -> Mode:
    """The mode of an array; fails if it is not an image."""
    if image.ndim == 3:
        for mode in MODES:
            if image.dtype == dtype(mode) and image.shape[2] == CHANNELS[mode]:
                return mode
    raise DataError(
        f"an array of shape {image.shape} and type {image.dtype} is not an image",
        do="give height x width x 1, 3 or 4 of uint8, or height x width x 1 of uint16",
    )


def convert(image: Image, mode: Mode) -> Image:
    """The image in another mode. Alpha that gets lost is laid on white; grey is the luminance (Rec. 709)."""
    have = mode_of(image)
    if have == mode:
        return image
    if have == "grey16":
        eight: Image = ((image.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        return convert(eight, mode)
    if mode == "grey16":
        if have == "grey":
            return np.asarray(image.astype(np.uint16) * np.uint16(257))
        rgb = convert(image, "rgb").astype(np.float64)
        return np.asarray(np.rint(rgb @ _REC709 * 257)[..., None].astype(np.uint16))
    if have == "rgba" and mode != "rgba":
        alpha = image[..., 3:].astype(np.uint32)
        laid = (image[..., :3].astype(np.uint32) * alpha + 255 * (255 - alpha) + 127) // 255
        return convert(laid.astype(np.uint8), mode)
    if mode == "grey":
        return np.asarray(np.rint(image.astype(np.float64) @ _REC709)[..., None].astype(np.uint8))
    if have == "grey":
        return convert(np.repeat(image, 3, axis=2), mode)
    if mode == "rgba":
        return np.concatenate([image, np.full_like(image[..., :1], 255)], axis=2)
    raise UsageError(f"there is no image mode {mode!r}", do=f"there are: {', '.join(MODES)}")


def premultiply(image: Image) -> Image:
    """Colour times alpha, so that what is invisible has no colour. Only RGBA changes."""
    if mode_of(image) != "rgba":
        return image
    alpha = image[..., 3:].astype(np.uint16)
    return np.concatenate([((image[..., :3] * alpha + 127) // 255).astype(np.uint8), image[..., 3:]], axis=2)


def unpremultiply(image: Image) -> Image:
    """The inverse of `premultiply`, as far as rounding allows; what is invisible becomes black."""
    if mode_of(image) != "rgba":
        return image
    alpha = image[..., 3:].astype(np.uint32)
    colour = (image[..., :3].astype(np.uint32) * 255 + alpha // 2) // np.maximum(alpha, 1)
    straight: Image = np.concatenate([np.minimum(colour, 255) * (alpha > 0), alpha], axis=2)
    return straight.astype(np.uint8)


def from_pil(picture: Any) -> Image:
    """A Pillow image as an array, in the nearest of our modes."""
    if picture.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I"):
        values = np.asarray(picture)
        if values.size and not 0 <= int(values.min()) <= int(values.max()) <= 65535:
            raise DataError("the picture has more than 16 bits", do="save it with 8 or 16 bits a channel")
        return values.astype(np.uint16)[..., None]
    if picture.mode == "F":
        raise DataError("the picture has floating point pixels", do="save it with 8 or 16 bits a channel")
    if picture.mode == "La":
        picture = picture.convert("LA")
    has_alpha = picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info
    if picture.mode in ("1", "L") and not has_alpha:
        return np.asarray(picture.convert("L"))[..., None]
    return np.asarray(picture.convert("RGBA" if has_alpha else "RGB"))


def to_pil(image: Image) -> Any:
    """The array as a Pillow image."""
    from PIL import Image as Pillow

    mode = mode_of(image)
    return Pillow.fromarray(np.ascontiguousarray(image[..., 0] if CHANNELS[mode] == 1 else image))


FORMATS = {
    "png": ("PNG", ".png"), "jpeg": ("JPEG", ".jpg"), "webp": ("WEBP", ".webp"), "avif": ("AVIF", ".avif"),
    "tiff": ("TIFF", ".tif"),
}  # fmt: skip
_CANNOT = {"jpeg": ("rgba", "grey16"), "webp": ("grey16",), "avif": ("grey16",)}


def encode(image: Image, format: str = "png", **said: Any) -> bytes:
    """The image as the bytes of a file. A format that cannot hold the mode is refused, never squeezed in.

    `said` is what the file says beside its pixels, as Pillow's writers take it: exif, dpi, xmp. Every
    file says that its numbers are sRGB.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no file format {format!r}", do=f"there are: {', '.join(FORMATS)}")
    if image.dtype == np.uint16 and image.ndim == 3 and image.shape[2] > 1:
        if format != "png":
            raise UsageError(f"{format} files cannot hold colours of 16 bits here", do="use png")
        return deep.encode(image, **{**tag(image.shape[2], format), **said})
    mode = mode_of(image)
    if mode in _CANNOT.get(format, ()):
        raise UsageError(f"{format} files cannot hold {mode} images", do="use png or tiff")
    qualities: dict[str, dict[str, Any]] = {
        "png": {"compress_level": 3}, "jpeg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True},
        "avif": {"quality": 95}, "tiff": {"compression": "tiff_deflate"},
    }  # fmt: skip
    stream = io.BytesIO()
    to_pil(image).save(stream, FORMATS[format][0], **{**qualities[format], **tag(image.shape[2], format), **said})
    return stream.getvalue()


def save(image: Image, path: Path, format: str = "png") -> Path:
    """Write the image file, whole or not at all."""
    write_bytes(path, encode(image, format))
    return path


def load(path: Path) -> Image:
    """Read an image that this program wrote itself (files of unknown origin go through `data.ingest.decode`)."""
    from PIL import Image as Pillow

    content = path.read_bytes()
    found = deep.decode(content) if deep.is_deep(content) else None
    if found is not None:
        return found
    with Pillow.open(io.BytesIO(content)) as picture:
        return from_pil(picture)


def sheet(
    images: Sequence[Image], *, columns: int | None = None, gap: int = 2, scale: int = 1, names: Sequence[str] = ()
) -> Image:
    """Images side by side on a neutral ground; alpha over a checker. All images have one size.

    `names` are written beside the rows.
    """
    if not len(images):
        raise UsageError("a sheet needs at least one image")
    tiles = [np.kron(convert(_on_checker(image), "rgb"), np.ones((scale, scale, 1), np.uint8)) for image in images]
    height, width = tiles[0].shape[:2]
    columns = columns or max(1, round((len(tiles) * height / width) ** 0.5))
    rows = -(-len(tiles) // columns)
    ground = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 118, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = (gap + (index // columns) * (height + gap), gap + (index % columns) * (width + gap))
        ground[top : top + height, left : left + width] = tile
    return _with_names(ground, names, height + gap) if names else ground


def _with_names(ground: Image, names: Sequence[str], pitch: int) -> Image:
    """The sheet with a column of names on its left, one a row."""
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(size=14)
    width = 16 + max(int(font.getlength(name)) for name in names)
    picture = Pillow.new("RGB", (width + ground.shape[1], ground.shape[0]), (118, 118, 118))
    picture.paste(to_pil(ground), (width, 0))
    for row, name in enumerate(names):
        ImageDraw.Draw(picture).text((8, row * pitch + pitch // 2), name, (255, 255, 255), font, anchor="lm")
    return np.asarray(picture)


def _on_checker(image: Image) -> Image:
    if mode_of(image) != "rgba":
        return image
    rows, columns = np.indices(image.shape[:2]) // 4
    ground = np.where((rows + columns) % 2 == 0, 236, 204)[..., None].astype(np.uint32)
    alpha = image[..., 3:].astype(np.uint32)
    return ((image[..., :3] * alpha + ground * (255 - alpha) + 127) // 255).astype(np.uint8)
