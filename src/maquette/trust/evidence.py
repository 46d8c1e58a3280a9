"""How sure it is that an image carries a mark: from how far its pilot and its word stand out to one p-value.

Under chance alone, that is, when the image was made without the key, the phases of the pattern have nothing to do with
it, whatever the image shows. So the pilot's sum is normal with a spread that the image itself gives, and how well the
likeliest word fits noise was measured once. Several places are looked at; each kind of place has a share of the chance
of a false alarm, so that the place that is most likely, an image that is whole, is not drowned by the thousands of
others. `benchmarks/watermark.py clean` checks the result on 10,000 images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maquette.trust import codes, search
from maquette.trust.pattern import Pattern, Waves
from maquette.trust.search import Place
from maquette.trust.spectrum import Spectrum

SHARES = {"whole": 0.45, "presence": 0.05, "resized": 0.15, "cut": 0.15, "part": 0.12, "turned": 0.08}
"""How the chance of a false alarm is shared out among the kinds of places."""
_TWO_TRIES = 1.6
"""How many independent tries two numbers are that share half their variance."""
_LOOK = 0.25
"""Where the pilot stands out less than so often by chance, the word is not read: that would cost time."""
_FIT_FRACTIONS = (0.15, 0.25, 0.45, 0.7, 1.0)
_FIT_MEANS = {
    4: (8.30, 9.40, 10.00, 10.29, 10.46),
    6: (8.40, 9.75, 10.50, 10.98, 11.18),
    8: (8.70, 10.25, 11.20, 11.65, 11.89),
}
_FIT_SPREADS = {4: 0.295, 6: 0.29, 8: 0.27}
"""Of the fit of the likeliest word to noise, by bytes and by the share of the chips that are left."""


@dataclass(frozen=True)
class Evidence:
    """What one kind of place has shown."""

    kind: str
    chance: float
    """How often chance alone would show as much, in places of this kind."""
    place: Place
    word: codes.Decoded | None = None

    @property
    def share(self) -> float:
        """The chance, if all kinds of places are looked at."""
        return self.chance / SHARES[self.kind]


def tail(deviations: float) -> float:
    """How often a normal number lies above so many standard deviations."""
    return 0.5 * math.erfc(deviations / math.sqrt(2.0))


def together(first: float, second: float) -> float:
    """Two independent chances as one (Stouffer): the pilot counts .6, the word .8."""
    return tail(0.6 * _deviations(first) + 0.8 * _deviations(second))


def overall(found: list[Evidence]) -> float:
    """The p-value of the strongest evidence, if every kind of place was looked at."""
    strongest = min(one.share for one in found)
    log_none = sum(math.log1p(-min(share * strongest, 1 - 1e-12)) for share in SHARES.values())
    return float(max(-math.expm1(log_none), 1e-300))


@dataclass(frozen=True)
class Seen:
    """What of one image a mark may be in."""

    luminance: Spectrum
    colour: Spectrum | None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.luminance.shape

    def planes(self, pattern: Pattern) -> tuple[list[Spectrum], list[Pattern]]:
        """The planes with a mark, and the patterns in them."""
        if self.colour is None or pattern.colour is None:
            return [self.luminance], [pattern]
        return [self.luminance, self.colour], [pattern, pattern.colour]

    def read(self, pattern: Pattern, place: Place) -> Reading:
        """The pattern's waves at a place."""
        colour = None
        if self.colour is not None and pattern.colour is not None:
            colour = search.read(self.colour, pattern.colour, place)
        return Reading(pattern, search.read(self.luminance, pattern, place), colour)


