"""A mark in the pixels that nobody sees and that whoever has the key finds, with or without a few bytes in it.

    marked = embed(image, b"abcd", key)
    found = detect(marked, key)          # found.p_value, found.payload

The mark survives what images go through: JPEG and WebP, resizing, cropping, small turns, blur, noise, changes of
brightness. How well is in docs/guide/watermark.md; how it works in docs/decisions/0008-watermark.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from maquette.core.errors import MaquetteError, UsageError
from maquette.core.image import Image, depth, mode_of
from maquette.trust import codes, evidence, search
from maquette.trust.pattern import HIGHEST, Pattern, draw, pattern
from maquette.trust.search import Place
from maquette.trust.spectrum import BLUENESS, FADING, WEIGHTS, Plane, Spectrum, activity, blueness, luminance, spectrum

DECIBELS = 40.0
"""The mark of strength 1 is never larger than this allows (peak signal to noise, over what is visible)."""
FALSE_ALARMS = 0.001
"""An image counts as marked when its p-value is at most this."""
PAYLOAD_SIDE = 64
"""Images with a shorter side say that they are marked, and nothing else."""
SMALLEST_SIDE = 24
_LARGEST_SIDE = 1024  # for looking; the tiles of larger images are larger as well
_ENOUGH = 1e-9  # a chance this small needs no other place to be looked at
_SURE = 1e-6  # at its own place and with a payload that was expected
_KEPT = 0.38  # waves a pixel up to which nothing is lost when an image is reduced before looking
_FEWEST_COLOURS, _FLAT_SHARE = 64, 0.6
_FLAT, _BUSY, _MOST = 1.0, 0.9, 3.0  # how large the mark may be: least, times activity, most; levels of 255
_REACH, _AROUND = 1.5, 9  # pixels
_COLOUR = 0.35  # of the change in luminance: about a seventh of the whole


class UnfitError(MaquetteError):
    """An image cannot carry a mark that is both invisible and readable."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found in an image."""

    p_value: float
    """How often an image that was made without the key would look as marked as this one."""
    payload: bytes | None = None
    """What the mark says, if it can be read."""
    likeliest: bytes | None = None
    """The payload as it can be read best, when its checksum is wrong: most of its bits may be right."""
    bit_confidence: float = 0.0
    """The chance that the payload is right."""
    kind: str = "whole"
    """How the image lies in the marked one: whole, resized, part, turned; presence when it is too small to say more."""
    tile: tuple[float, float] = (0.0, 0.0)
    """Sides (y, x) in pixels of the pattern's tile: how much the image was resized."""
    degrees: float = 0.0
    """How much it was turned."""

    @property
    def present(self) -> bool:
        """Whether the image is marked, at one false alarm in a thousand."""
        return self.p_value <= FALSE_ALARMS


def embed(
    image: Image,
    payload: bytes,
    key: bytes,
    strength: float = 1.0,
    *,
    tile: str = "",
    steady: bool = False,
    decibels: float | None = None,
) -> Image:
    """The image with a mark of 4 to 8 bytes; below 64 pixels with a mark alone, that says nothing.

    Strength 1 cannot be seen and leaves at least 40 dB. `tile` names the axes along which the image repeats (x, y),
    so that it still does. A `steady` mark is the same in every image, instead of the one of many that the image
    likes best: weaker in each, but it adds up over many (`detect_many`), and a model can learn it. `decibels` asks for
    exactly so much change instead (for comparisons).
    """
    _check(image, payload, key, strength)
    shape = (image.shape[0], image.shape[1])
    known, plane = pattern(key), luminance(image)
    place = search.own(shape, tile)
    seen = spectrum(plane)
    symbols = None
    if min(shape) >= PAYLOAD_SIDE:
        likes = None if steady else known.symbols(search.read(seen, known, place), len(payload))
        symbols = codes.encode(payload, likes)
    room = _room(plane)
    change = room[..., None] * _drawn(known, seen, place, symbols) * (WEIGHTS / (WEIGHTS @ WEIGHTS))
    if image.shape[2] == 1:
        change = room[..., None] * _drawn(known, seen, place, symbols)
    elif known.colour is not None:
        blue = blueness(image)
        assert blue is not None
        change = change + _COLOUR * room[..., None] * _drawn(known.colour, spectrum(blue), place, symbols) * BLUENESS
    marked = _added(image, change, strength, decibels)
    if not _reads(marked, known, place, len(payload), symbols is not None):
        raise UnfitError(
            "a mark cannot be read back: the image is too empty, or nothing but noise", do="leave the mark out"
        )
    return marked


