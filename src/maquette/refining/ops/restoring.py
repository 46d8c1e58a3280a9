"""Restoring with a model of one's own kind of images: noise, blur and small holes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import UsageError
from maquette.core.image import Image
from maquette.refining import pixels
from maquette.refining.op import op
from maquette.refining.schema import Dial

Model = Callable[[Image], NDArray[np.float32]]


@op(kind="filter", alpha="own", tiles=False)
def restore(
    image: Image,
    *,
    model: Annotated[
        Any,
        Dial(
            "a run of the family autoencoder that learned such images; in Python any callable",
            kind="model",
            needed=True,
        ),
    ] = None,
    holes: Annotated[
        Image | None, Dial("white where something is missing; then only that is filled", kind="image")
    ] = None,
    times: Annotated[int, Dial("how often holes are gone over", ge=1, le=50)] = 4,
) -> Image:
    """Send the image through a model that knows its kind: noise and blur go, small holes are filled.

    What comes back is what the model could keep of the image. Large images are gone over piece by piece, each as large
    as the images that the model learned from. Mix with the image itself by `strength`.
    """
    if holes is None:
        return pixels.to_depth(_through(image, model), image.dtype)
    if holes.shape[:2] != image.shape[:2]:
        sizes = [f"{side.shape[1]} x {side.shape[0]}" for side in (holes, image)]
        raise UsageError(
            f"the holes have {sizes[0]} pixels and the image {sizes[1]}", do="give a mask of the same size"
        )
    missing = pixels.to_float(pixels.luminance(holes[..., :3] if holes.shape[2] == 4 else holes))
    found = np.where(missing > 0.5, np.float32(0.5), pixels.to_float(image))  # grey is what the model knows holes by
    for _ in range(times):
        found = np.where(missing > 0.5, _through(pixels.to_depth(found, image.dtype), model), found)
    whole = pixels.to_float(image)
    return pixels.to_depth(whole + missing * (found - whole), image.dtype)


def _through(image: Image, model: Model) -> NDArray[np.float32]:
    """What the model makes of the image, with as many channels as it has."""
    found = model(image)
    if found.shape[:2] != image.shape[:2]:
        raise UsageError("the model makes an image of another size", do="give a run of the family autoencoder")
    if found.shape[2] == 4:
        found = pixels.straight(found)
    if image.shape[2] == found.shape[2]:
        return found
    if image.shape[2] == 1 and found.shape[2] >= 3:
        return pixels.luminance(found[..., :3])
    if image.shape[2] == 4 and found.shape[2] == 3:
        return np.concatenate([found, pixels.to_float(image[..., 3:])], axis=2)
    if image.shape[2] == 3 and found.shape[2] == 4:
        return found[..., :3]
    raise UsageError("the model knows grey images only, and this one has colours", do="make it grey first")
