"""A space of likeness: features brought to one scale, along the directions that say most about what images show.

Without anything else these are the directions in which the real images vary most. Where it is known how features change
when the same picture is taken differently (`views.view`), they are those in which images differ most for what such
changes move them: what Fisher's discriminant does with labels, done with every image as a label of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError
from maquette.store.digest import tensors_digest

Rows = NDArray[np.float64]
WIDTH = 64
SOFTNESS = 0.1
"""Directions much weaker than this share of the strongest are not blown up to its scale."""
FEWEST = 20
STEADY = 1.0
"""Of the mean effect of a change, added to every direction's: what no view happens to show is not taken for steady."""
FAINT = 1e-3
"""Directions that tell images apart by less than this share of what the best one does are not blown up to its scale."""
TILT = 0.3
"""What is left of the difference between directions: each reaches as far as its share of the best one to this power.
At 0, all alike, the grain of a generator counts as much as what its images show; at .4 the faintest noise is missed.
"""


@dataclass(frozen=True)
class Space:
    """A linear map fitted on real images: centre, scale, principal directions, softly whitened."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    directions: NDArray[np.float64] | None
    """Features x width; whitening is in it. None leaves the features as they are."""

    @classmethod
    def whole(cls, features: NDArray[np.floating]) -> Space:
        """The features as they are, which is what published figures are taken in."""
        width = features.shape[1]
        return cls(np.zeros(width), np.ones(width), None)

    @property
    def is_whole(self) -> bool:
        """Whether nothing was fitted."""
        return self.directions is None

    @classmethod
    def fit(
        cls, features: NDArray[np.floating], width: int = WIDTH, *, changes: NDArray[np.floating] | None = None
    ) -> Space:
        """Fit on rows of features of real images; `changes` are rows of what views of images add to their features."""
        if len(features) < FEWEST:
            raise DataError(f"{len(features)} images are too few to measure likeness by", do=f"give at least {FEWEST}")
        rows = np.asarray(features, np.float64)
        mean, spread = rows.mean(0), rows.std(0)
        # A feature that hardly varies says nothing, and dividing by its spread would make noise of it.
        scale = np.where(spread > 1e-6 * max(spread.max(), 1e-12), spread, np.inf)
        normal = (rows - mean) / scale
        total, root = normal.T @ normal / max(1, len(rows) - 1), np.eye(rows.shape[1])
        if changes is not None:
            root = _root(np.asarray(changes, np.float64) / scale, int(np.isfinite(scale).sum()))
            total = root.T @ total @ root
        values, vectors = np.linalg.eigh(total)
        kept = min(width, len(rows) // 2, int((values > 1e-9 * max(values[-1], 1e-12)).sum()))
        if kept < 1:
            raise DataError("all these images are alike: there is nothing to measure likeness by")
        values, vectors = values[::-1][:kept], vectors[:, ::-1][:, :kept]
        signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(kept)])
        soft, tilt = (SOFTNESS, 0.0) if changes is None else (FAINT, TILT)
        reach = (values / values[0]) ** tilt / np.sqrt(values + soft * values[0])
        return cls(mean, scale, root @ (vectors * signs) * reach)

    @property
    def width(self) -> int:
        """How many numbers an image has here."""
        return len(self.mean) if self.directions is None else int(self.directions.shape[1])

    @property
    def digest(self) -> str:
        """Of what was fitted."""
        fitted = {} if self.directions is None else {"directions": self.directions}
        return tensors_digest({"mean": self.mean, "scale": self.scale, **fitted})

    def __call__(self, features: NDArray[np.floating]) -> Rows:
        """Rows of features -> rows of this space."""
        if self.directions is None:
            return np.asarray(features, np.float64)
        blocks = [
            ((np.asarray(features[start : start + 4096], np.float64) - self.mean) / self.scale) @ self.directions
            for start in range(0, len(features), 4096)
        ]
        return np.concatenate(blocks) if blocks else np.zeros((0, self.width))


def _root(changes: NDArray[np.float64], varying: int) -> NDArray[np.float64]:
    """Features x features: what brings the effect of changes to one in every direction."""
    within = changes.T @ changes / max(1, len(changes))
    within += (STEADY * np.trace(within) / max(1, varying) + 1e-9) * np.eye(len(within))
    root: NDArray[np.float64] = np.linalg.inv(np.linalg.cholesky(within)).T
    return root
