"""Looks that come in files: look-up tables of colours."""

from __future__ import annotations

from typing import Annotated

from maquette.core.image import Image
from maquette.refining.colour import cube
from maquette.refining.op import op
from maquette.refining.schema import Dial


@op(kind="colour", grey="colour")
def lut(
    image: Image,
    *,
    file: Annotated[str | None, Dial("a .cube file", kind="file", needed=True)] = None,
    method: Annotated[
        cube.Method, Dial("between the table's colours: tetrahedral keeps greys clean, trilinear is quicker")
    ] = "tetrahedral",
) -> Image:
    """Give the image a look from a .cube file, as grading programs write them."""
    assert file is not None
    return cube.read(file)(image, method)
