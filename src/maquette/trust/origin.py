"""Proof, inside this process, that pixels were sampled from a model: what may be signed as generated, and nothing else.

A `Generated` holds the pixels themselves, so there is no way to hand in others. Only `engine.sample` makes them: it
takes the one stamp there is while it is loaded, before any request is read. Objects that were forged, copied or
unpickled are not known here and are refused when they are signed.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import TrustError
from maquette.core.noise import Mix


class Generated:
    """One image as a model made it from a seed. It cannot be made, copied or changed by hand."""

    __slots__ = ("__weakref__", "guided", "mix", "model", "picture", "seed")
    picture: NDArray[Any]
    """Height x width x channels, read-only."""
    seed: int
    """Of a mix of seeds the one that counts most."""
    mix: Mix | None
    """The seeds and their weights, where it was made of several."""
    model: str
    """The digest of the model file."""
    guided: bool
    """Whether an image that somebody gave went into it."""

    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError("only sampling makes generated images")

    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError("a generated image is not changed")

    def __delattr__(self, name: str) -> None:
        raise TypeError("a generated image is not changed")

    def __reduce__(self) -> Any:
        raise TypeError("a generated image is not copied")

    def __copy__(self) -> Any:
        raise TypeError("a generated image is not copied")

    def __deepcopy__(self, memo: object) -> Any:
        raise TypeError("a generated image is not copied")

    def __repr__(self) -> str:
        return f"<generated image, seed {self.seed}>"


class Stamp(Protocol):
    """Makes a `Generated`."""

    def __call__(
        self, picture: NDArray[Any], *, seed: int, model: str, guided: bool, mix: Mix | None = None
    ) -> Generated:
        """Vouch that the model made this picture from this seed, or from this mix of seeds."""
        ...


def _office() -> tuple[Callable[[], Stamp], Callable[[object], Generated]]:
    """The stamp and its register, reachable through these two functions alone."""
    known: weakref.WeakKeyDictionary[Generated, bytes] = weakref.WeakKeyDictionary()
    given: list[bool] = []

    def stamp(picture: NDArray[Any], *, seed: int, model: str, guided: bool, mix: Mix | None = None) -> Generated:
        own = np.array(picture, order="C")
        own.flags.writeable = False
        made = object.__new__(Generated)
        facts = {"picture": own, "seed": int(seed), "mix": mix, "model": str(model), "guided": bool(guided)}
        for name, value in facts.items():
            object.__setattr__(made, name, value)
        known[made] = _digest(made)
        return made

    def take() -> Stamp:
        if given:
            raise TypeError("there is one stamp, and engine.sample has it")
        given.append(True)
        return stamp

    def check(thing: object) -> Generated:
        if type(thing) is not Generated or known.get(thing) != _digest(thing):
            raise TrustError(
                "only images that a model has just made can be signed as generated",
                do="use maquette sample; edits of other images are signed as edits",
            )
        return thing

    return take, check


def _digest(made: Generated) -> bytes:
    try:
        form = f"{made.picture.shape} {made.picture.dtype} {made.seed} {made.mix!r} {made.model} {made.guided}"
        return hashlib.sha256(form.encode() + made.picture.tobytes()).digest()
    except (AttributeError, TypeError, ValueError):
        return b"forged"


take_stamp, check_generated = _office()
