"""Sheets of directions: one row each, from less to more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maquette.engine.latent.directions import Direction
    from maquette.operations._edits import Bench

AMOUNTS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)


def strips(on: Bench, directions: Sequence[Direction], seed: int) -> str:
    """Write the sheet of the image of a seed moved along each direction; its path."""
    import numpy as np

    from maquette.core.image import sheet
    from maquette.engine.latent.directions import held, moved
    from maquette.engine.latent.latents import Found

    start = on.latents.of_seeds([seed], on.rows_of([seed]))
    shown = directions[:32]
    image = np.repeat(on.latents.images(start), len(AMOUNTS), axis=0)
    tiles = []
    for one in shown:
        row = Found.together([moved(start, [one], [amount]) for amount in AMOUNTS])
        tiles += list(held(on.latents, row, image, [one]))
    scale = max(1, 96 // max(tiles[0].shape))
    picture = sheet(tiles, columns=len(AMOUNTS), scale=scale, names=[one.name for one in shown])
    path = on.to / "directions.png"
    on.press.sheet(path, picture, {"model": on.model_digest, "seeds": (seed,)})
    return str(path)
