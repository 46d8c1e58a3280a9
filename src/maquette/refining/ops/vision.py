"""How people with colour blindness see an image, and changes that help them."""

from __future__ import annotations

from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from maquette.core.image import Image
from maquette.refining.colour.space import REC709, Floats, in_light
from maquette.refining.op import op
from maquette.refining.schema import Dial

Kind = Literal["protan", "deutan", "tritan", "achromat"]
# Machado, Oliveira and Fernandes (2009), on linear light, for vision without red or green cones.
_DICHROMAT: dict[str, NDArray[np.float64]] = {
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "achromat": np.tile(REC709, (3, 1)),
}
# Brettel, Vienot and Mollon (1997), for vision without blue cones, where Machado's model is weak: two projections, on
# either side of a plane through the greys. Rows of the first two add up to 1, so that greys stay.
_TRITAN = (
    np.array([
        [1.01354162, 0.14268231, -0.15622392], [-0.01180536, 0.87561183, 0.13619356],
        [0.07707253, 0.81208091, 0.11084655],
    ]),
    np.array([
        [0.93336976, 0.19999005, -0.13335981], [0.05808718, 0.82565186, 0.11626096],
        [-0.37922811, 1.13824973, 0.24097838],
    ]),
    np.array([0.03960095, -0.02830720, -0.01129375]),
)  # fmt: skip
# What part of the way to the dichromat each tenth of severity is, in Machado's table (the red row of protan).
_SHARES = (0, 0.1697, 0.3129, 0.4361, 0.5438, 0.6393, 0.7250, 0.8026, 0.8737, 0.9392, 1)
_SHIFTS: dict[str, NDArray[np.float64]] = {
    # Where what is not seen goes (Fidaner, Lin and Ozguven, 2005): red and green into the others, blue likewise.
    "protan": np.array([[0, 0, 0], [0.7, 1, 0], [0.7, 0, 1]]),
    "deutan": np.array([[1, 0.7, 0], [0, 0, 0], [0, 0.7, 1]]),
    "tritan": np.array([[1, 0, 0.7], [0, 1, 0.7], [0, 0, 0]]),
}


@op(kind="colour", grey="skip")
def colour_blind(
    image: Image,
    *,
    kind: Annotated[
        Kind, Dial("protan: no red cones; deutan: no green (the most common); tritan: no blue; achromat: none")
    ] = "deutan",
    severity: Annotated[float, Dial("1 is blindness, less is weakness", ge=0, le=1)] = 1.0,
) -> Image:
    """Show the image as people with a colour blindness see it."""
    return image if severity == 0 else in_light(image, lambda light: seen(light, kind, severity))


@op(kind="colour", grey="skip")
def daltonise(
    image: Image,
    *,
    kind: Annotated[Literal["protan", "deutan", "tritan"], Dial("for whom")] = "deutan",
    amount: Annotated[float, Dial("how far colours are shifted", ge=0, le=1)] = 0.7,
) -> Image:
    """Shift colours that people with a colour blindness confuse, so that they can tell them apart."""
    shift = (_SHIFTS[kind] * amount).astype(np.float32)
    return (
        image
        if amount == 0
        else in_light(image, lambda light: light + cv2.transform(light - np.clip(seen(light, kind, 1.0), 0, 1), shift))
    )


def seen(light: Floats, kind: Kind, severity: float) -> Floats:
    """Linear light as it is seen."""
    if kind == "tritan":
        first, second, plane = _TRITAN
        side = cv2.transform(light, plane[None].astype(np.float32))
        full = np.where((side >= 0)[..., None], cv2.transform(light, first), cv2.transform(light, second))
        return np.asarray(light + (full - light) * np.float32(severity), np.float32)
    share = severity if kind == "achromat" else float(np.interp(severity, np.linspace(0, 1, 11), _SHARES))
    matrix = np.eye(3) * (1 - share) + _DICHROMAT[kind] * share
    return cv2.transform(light, matrix.astype(np.float32))