@dataclass(frozen=True)
class Reading:
    """The pattern's waves at one place, turned back by their phases; readings of many images may be added."""

    pattern: Pattern
    luminance: Waves
    colour: Waves | None

    def __add__(self, other: Reading) -> Reading:
        colour = None if self.colour is None or other.colour is None else self.colour + other.colour
        return Reading(self.pattern, self.luminance + other.luminance, colour)

    def pilot(self) -> float:
        """How often chance alone makes the pilot stand out as much."""
        return _either(*self._deviations(whole=False))

    def presence(self) -> float:
        """How often chance alone makes all waves stand out as much, if they carry no payload."""
        return _either(*self._deviations(whole=True))

    def word(self, length: int) -> tuple[codes.Decoded, float]:
        """The likeliest word, and how often noise fits a word as well.

        How much the colours count for follows from the pilots, which the word does not depend on.
        """
        symbols, powers = _said(self.pattern, self.luminance, length)
        if self.colour is not None and self.pattern.colour is not None:
            bright, blue = self._deviations(whole=False)
            bright = max(bright, 1.0) / self.pattern.pilot**0.5 / _scale(self.luminance)
            blue = max((blue or 0.0) - 1.5, 0.0) / self.pattern.colour.pilot**0.5 / _scale(self.colour)
            more, others = _said(self.pattern.colour, self.colour, length)
            symbols = np.asarray(bright * symbols + blue * more, np.float32)
            powers = np.concatenate([bright**2 * powers, blue**2 * others])
        total = float(powers.sum()) + 1e-12
        word = codes.decode(symbols, length, math.sqrt(total))
        left = 2 * total**2 / (float((powers**2).sum()) + 1e-24) / (len(self.luminance) - self.pattern.pilot)
        return word, tail((word.fit - _fit_mean(left, length)) / _fit_spread(length))

    def _deviations(self, whole: bool) -> tuple[float, float | None]:
        bright = self.luminance[: None if whole else self.pattern.pilot]
        first = float(bright.real.sum() / search.spread(bright))
        if self.colour is None or self.pattern.colour is None:
            return first, None
        blue = self.colour[: None if whole else self.pattern.colour.pilot]
        return first, float(blue.real.sum() / search.spread(blue))


def gather(seen: Seen, pattern: Pattern, length: int) -> Iterator[Evidence]:
    """The evidence of every kind of place, the cheapest and likeliest first; the caller stops when it has enough."""
    places = search.whole(seen.shape)
    reading = seen.read(pattern, places[0])
    word, by_chance = reading.word(length)
    yield Evidence("whole", together(reading.pilot(), by_chance), places[0], word)
    place = search.at_corner((float(seen.shape[0]), float(seen.shape[1])), seen.shape)
    yield Evidence("presence", seen.read(pattern, place).presence(), place)
    if len(places) > 1:
        scores = search.pilot(seen.luminance, pattern, places[1:])
        k = int(scores.argmax())
        chance = -math.expm1((len(places) - 1) * math.log1p(-tail(float(scores[k]))))
        yield _read_if_worth("resized", chance, places[1 + k], seen, pattern, length)
    for kind, tried in (
        ("cut", search.unscaled()),
        ("part", search.scaled(seen.shape)),
        ("turned", search.turned(seen.shape)),
    ):
        score, place = search.best(*seen.planes(pattern), tried)
        chance = chance_of_best(score, len(tried) * (1.0 if seen.colour is None else _TWO_TRIES))
        yield _read_if_worth(kind, chance, place, seen, pattern, length, refine=True)


def chance_of_best(score: float, places: float) -> float:
    """How often chance alone makes the best of all corners of so many places stand out as much."""
    # Fitted to 5,000 clean images: a little lighter than the tail of a normal field, because waves have bounded sizes.
    return -math.expm1(-places * math.exp(6.2 - 1.05 * score * score / 2)) if score > 0 else 1.0


def _read_if_worth(
    kind: str, chance: float, place: Place, seen: Seen, pattern: Pattern, length: int, refine: bool = False
) -> Evidence:
    if chance > _LOOK:
        return Evidence(kind, chance, place)
    if refine:
        place = search.refined(*seen.planes(pattern), place)
    word, by_chance = seen.read(pattern, place).word(length)
    return Evidence(kind, _LOOK * together(chance / _LOOK, by_chance), place, word)


def _either(bright: float, blue: float | None) -> float:
    """The chance of the luminance alone or of both together, whichever is smaller, and that there were two tries."""
    if blue is None:
        return tail(bright)
    strongest = max(bright, (bright + blue) / math.sqrt(2.0))
    return -math.expm1(_TWO_TRIES * math.log1p(-min(tail(strongest), 1 - 1e-12)))


def _said(pattern: Pattern, read: Waves, length: int) -> tuple[codes.Soft, NDArray[np.float32]]:
    """What waves say about the symbols, and their powers."""
    told = read[pattern.pilot :]
    return pattern.symbols(read, length), np.asarray(told.real**2 + told.imag**2)


def _scale(read: Waves) -> float:
    return float(np.sqrt(np.mean(read.real**2 + read.imag**2))) + 1e-12


def _fit_mean(left: float, length: int) -> float:
    low, high = length - length % 2, length + length % 2
    return float(np.mean([np.interp(left, _FIT_FRACTIONS, _FIT_MEANS[size]) for size in (low, high)]))


def _fit_spread(length: int) -> float:
    return _FIT_SPREADS[length - length % 2]


def _deviations(chance: float) -> float:
    """The normal number above which so large a share lies; the inverse of `tail`."""
    from scipy.special import ndtri

    return -float(ndtri(min(max(chance, 1e-300), 1 - 1e-12)))