def detect(image: Image, key: bytes, length: int = 4) -> Found:
    """Look for the key's mark: how sure it is, and the payload of `length` bytes if it can be read."""
    mode_of(image)
    if length not in codes.LENGTHS:
        raise UsageError(f"a payload has 4 to 8 bytes, not {length}")
    if min(image.shape[:2]) < SMALLEST_SIDE:
        return Found(p_value=1.0, kind="presence")
    found: list[evidence.Evidence] = []
    for one in evidence.gather(_seen(image), pattern(key), length):
        found.append(one)
        if one.chance < _ENOUGH and (one.kind == "presence" or (one.word is not None and one.word.whole)):
            break
    p_value = evidence.overall(found)
    # A stretched image, say, is found in several places, and only one of them is right enough for the payload.
    said = [one for one in found if one.word is not None and one.word.whole and one.share <= FALSE_ALARMS]
    best = min(said or found, key=lambda one: one.share)
    word = best.word if p_value <= FALSE_ALARMS else None
    told = word if said else None
    return Found(
        p_value=p_value,
        payload=told.payload if told else None,
        likeliest=word.payload if word else None,
        bit_confidence=told.confidence if told else 0.0,
        kind=best.kind,
        tile=best.place.tile,
        degrees=float(np.degrees(best.place.angle)),
    )


def confirm(image: Image, key: bytes, payloads: Collection[bytes], tile: str = "") -> Found | None:
    """The mark where `embed` put it, if the image still lies there and the mark says one of these payloads.

    For images of which something else says that they are as they were made: one place alone is looked at, in the
    luminance, reduced as far as the mark allows, so that it costs little at any size. None where this is not sure: then
    `detect` looks everywhere.
    """
    lengths = {len(payload) for payload in payloads} & set(codes.LENGTHS)
    if min(image.shape[:2]) < PAYLOAD_SIDE or not lengths:
        return None
    plane, known = luminance(image), pattern(key)
    place = search.own((plane.shape[0], plane.shape[1]), tile)
    small = _resized(plane, min(1.0, HIGHEST / min(place.tile) / _KEPT))
    seen = evidence.Seen(spectrum(small), None)
    reading = seen.read(known, _scaled_with(place, plane.shape, small.shape))
    for length in sorted(lengths):
        word, by_chance = reading.word(length)
        chance = evidence.together(reading.pilot(), by_chance) * len(lengths)
        if chance <= _SURE and word.whole and word.payload in payloads:
            p_value = max(chance, 1e-300)
            return Found(p_value=p_value, payload=word.payload, bit_confidence=word.confidence, tile=place.tile)
    return None


def detect_many(images: Iterable[Image], key: bytes, length: int = 4) -> Found:
    """Look for one mark in many images of one size together: what is too faint in each adds up.

    For images that were all made by one model: it may have learned the mark from images that carried it.
    """
    known = pattern(key)
    total: evidence.Reading | None = None
    shape: tuple[int, ...] = ()
    for image in images:
        mode_of(image)
        seen = _seen(image)
        reading = seen.read(known, search.own(seen.shape))
        if total is not None and seen.shape != shape:
            raise UsageError("images of different sizes cannot be looked at together")
        total, shape = reading if total is None else total + reading, seen.shape
    if total is None:
        raise UsageError("there are no images to look at")
    word, by_chance = total.word(length)
    saying, silent = evidence.together(total.pilot(), by_chance), total.presence()
    p_value = 1 - (1 - min(saying, silent)) ** 2 if min(saying, silent) > 1e-9 else 2 * min(saying, silent)
    payload = word.payload if word.whole and p_value <= FALSE_ALARMS and saying <= silent else None
    return Found(p_value=p_value, payload=payload, bit_confidence=word.confidence if payload else 0.0)


def _check(image: Image, payload: bytes, key: bytes, strength: float) -> None:
    mode = mode_of(image)
    if len(payload) not in codes.LENGTHS:
        raise UsageError(f"a payload has 4 to 8 bytes, not {len(payload)}")
    if not key:
        raise UsageError("a mark needs a key", do="give some secret bytes")
    if not 0 < strength <= 10:
        raise UsageError(f"the strength of a mark lies above 0 and up to 10, not {strength}")
    side = min(image.shape[:2])
    if side < SMALLEST_SIDE:
        raise UnfitError(f"an image of {side} pixels is too small for a mark", do=f"{SMALLEST_SIDE} are enough")
    visible = image[image[..., 3] > 0] if mode == "rgba" else image.reshape(-1, image.shape[2])
    if len(visible) < SMALLEST_SIDE**2:
        raise UnfitError("nearly all of the image is transparent", do="leave the mark out")
    if _is_graphic(image):
        raise UnfitError(
            f"the image is flat and has fewer than {_FEWEST_COLOURS} colours, and a mark would add others",
            do="leave the mark out",
        )


