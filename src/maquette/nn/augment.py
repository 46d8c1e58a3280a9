"""What a critic sees in place of an image: the image changed at random, so that it cannot learn the images by heart.

Real and made images are changed alike, and made ones so that gradients flow through. Every change leaves an image as it
is with some probability, which is why a generator cannot hide behind it: the distribution of changed images tells that
of the unchanged ones, and the generator learns to make those (Karras and others, 2020, argue this in general).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.core.spec import DataSpec, Tile

MOST = 0.8
"""The largest probability of a change: above it, changes begin to show in what is made."""
MOVED = 0.125
"""How far an image is moved at most, as a share of its side."""
CUT = 0.5
"""Side of the square that is hidden, as a share of the image's."""
BRIGHTER = 0.5
"""How much light is added or taken at most; the whole range is 2."""


class Augmentation(nn.Module):
    """Light and colour, place, and a hidden square, each with a probability that follows the critic's certainty."""

    strength: Tensor
    sure: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.mode = spec.mode
        self.register_buffer("strength", torch.zeros(()))
        self.register_buffer("sure", torch.zeros(()))

    def forward(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """N C H W in [-1, 1] -> the same, changed; random numbers come from the generator alone."""
        if images.device.type == "cpu" and not float(self.strength):  # elsewhere to look would be to wait
            return images
        return self._cut(self._move(self._light(images, generator), generator), generator)

    def adapt(self, sure: float, images: int, *, target: float, least: float, most: float, pace: float) -> None:
        """Change more when the critic is surer than the target that real images are real, and less when it is not.

        `sure` is the mean sign of its answers to real images, of one step over so many images; `pace` is over how many
        images the probability goes from 0 to 1.
        """
        self.sure.lerp_(torch.tensor(sure), min(1.0, images / 1_000))
        step = images / pace * (1 if float(self.sure) > target else -1)
        self.strength.add_(step).clamp_(least, min(most, MOST))

    def _some(self, count: int, generator: torch.Generator) -> Tensor:
        """Which of so many images are changed."""
        return torch.rand(count, generator=generator, device=self.strength.device) < self.strength

    def _light(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Brighter or darker, paler or more colourful, flatter or stronger; alpha stays, and colour stays within it."""
        count, channels = images.shape[:2]
        some = self._some(count, generator)

        def factor(least: float, most: float, plain: float) -> Tensor:
            drawn = least + (most - least) * torch.rand(count, generator=generator, device=images.device)
            return torch.where(some, drawn, torch.full_like(drawn, plain))[:, None, None, None]

        colour = images[:, :3]
        # Colour as a share of the whole range, N 1 or 3 H W; where an image is transparent there is none of it.
        presence = (images[:, 3:] + 1) / 2 if channels == 4 else None
        light = colour + 1 if presence is not None else colour
        shift = factor(-BRIGHTER, BRIGHTER, 0.0)
        light = light + (shift if presence is None else shift * presence)
        if channels >= 3:
            grey = light.mean(dim=1, keepdim=True)
            light = grey + (light - grey) * factor(0.0, 2.0, 1.0)
        if presence is None:
            middle = light.mean(dim=(1, 2, 3), keepdim=True)
        else:
            share = presence.mean(dim=(1, 2, 3), keepdim=True)
            middle = light.mean(dim=(1, 2, 3), keepdim=True) / share.clamp_min(1e-3) * presence
        light = middle + (light - middle) * factor(0.5, 1.5, 1.0)
        return light if presence is None else torch.cat([light - 1, images[:, 3:]], dim=1)

    def _move(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Moved by whole pixels; what comes in is the middle of the range, which no image has there by itself."""
        count, _, height, width = images.shape
        some = self._some(count, generator)

        def shift(side: int) -> tuple[Tensor, int]:
            far = max(1, round(MOVED * side))
            drawn = torch.randint(-far, far + 1, (count,), generator=generator, device=images.device)
            return torch.where(some, drawn, torch.zeros_like(drawn)), far

        (down, high), (across, wide) = shift(height), shift(width)
        rows = torch.arange(height, device=images.device) + (high + down)[:, None]
        columns = torch.arange(width, device=images.device) + (wide + across)[:, None]
        return _taken(F.pad(images, (wide, wide, high, high)), rows, columns)

    def _cut(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """A square somewhere is hidden behind the middle of the range."""
        count, _, height, width = images.shape
        some = self._some(count, generator)

        def within(side: int) -> Tensor:
            half = CUT * side / 2
            centre = torch.rand(count, generator=generator, device=images.device) * side
            return (torch.arange(side, device=images.device) + 0.5 - centre[:, None]).abs() < half

        hidden = within(height)[:, :, None] & within(width)[:, None, :] & some[:, None, None]
        return images * ~hidden[:, None]


def rolled(images: Tensor, tile: Tile, generator: torch.Generator) -> Tensor:
    """Each image N C H W rolled at random along the axes that tile: what is made has no edge to hide a seam at."""
    count, _, height, width = images.shape

    def shift(side: int, axis: str) -> Tensor:
        places = torch.arange(side, device=images.device)
        if axis not in tile:
            return places.expand(count, -1)
        return (places + torch.randint(side, (count, 1), generator=generator, device=images.device)) % side

    return _taken(images, shift(height, "y"), shift(width, "x")) if tile else images


def _taken(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Of each image N C H W its own rows N h and columns N w: N C h w."""
    count, channels, _, width = images.shape
    places = (rows[:, :, None] * width + columns[:, None, :]).reshape(count, 1, -1)
    taken = images.flatten(2).gather(2, places.expand(-1, channels, -1))
    return taken.reshape(count, channels, rows.shape[1], columns.shape[1])
