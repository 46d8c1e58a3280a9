"""What several uses measure: colours by their distance to the eye, variety, and copies as the judge found them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.event import Event
from maquette.core.image import Image, convert
from maquette.features.space import FEWEST
from maquette.operations._uses import Figure, Work

if TYPE_CHECKING:
    from maquette.data.dataset import Dataset

SEEN = 2.3
"""The colour distance (Delta E) that people just see when two colours lie side by side."""


UNJUDGED = "not judged"
"""The grade where there was too little to judge by."""


def lab(image: Image) -> NDArray[np.float64]:
    """Colours of an 8-bit image (alpha laid on white) in CIE Lab, as the difference is measured in."""
    from skimage.color import rgb2lab

    return np.asarray(rgb2lab(convert(image, "rgb")), np.float64)


def difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance to the eye of colours in CIE Lab (CIEDE2000)."""
    from skimage import color

    measure: Any = color.deltaE_ciede2000
    return np.asarray(measure(one, other), np.float64)


def visible(image: Image) -> NDArray[np.bool_]:
    """Where an image is opaque enough that its colour is seen as it is."""
    return image[..., 3] > 250 if image.shape[2] == 4 else np.ones(image.shape[:2], bool)


def from_palette(image: Image, palette: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """The distance (CIEDE2000) of every visible pixel to the nearest of these colours (8-bit RGB)."""
    seen = np.ascontiguousarray(image[..., :3])[visible(image)]
    if not len(seen):
        return np.zeros(0)
    known, back = np.unique(seen, axis=0, return_inverse=True)
    have = lab(known[None].astype(np.uint8))[0]
    goals = lab(np.asarray(palette, np.uint8)[None])[0]
    nearest = np.min([difference(have, np.broadcast_to(goal, have.shape)) for goal in goals], axis=0)
    return np.asarray(nearest, np.float64)[back.ravel()]


def evaluated(
    work: Work, data: Dataset, run: str, count: int, report: str
) -> Generator[Event, None, Mapping[str, Any]]:
    """The facts of `evaluate`; empty ones, with the reason, where there are too few images to judge by."""
    few = len(data.indices("train"))
    if few < FEWEST:
        why = f"there are {few} images to learn from, and {FEWEST} are needed to judge by"
        return {"metrics": {}, "headline": "", "grade": UNJUDGED, "said": [why], "no_copies": why, "report": ""}
    result = yield from work.do("evaluate", what=run, count=count, report=report)
    return result.facts


def judged(facts: Mapping[str, Any]) -> list[Figure]:
    """Variety and copies from the facts of `evaluate`, where they could be measured."""
    metrics = facts["metrics"]
    figures = []
    if (variety := metrics.get("variety")) is not None:
        figures.append(Figure(
            name="variety", value=variety["value"], low=variety["low"], high=variety["high"], goal="at least 0.8",
            reached=variety["value"] >= 0.8,
            says="how varied the new images are, as a share of how varied as many of yours are (1 is the same).",
        ))  # fmt: skip
    if (copies := metrics.get("copies")) is not None:
        expected = max(copies["anchors"].get("held-out", 0.0), 0.01)
        figures.append(Figure(
            name="copies", value=copies["value"], low=copies["low"], high=copies["high"],
            goal=f"not plainly more than {expected:.3g}", reached=copies["low"] <= expected,
            says="the share of new images that are too like one training image; so many of the images that were held "
            "back, which nobody copied, look like one as well.",
        ))  # fmt: skip
    return figures


def unmeasured(facts: Mapping[str, Any]) -> list[str]:
    """What could not be judged, and why, in words for the list of what is not yet good."""
    said = []
    if facts.get("no_copies"):
        said.append(f"Nothing can be said about copies: {facts['no_copies']}. Look at the nearest pieces yourself.")
    if "variety" not in facts["metrics"]:
        said.append("Variety could not be measured: there are too few images to compare with.")
    return said
