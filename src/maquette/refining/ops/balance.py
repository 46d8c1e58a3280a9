"""White balance, temperature and tint: changes of the light, made in linear light, one curve a channel."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np

from maquette.core.errors import UsageError
from maquette.core.image import Image
from maquette.refining.colour import illuminant
from maquette.refining.colour.measure import Weights, apart, together
from maquette.refining.colour.space import REC709, decoded, encoded, in_strips, tabulate_each, to_light, top
from maquette.refining.op import op
from maquette.refining.pixels import to_depth, to_float
from maquette.refining.schema import Dial

Method = Literal["auto", "grey-world", "shades-of-grey", "white-patch", "grey-edge"]


@op(kind="colour", alpha="own", grey="skip")
def white_balance(
    image: Image,
    *,
    method: Annotated[Method, Dial("how the colour of the light is found; auto weighs the others")] = "auto",
    at: Annotated[
        tuple[float, ...] | None,
        Dial("a place that should be grey, in parts of width and height", form="X:Y", count=2, ge=0, le=1),
    ] = None,
) -> Image:
    """Remove a colour cast, so that what is neutral looks neutral."""
    colour, weights, alpha = apart(image)
    seen, counts = illuminant.small(colour, weights)
    light = _at(colour, weights, at) if at is not None else illuminant.METHODS[method](seen, counts)
    if illuminant.degrees_between(light, illuminant.NEUTRAL) < 0.1:
        return image
    gains = as_bright(1 / light)
    # Where the brightest parts would leave the range, all is made a little darker, so that they become neutral, too.
    highest = float(np.quantile((seen * gains.astype(np.float32)).max(axis=2)[counts > 0], 0.995))
    gains *= min(1.0, max(0.75, 1 / max(highest, 1e-6)))
    return together(_blown_kept(colour, lit(colour, gains, 16)), alpha)


@op(kind="colour", grey="skip")
def temperature(
    image: Image,
    *,
    amount: Annotated[float, Dial("above 0 warmer, below 0 cooler; 1 is daylight to lamplight", ge=-1, le=1)] = 0.2,
) -> Image:
    """Make the light warmer or cooler."""
    day = 1e6 / 6504  # in mired, in which equal steps look equal
    return image if amount == 0 else lit(image, as_bright(_black_body(day + 140 * amount) / _black_body(day)))


@op(kind="colour", grey="skip")
def tint(
    image: Image,
    *,
    amount: Annotated[float, Dial("above 0 towards magenta, below 0 towards green", ge=-1, le=1)] = 0.15,
) -> Image:
    """Move the light between green and magenta, as fluorescent lamps need."""
    return image if amount == 0 else lit(image, as_bright(2.0 ** (0.5 * amount * np.array([1, -1, 1]))))


def lit(image: Image, gains: Any, power: int = 4) -> Image:
    """The image under light that is `gains` times its own; what gets brighter bends at white, the later the higher
    the power."""
    gains = np.asarray(gains, np.float64)

    def change(values: Any) -> Any:
        light = decoded(values)
        bend = np.maximum(gains**power - 1, 0)  # g x / (1 + (g^p - 1) x^p)^(1/p): slope g at black, and 1 stays 1
        return encoded(gains * light / (1 + bend * light**power) ** (1 / power))

    return tabulate_each(image, change)


def as_bright(gains: Any) -> Any:
    """The gains, scaled so that greys keep their luminance."""
    return gains / (gains @ REC709)


def _blown_kept(before: Image, after: Image) -> Image:
    """What was blown out to white stays white: its colour was lost before there was a cast to remove."""
    white = top(before.dtype)
    if not (before.reshape(-1, 3)[:, 0] >= 0.97 * white).any():
        return after

    def change(both: Image) -> Image:
        old, new = to_float(np.ascontiguousarray(both[..., :3])), to_float(np.ascontiguousarray(both[..., 3:]))
        share = np.clip((np.minimum(np.minimum(old[..., 0], old[..., 1]), old[..., 2]) - 0.97) / 0.03, 0, 1)[..., None]
        return to_depth(new + (old - new) * share, both.dtype)

    return in_strips(np.concatenate([before, after], axis=2), change)


def _at(colour: Image, weights: Weights, at: tuple[float, ...]) -> illuminant.Illuminant:
    """The light as the neighbourhood of that place shows it: a hundredth of the shorter side around it."""
    height, width = colour.shape[:2]
    x, y = min(width - 1, int(at[0] * width)), min(height - 1, int(at[1] * height))
    reach = max(1, round(min(height, width) / 100))
    rows, columns = slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1)
    patch = to_light(np.ascontiguousarray(colour[rows, columns]))
    counts = np.ones(patch.shape[:2], np.float32) if weights is None else weights[rows, columns]
    if counts.sum() == 0:
        raise UsageError(f"white-balance: nothing is visible at {at[0]:g}:{at[1]:g}", do="choose another place")
    mean = (patch * counts[..., None]).sum(axis=(0, 1)) / counts.sum()
    if mean.max() < 1e-3:
        raise UsageError(f"white-balance: the image is black at {at[0]:g}:{at[1]:g}", do="choose a lighter place")
    return illuminant.unit(np.maximum(mean, 1e-4))


def _black_body(mired: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Linear sRGB of a glowing body, by Kim's approximation of its chromaticity (2002), for 1,667 to 25,000 kelvin."""
    kelvin = float(np.clip(1e6 / mired, 1667, 25000))
    powers = np.array([1e9 / kelvin**3, 1e6 / kelvin**2, 1e3 / kelvin, 1])
    if kelvin < 4000:
        x = float(np.dot([-0.2661239, -0.2343589, 0.8776956, 0.179910], powers))
        curve = [-0.9549476, -1.37418593, 2.09137015, -0.16748867]
    else:
        x = float(np.dot([-3.0258469, 2.1070379, 0.2226347, 0.240390], powers))
        curve = [3.0817580, -5.87338670, 3.75112997, -0.37001483]
    y = float(np.dot(curve, [x**3, x**2, x, 1]))
    xyz = np.array([x / y, 1, (1 - x - y) / y])
    to_rgb = np.array(
        [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
    )
    return np.asarray(np.maximum(to_rgb @ xyz, 0.02))