def _is_graphic(image: Image) -> bool:
    """Whether most pixels are exactly like their neighbours, and there are few colours, which are to stay."""
    alike = (image[1:, 1:] == image[:-1, 1:]).all(-1) & (image[1:, 1:] == image[1:, :-1]).all(-1)
    if float(alike.mean()) < _FLAT_SHARE:
        return False
    return len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) < _FEWEST_COLOURS


def _reads(marked: Image, known: Pattern, place: Place, length: int, says: bool) -> bool:
    """Whether the mark can be seen by whoever looks at the image as it is now."""
    seen = _seen(marked)
    reading = seen.read(known, _scaled_with(place, marked.shape, seen.shape))
    chance = evidence.together(reading.pilot(), reading.word(length)[1]) if says else reading.presence()
    return chance <= FALSE_ALARMS * evidence.SHARES["whole" if says else "presence"]


def _room(plane: Plane) -> Plane:
    """How large a change of luminance goes unseen at each pixel: more where it is busy all around.

    The least busy place near a pixel counts, so that nothing shows in the flat ground beside an edge.
    """
    busy = np.sqrt(activity(plane, _REACH)[1])
    calm = cv2.erode(busy, np.ones((_AROUND, _AROUND), np.uint8), borderType=cv2.BORDER_REFLECT)
    even = cv2.GaussianBlur(calm, (0, 0), _REACH, borderType=cv2.BORDER_REFLECT)
    return np.asarray(np.clip(_BUSY * even, _FLAT, _MOST))


def _drawn(known: Pattern, seen: Spectrum, place: Place, symbols: codes.Soft | None) -> Plane:
    """The pattern, weaker where the image is strong, with a spread of 1: height x width x 1."""
    frequencies = place.frequencies(known.waves)
    sizes = seen.level_at(frequencies) ** (-FADING / 2) * (np.hypot(*frequencies.T) < search.FINEST)
    drawn = draw(known.carrying(symbols) * sizes, known.waves, seen.shape, place.tile)
    return np.asarray(drawn / max(float(drawn.std()), 1e-9))[..., None]


def _added(image: Image, change: Plane, strength: float, decibels: float | None) -> Image:
    """The image with the change in it, scaled so that what is visible changes as little as was asked for."""
    mode = mode_of(image)
    colours = image.shape[2] - (mode == "rgba")
    top = depth(mode)
    before = image[..., :colours].astype(np.float32) * np.float32(255 / top)
    alpha = image[..., 3:].astype(np.float32) / 255 if mode == "rgba" else np.ones((1, 1, 1), np.float32)
    full = change * alpha  # what is invisible stays as it is
    seen = float(np.broadcast_to(alpha, (*image.shape[:2], 1)).astype(bool).mean())
    wanted = 255.0**2 / 10 ** ((DECIBELS + 0.02 if decibels is None else decibels) / 10) * seen
    wanted *= strength**2
    factor = float(np.sqrt(wanted / max(float(np.mean((full * alpha) ** 2)), 1e-12)))
    if decibels is None:
        factor = min(factor, strength)
    marked = image.copy()
    for _ in range(4):  # rounding and the ends of the scale change how much it is
        after = np.clip(np.rint((before + factor * full) * (top / 255)), 0, top)
        off = float(np.mean(((after * (255 / top) - before) * alpha) ** 2))
        if off <= wanted and (decibels is None or off >= 0.995 * wanted):
            break
        factor *= float(np.sqrt(0.999 * wanted / max(off, 1e-12)))
    marked[..., :colours] = after.astype(image.dtype)
    return marked


def _seen(image: Image) -> evidence.Seen:
    blue = blueness(image)
    return evidence.Seen(spectrum(_reduced(luminance(image))), None if blue is None else spectrum(_reduced(blue)))


def _reduced(plane: Plane) -> Plane:
    return _resized(plane, min(1.0, _LARGEST_SIDE / max(plane.shape)))


def _resized(plane: Plane, factor: float) -> Plane:
    if factor == 1:
        return plane
    size = [max(1, round(side * factor)) for side in (plane.shape[1], plane.shape[0])]
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))


def _scaled_with(place: Place, before: tuple[int, ...], after: tuple[int, ...]) -> Place:
    """The same place in an image that was reduced."""
    height, width = after[0] / before[0], after[1] / before[1]
    return replace(place, tile=(place.tile[0] * height, place.tile[1] * width))
