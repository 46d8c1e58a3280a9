"""The bytes of one image file as right pixels of one form. Runs inside a decoding worker, on files nobody vouches for.

In order: format by content, limits from the header, orientation, colour profile, palette, transparency, 16 bits, size.
"""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

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

from maquette.core import deep
from maquette.core import image as images
from maquette.core.image import Mode
from maquette.data.decoding.dicom import slices
from maquette.data.decoding.film import film_frames
from maquette.data.decoding.kinds import HEAD, is_dicom, is_film
from maquette.data.decoding.lanczos import resized
from maquette.data.decoding.limits import Limits, Refused
from maquette.data.decoding.moving import animated, check_count, sequences
from maquette.data.decoding.plain import Plain, pixels
from maquette.data.decoding.shape import Form, Window, window, windows
from maquette.data.origin import Trait, jpeg_quality

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
_ORIENTATION = 0x0112
_TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT, 3: Pillow.Transpose.ROTATE_180, 4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE, 6: Pillow.Transpose.ROTATE_270, 7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}  # fmt: skip
_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")
# Plain numbers: to unite flags of an enumeration takes longer than to decode a small image.
_ALPHA, _GREY, _PROFILE, _DEEP = (int(t) for t in (Trait.ALPHA, Trait.GREY, Trait.PROFILE, Trait.DEEP))
_TURNED, _ANIMATED, _LOSSY, _ENLARGED = (int(t) for t in (Trait.TURNED, Trait.ANIMATED, Trait.LOSSY, Trait.ENLARGED))
_BY_MODE = {
    **dict.fromkeys(("1", "L"), _GREY), **dict.fromkeys(("RGBA", "PA", "RGBa"), _ALPHA),
    **dict.fromkeys(("LA", "La"), _ALPHA | _GREY), **dict.fromkeys(("CMYK", "LAB"), _PROFILE),
    **dict.fromkeys(("I", *_SIXTEEN), _GREY | _DEEP),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Still:
    """One picture of a file, before it gets its form."""

    picture: Any = None
    """A Pillow image of any mode; loaded when its pixels are asked for. None where `pixels` are there."""
    facts: list[Any]
    """See `origin.Facts`."""
    orientation: int = 1
    profile: bytes | None = None
    scene: int = 0
    deep: NDArray[np.uint16] | None = None
    """Colours of 16 bits, where they are wanted and there."""
    pixels: NDArray[np.uint8] | None = None
    """Height x width x 1 or 3, in sRGB and upright, of a file that was read the short way."""
    reduction: int = 1
    """How many times larger the file's picture is than `pixels`."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One image of the form that was asked for."""

    image: NDArray[Any]
    """Height x width x channels; a map as height x width."""
    facts: list[Any]
    scene: int = 0
    """Which scene of a film it belongs to; crops and slices of one file are one scene."""
    frames: NDArray[Any] | None = None
    """In sequences: the images before it, the oldest first."""


def decode(content: bytes, form: Form, limits: Limits) -> NDArray[Any]:
    """The first image of a file; raises `Refused`, and Pillow's errors."""
    return next(read(content, form, limits)).image


def read(content: bytes | BinaryIO, form: Form, limits: Limits, head: Plain | None = None) -> Iterator[Shot]:
    """All images that the form asks for; at least one, or `Refused`, or what a damaged file makes a reader raise.

    `head` is what `plain.look` says of the content.
    """
    shots = (shot for still in _stills(content, form, limits, head) for shot in _shots(still, form))
    yield from sequences(shots, form.past) if form.frames == "sequences" else shots


def _stills(content: bytes | BinaryIO, form: Form, limits: Limits, head: Plain | None) -> Iterator[Still]:
    still = _short(content, form, limits, head) if head is not None and isinstance(content, bytes) else None
    if still is not None:
        yield still
        return
    if not isinstance(content, bytes) or is_film(content[:HEAD]):
        for found in film_frames(content, form, limits):
            size = [*found.picture.size, found.number, int(Trait.ANIMATED | Trait.LOSSY), 0, "film"]
            yield Still(picture=found.picture, facts=[0, *size], scene=found.scene)
        return
    if is_dicom(content[:HEAD]):
        for number, (picture, traits) in enumerate(slices(content, form, limits)):
            traits |= Trait.GREY | Trait.DEEP if picture.mode != "RGB" else Trait(0)
            facts = [len(content), *picture.size, number, int(traits), 0, "DICOM"]
            yield Still(picture=picture, facts=facts)
        return
    picture = _open(content, limits)
    if form.glance and not _traits(picture) & _ALPHA:
        yield Still(picture=Pillow.new("RGB", (1, 1), "red"), facts=[len(content), 1, 1, 0, 0, 0, picture.format])
        return
    if form.frames in ("auto", "first"):
        if picture.format == "GIF":
            check_count(picture, limits)
        still = _still(picture, content)
        yield dataclasses.replace(still, deep=_deep(picture, content)) if form.fit == "whole" else still
        return
    yield from (_still(frame, content, number) for number, frame in enumerate(animated(picture, form, limits)))


def _short(content: bytes, form: Form, limits: Limits, head: Plain) -> Still | None:
    """The picture of a plain file; None where it has to go the long way."""
    if form.frames not in ("auto", "first") or form.glance or form.half or head.width * head.height > limits.pixels:
        return None
    whole = (head.width, head.height)
    place = window(*whole, form, False)
    reduction = _reduction(whole, place, form) if head.format == "JPEG" and form.mode != "map" else 1
    found = pixels(content, head, reduction)
    if found is None:
        return None
    traits = (_GREY if head.channels == 1 else 0) | (_LOSSY if head.format == "JPEG" else 0)
    facts = [len(content), *whole, 0, traits, head.quality, head.format]
    return Still(facts=facts, pixels=found, reduction=reduction)


def _reduction(whole: tuple[int, int], place: Window, form: Form) -> int:
    """How far a JPEG is reduced as it is decoded: down to twice the final size that costs less and looks the same."""
    least = 2 if form.crops == 1 else 4
    most = min(a // (least * b) for a, b in zip(whole, place.whole, strict=True))
    return next((times for times in (8, 4, 2) if most >= times), 1)


def _still(picture: Any, content: bytes, frame: int = 0) -> Still:
    turned = _orientation(picture) > 1
    if picture.format not in ("JPEG", "MPO"):
        picture.load()  # What TIFF says of its orientation is done by now; what PNG says of it may only come now.
    orientation = _orientation(picture)
    width, height = picture.size if orientation < 5 else picture.size[::-1]
    quality = jpeg_quality(getattr(picture, "quantization", None)) if picture.format in ("JPEG", "MPO") else 0
    traits = _traits(picture) | (_TURNED if turned or orientation > 1 else 0)
    facts = [len(content), width, height, frame, traits, quality, picture.format]
    return Still(picture=picture, facts=facts, orientation=orientation, profile=picture.info.get("icc_profile"))


def _deep(picture: Any, content: bytes) -> NDArray[np.uint16] | None:
    """The pixels with all their bits; None where 8 hold them, or where a profile has to be followed (in 8 bits)."""
    bits = getattr(picture, "tag_v2", {}).get(258, ())
    profile = picture.info.get("icc_profile")
    if not deep.is_deep(content, bits) or (profile and _transform(profile, "RGB") is not None):
        return None
    return deep.decode(content)


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """What an orientation of EXIF asks for, on an array."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    across, down = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return np.ascontiguousarray(pixels[:: -1 if down else 1, :: -1 if across else 1])


def _traits(picture: Any) -> int:
    mode, info = picture.mode, picture.info
    found = _BY_MODE.get(mode, 0)
    if "transparency" in info:
        found |= _ALPHA
    if "icc_profile" in info:
        found |= _PROFILE
    if getattr(picture, "is_animated", False):
        found |= _ANIMATED
    if picture.format in ("JPEG", "MPO", "AVIF"):
        found |= _LOSSY
    return found


def _shots(still: Still, form: Form) -> Iterator[Shot]:
    """One picture in the form that was asked for, once for each crop."""
    picture, orientation = still.picture, still.orientation
    if still.pixels is not None:
        height, width, channels = still.pixels.shape
        if (width, height) == (form.width, form.height) and form.crops == 1 and form.mode not in ("auto", "map"):
            yield Shot(image=images.convert(still.pixels, cast(Mode, form.mode)), facts=still.facts)
            return
        place = window(still.facts[1], still.facts[2], form, False)
        left, top, right, bottom = (side / still.reduction for side in place.box)
        place = dataclasses.replace(place, box=(left, top, right, bottom))
        part = resized(still.pixels, place.size, place.box) if form.central and form.mode != "map" else None
        if part is not None:
            yield _shot(part, place, still, form)
            return
        picture = Pillow.fromarray(still.pixels if channels > 1 else still.pixels[..., 0])
        yield from _formed(picture, place, still, form, 1)
        return
    if still.deep is not None:
        yield Shot(image=_upright(still.deep, orientation), facts=still.facts, scene=still.scene)
        return
    if form.half:
        picture, orientation = _half(picture, orientation, form.half), 1
    # Refuses what is too small before the work begins.
    place = window(picture.width, picture.height, form, orientation > 4)
    if not form.half and picture.format in ("JPEG", "MPO") and form.mode != "map":
        whole = picture.size
        if (times := _reduction(whole, place, form)) > 1:
            _, extent = picture.draft(None, tuple(side // times for side in whole)) or ("", (0, 0, *whole))
            # The last of the reduced pixels may reach over the picture's edge: the box ends where the picture does.
            place = dataclasses.replace(place, box=tuple(side * extent[2] / whole[0] for side in place.box))
    picture.load()
    yield from _formed(picture, place, still, form, orientation)


def _formed(picture: Any, place: Window, still: Still, form: Form, orientation: int) -> Iterator[Shot]:
    """The parts of a loaded picture that were asked for, in their form."""
    if form.mode == "map":
        array: NDArray[Any] = _map(picture, place, orientation, form)
        yield Shot(image=array, facts=still.facts, scene=still.scene)
        return
    natural = _natural(picture)
    for found in (place,) if form.central else windows(natural, form, orientation > 4):
        part = natural
        if found.size != natural.size or found.box != (0, 0, *natural.size):
            part = natural.resize(found.size, Pillow.Resampling.LANCZOS, found.box, 3.0)
        if orientation > 1:
            part = part.transpose(_TURNS[orientation])
        yield _shot(_array(part, still.profile), found, still, form)


def _shot(pixels: NDArray[Any], place: Window, still: Still, form: Form) -> Shot:
    """A part of a picture, at its size and in sRGB, in the mode and on the ground that were asked for."""
    facts = list(still.facts)
    facts[4] |= _ENLARGED if place.enlarged else 0
    if form.mode != "auto":
        pixels = _pad(images.convert(pixels, cast(Mode, form.mode)), form)
    return Shot(image=pixels, facts=facts, scene=still.scene)


def _half(picture: Any, orientation: int, half: str) -> Any:
    """The left or right half of the upright picture."""
    picture.load()
    info = picture.info
    if orientation > 1:
        picture = picture.transpose(_TURNS[orientation])
    if picture.width < 2:
        raise Refused("it is too narrow to hold two pictures side by side")
    middle = picture.width // 2
    picture = picture.crop(
        (0, 0, middle, picture.height) if half == "left" else (picture.width - middle, 0, picture.width, picture.height)
    )
    picture.info = info
    return picture


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
    # What np.asarray does, without its detours.
    return np.frombuffer(colour.tobytes(), np.uint8).reshape(colour.height, colour.width, -1)


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


def _map(picture: Any, place: Window, orientation: int, form: Form) -> NDArray[np.uint8]:
    if picture.mode not in ("1", "L", "P", *_SIXTEEN):
        raise Refused("a map must be a grey or palette image whose values are numbers of classes")
    values = np.asarray(picture).astype(np.int64)
    if values.max() > 255:
        raise Refused("a map can name at most 256 classes")
    small = Pillow.fromarray(values.astype(np.uint8)).resize(place.size, Pillow.Resampling.NEAREST, place.box)
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
