"""Numbers as pictures: a field in colours with its scale beside it, and the places where it was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.image import Image

RAMP = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""From little to much, even to the eye (the colours of viridis at fifths)."""
SURE = ((247, 247, 247), (253, 210, 150), (245, 140, 80), (190, 60, 60), (90, 20, 50))
"""From sure to unsure."""
SIDE = 256


def coloured(values: NDArray[Any], low: float, high: float, ramp: Sequence[Sequence[int]] = RAMP) -> Image:
    """Values H W as colours H W 3."""
    import numpy as np

    share = ((values - low) / max(high - low, 1e-12)).clip(0, 1) * (len(ramp) - 1)
    known = np.asarray(ramp, np.float64)
    planes = [np.interp(share, np.arange(len(ramp)), known[:, channel]) for channel in range(3)]
    return np.asarray(np.rint(np.stack(planes, axis=-1)), np.uint8)


def chart(
    values: NDArray[Any], title: str, low: float, high: float, *, ramp: Sequence[Sequence[int]] = RAMP,
    places: Sequence[tuple[float, float]] = (),
) -> Image:  # fmt: skip
    """A field as a picture to hand on: title, colours, scale with numbers, and a ring at each place."""
    import numpy as np
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    height, width = values.shape
    scale = SIDE / max(height, width)
    size = (round(width * scale), round(height * scale))
    field = Pillow.fromarray(coloured(values, low, high, ramp)).resize(size, Pillow.Resampling.BICUBIC)
    picture = Pillow.new("RGB", (size[0] + 96, size[1] + 44), (255, 255, 255))
    picture.paste(field, (12, 32))
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=14)
    pen.text((12, 8), title, (30, 30, 34), font)
    for across, down in places:
        x, y = 12 + across * size[0], 32 + down * size[1]
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), outline=(255, 255, 255), width=2)
        pen.ellipse((x - 5, y - 5, x + 5, y + 5), outline=(30, 30, 34))
    steps = coloured(np.linspace(high, low, size[1])[:, None].repeat(14, axis=1), low, high, ramp)
    picture.paste(Pillow.fromarray(steps), (size[0] + 22, 32))
    for share in (0.0, 0.5, 1.0):
        y = 32 + (1 - share) * (size[1] - 1)
        pen.text((size[0] + 42, y), f"{low + share * (high - low):.3g}", (30, 30, 34), font, anchor="lm")
    return np.asarray(picture)
