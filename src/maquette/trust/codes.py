"""Error correction for a few bytes: a tail-biting convolutional code with free bits that the image may choose.

A message is the payload, 12 bits of checksum and 60 free bits, spread evenly, and goes through a code of rate 1/4 with
64 states, whose register begins with the last six bits, so that none is spent on ending it. The free bits say nothing.
They make 2^60 words of every payload, and `encode` takes the one that the image resembles most already: what would
otherwise be noise helps (dirty-paper coding). The decoder is exact: it finds the likeliest word for each of the 64
states that the register can begin with, and the first of the best four whose checksum is right is the answer: more
would turn a damaged word into a wrong one more often than one time in a thousand.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LENGTHS = (4, 5, 6, 7, 8)
"""Bytes that a payload can have."""
CHECK_BITS = 12
FREE_BITS = 60
_BY_CHANCE, _BY_CHANCE_MORE = 10.46, 0.36  # how well the likeliest word fits noise: of 4 bytes, and for each more
_CHECK = 0x80F  # x^12 + x^11 + x^3 + x^2 + x + 1 without its highest term (CRC-12)
_TRIED = 4
_MEMORY = 6
_STATES = 1 << _MEMORY
_GENERATORS = (0o117, 0o127, 0o155, 0o171)  # rate 1/4, 64 states, free distance 20
RATE = len(_GENERATORS)
_NEVER = np.float32(1e9)

Bits = NDArray[np.uint8]
Soft = NDArray[np.float32]


@dataclass(frozen=True)
class Decoded:
    """What was most likely sent."""

    payload: bytes
    whole: bool
    """Whether the checksum is right."""
    confidence: float
    """The chance that this is the word that was sent, among the 64 likeliest, if the noise is what it seems."""
    fit: float
    """How well the likeliest word of all fits: the sum of its symbols times what was received, over its spread."""


def symbol_count(length: int) -> int:
    """How many symbols a payload of so many bytes becomes."""
    return RATE * _step_count(length)


def encode(payload: bytes, liked: Soft | None = None) -> Soft:
    """The payload as symbols of -1 and 1; of all its words the one with the largest sum of symbol times `liked`."""
    length = len(payload)
    fixed = np.full(_step_count(length), -1, np.int8)
    fixed[_places(length)] = _checked(np.unpackbits(np.frombuffer(payload, np.uint8)), length)
    received = np.zeros(symbol_count(length), np.float32) if liked is None else liked
    bits = _likeliest(received, fixed)[0][0]
    outputs = _trellis()[1]
    state = int("".join(map(str, bits[-_MEMORY:])), 2)
    symbols = np.empty((len(bits), RATE), np.float32)
    for step, bit in enumerate(bits):
        symbols[step] = outputs[state, bit]
        state = (state << 1 | int(bit)) & (_STATES - 1)
    return symbols.reshape(-1)


def decode(received: Soft, length: int, spread: float) -> Decoded:
    """The likeliest payload; `spread` is the standard deviation of the sum of all received, if all were noise."""
    free = np.full(_step_count(length), -1, np.int8)
    bits, fits = _likeliest(received, free)
    messages = bits[:, _places(length)]
    fits = fits / spread
    noise = _BY_CHANCE + _BY_CHANCE_MORE * (length - 4)
    strength = max(float(fits[0]) ** 2 - noise**2, 0.0) ** 0.5  # of the mark, in standard deviations
    chances = np.exp(strength * (fits - fits[0]))
    chances /= chances.sum()
    tried = enumerate(messages[:_TRIED])
    right = (k for k, message in tried if np.array_equal(_checked(message[: 8 * length], length), message))
    first = next(right, None)
    best = 0 if first is None else first
    payload = np.packbits(messages[best, : 8 * length]).tobytes()
    return Decoded(payload, first is not None, float(chances[best]), float(fits[0]))


def _likeliest(received: Soft, fixed: NDArray[np.int8]) -> tuple[Bits, NDArray[np.float64]]:
    """For each state to begin and end with, the bits of the best word and its fit; the best word first.

    `fixed` holds the bits that are known, and -1 for the others.
    """
    previous, outputs = _trellis()
    steps = len(fixed)
    # gain[step, state, bit]: how well the symbols of that branch fit
    gains = np.einsum("tr,sbr->tsb", received.reshape(steps, RATE).astype(np.float32), outputs).reshape(steps, -1)
    newest = np.arange(_STATES) & 1  # the bit that came in last
    into = previous * 2 + newest[:, None]  # state, which of two: the branch that leads in
    half = _STATES // 2
    # States 2 k and 2 k + 1 are both reached from the states k and k + half: pairs, and no table to look them up in.
    branches = gains[:, into].reshape(steps, half, 2, 2)  # step, k, which of the pair, from which half
    scores = np.full((half, 2, _STATES), -_NEVER, np.float32)  # k, which of the pair: the state now; first state
    scores.reshape(_STATES, _STATES)[np.diag_indices(_STATES)] = 0
    came = np.empty((steps, half, 2, _STATES), bool)
    for step in range(steps):
        before = scores.reshape(2, half, 1, _STATES)
        low, high = before[0] + branches[step, ..., :1], before[1] + branches[step, ..., 1:]
        np.greater(high, low, out=came[step])
        scores = np.maximum(low, high, out=low)
        if fixed[step] >= 0:
            scores[:, 1 - fixed[step]] -= _NEVER
    chosen = came.reshape(steps, _STATES, _STATES)
    ends = np.diagonal(scores.reshape(_STATES, _STATES))  # the register ends as it began
    order = np.argsort(-ends, kind="stable")
    bits = np.empty((_STATES, steps), np.uint8)
    state = order.copy()
    for step in range(steps - 1, -1, -1):
        bits[:, step] = state & 1
        state = previous[state, chosen[step, state, order].astype(np.intp)]
    return bits, ends[order].astype(np.float64)


def _step_count(length: int) -> int:
    return 8 * length + CHECK_BITS + FREE_BITS


@functools.lru_cache(maxsize=len(LENGTHS))
def _places(length: int) -> NDArray[np.intp]:
    """Which bits of a word are payload and checksum: spread evenly among the free ones."""
    told = 8 * length + CHECK_BITS
    return np.arange(told) * _step_count(length) // told


@functools.lru_cache(maxsize=1)
def _trellis() -> tuple[NDArray[np.intp], Soft]:
    """The two states before each state, and the symbols of each branch: (64, 2) and (64, 2, 4)."""
    states = np.arange(_STATES)
    previous = np.stack([states >> 1, states >> 1 | _STATES >> 1], axis=1)
    register = states[:, None] << 1 | np.arange(2)  # state, bit that enters
    ones = np.array([[[(int(value) & g).bit_count() for g in _GENERATORS] for value in row] for row in register])
    return previous, np.where(ones % 2 == 1, np.float32(-1), np.float32(1))


def _checked(bits: Bits, length: int) -> Bits:
    """The bits with their checksum behind them; it differs between lengths, so that none is taken for another."""
    mask = (1 << CHECK_BITS) - 1
    value = (0x5A5 * length) & mask
    for bit in bits:
        top = (value >> (CHECK_BITS - 1) & 1) ^ int(bit)
        value = (value << 1 & mask) ^ (_CHECK if top else 0)
    check = [value >> k & 1 for k in range(CHECK_BITS - 1, -1, -1)]
    return np.concatenate([bits, np.array(check, np.uint8)])
