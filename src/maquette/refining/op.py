"""Ops: one function, whose signature is its schema, its help and its form.

    @op(reach=lambda dials: math.ceil(3 * dials["radius"]))
    def gaussian_blur(image: Image, *, radius: Annotated[float, Dial("in pixels", gt=0, le=200)] = 2.0) -> Image:
        \"\"\"Soften everything evenly.\"\"\"

The function takes and returns an array, height x width x 1, 3 or 4 channels, of uint8, uint16 or float32 in [0, 1]; it
never writes into what it is given. It can be called directly. Run by a recipe or by name, the decorator's arguments
say what is done around it, once and for all ops: alpha, grey, depth, and wrapped borders where the image is a tile.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args, get_origin

import numpy as np

from maquette.core.choices import Tile
from maquette.core.errors import UsageError
from maquette.core.image import Image
from maquette.refining import pixels
from maquette.refining.schema import Dial, DialKind, DialSchema, OpKind, OpSchema

Alpha = Literal["premultiply", "weigh", "keep", "own"]
Grey = Literal["same", "rgb", "colour", "skip"]
Reach = int | Callable[[Mapping[str, Any]], int]
Function = TypeVar("Function", bound="Callable[..., Any]")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What ops are given from outside: the seed, the tile, and whatever reads files or holds models."""

    seed: int = 0
    tile: Tile = ""
    read: Callable[[str], Image] | None = None
    """Reads an image file; the files of strangers need limits, and who calls knows how to set them."""
    hand: Callable[[str], Callable[..., Any]] | None = None
    """The callable that a trained model is, by the name of its run."""
    masks: Mapping[str, Image] = field(default_factory=dict)
    """Masks by name, for `on NAME: ...`."""
    name: str = ""
    """The image's own name, for `{name}` in the paths of masks."""

    def image(self, value: Any) -> Image:
        """The image that a dial names, or that it is."""
        if not isinstance(value, str):
            return pixels.checked(value)
        if self.read is None:
            raise UsageError(f"the file {value!r} cannot be read from here", do="give the image as an array")
        return pixels.checked(self.read(value.replace("{name}", self.name)))

    def model(self, value: Any) -> Any:
        """The callable that a dial names, or that it is."""
        if not isinstance(value, str):
            if not callable(value):
                raise UsageError(f"a model is the name of a run or a callable, not a {type(value).__name__}")
            return value
        if self.hand is None:
            raise UsageError(f"the run {value!r} cannot be opened from here", do="give the model as a callable")
        return self.hand(value)


@dataclass(frozen=True, kw_only=True)
class Op:
    """An op: its schema, its function, and what is done around it."""

    schema: OpSchema
    function: Callable[..., Image]
    reach: Reach = 0
    alpha: Alpha = "premultiply"
    grey: Grey = "same"
    takes: frozenset[str] = frozenset()
    """What the function asks for beside dials: `tile`."""
    tiles: bool = True

    def __call__(self, image: Any, context: Context | None = None, **dials: Any) -> Image:
        """Run the op with these dials. The array that is given stays as it is."""
        context = context or Context()
        image = pixels.checked(image)
        values = {dial.parameter: dial.default for dial in self.schema.dials} | self.schema.read(dials)
        self.schema.check_needs(values)
        for dial in self.schema.dials:
            value = values[dial.parameter]
            if dial.name == "seed" and "seed" not in dials:
                values["seed"] = context.seed
            elif dial.kind == "image" and value is not None:
                values[dial.parameter] = context.image(value)
            elif dial.kind == "model" and value is not None:
                values[dial.parameter] = context.model(value)
        return self._finished(image, self._with_grey(image, values, context))

    def _with_grey(self, image: Image, values: dict[str, Any], context: Context) -> Image:
        if image.shape[2] > 1 or self.grey == "same":
            return self._with_alpha(image, values, context)
        if self.grey == "skip":
            return image
        result = self._with_alpha(np.repeat(image, 3, axis=2), values, context)
        return result if self.grey == "colour" else pixels.luminance(result)

    def _with_alpha(self, image: Image, values: dict[str, Any], context: Context) -> Image:
        if image.shape[2] < 4 or self.alpha == "own":
            return self._with_tile(image, values, context)
        colour, alpha = image[..., :3], image[..., 3:]
        if self.alpha == "keep" or (self.schema.shape == "same" and pixels.is_opaque(image)):
            result = self._with_tile(np.ascontiguousarray(colour), values, context)
            return np.concatenate([result, alpha], axis=2) if result.shape[2] == 3 else result
        worked = self._with_tile(pixels.premultiplied(image), values, context)
        if worked.shape[2] != 4:
            return pixels.to_depth(worked, image.dtype)
        result = pixels.to_depth(pixels.straight(worked), image.dtype)
        if self.alpha == "weigh":
            # Where nothing is left to divide by, the colour stays what it was; the alpha is the image's own everywhere.
            result[..., :3] = np.where(worked[..., 3:] > 1 / 512, result[..., :3], colour)
            result[..., 3:] = alpha
        return result

    def _with_tile(self, image: Image, values: dict[str, Any], context: Context) -> Image:
        if context.tile and not self.tiles:
            raise UsageError(f"{self.schema.name} cannot keep a tile seamless", do="leave out the op, or --tile")
        if "tile" in self.takes:
            return self.function(image, tile=context.tile, **values)
        pad = self.reach(values) if callable(self.reach) else self.reach
        if not context.tile or not pad or self.schema.shape == "changes":
            return self.function(image, **values)
        rows, columns = ((pad if axis in context.tile else 0) for axis in "yx")
        pixels.bounded(image.shape[1] + 2 * columns, image.shape[0] + 2 * rows)
        padded = np.pad(image, ((rows, rows), (columns, columns), (0, 0)), mode="wrap")
        result = self.function(padded, **values)
        return result[rows : rows + image.shape[0], columns : columns + image.shape[1]]

    def _finished(self, image: Image, result: Any) -> Image:
        """The result as the convention has it; an op that breaks it is our own fault and says so."""
        if result.ndim == 2:
            result = result[..., None]
        same = self.schema.shape == "changes" or result.shape[:2] == image.shape[:2]
        if not same or result.dtype != image.dtype or result.ndim != 3 or result.shape[2] not in (1, 3, 4):
            raise TypeError(
                f"the op {self.schema.name} made {result.shape} of {result.dtype} from {image.shape} of {image.dtype}"
            )
        if result.dtype == np.float32:
            result = np.clip(result, 0.0, 1.0)
        return np.ascontiguousarray(result)


@typing.overload
def op(function: Function, /) -> Function: ...
@typing.overload
def op(
    *,
    kind: OpKind = "filter",
    reach: Reach = 0,
    alpha: Alpha | None = None,
    grey: Grey = "same",
    depth: Literal["any", "float"] = "any",
    shape: Literal["same", "changes"] | None = None,
    tiles: bool = True,
) -> Callable[[Function], Function]: ...
def op(
    function: Any = None,
    /,
    *,
    kind: OpKind = "filter",
    reach: Reach = 0,
    alpha: Alpha | None = None,
    grey: Grey = "same",
    depth: Literal["any", "float"] = "any",
    shape: Literal["same", "changes"] | None = None,
    tiles: bool = True,
) -> Any:
    """Mark a function as an op. Its name in recipes is its own with dashes, its help the docstring's first line.

    `kind`: filter, effect, geometry, colour, segment (returns an image), select (returns a mask, height x width x 1, in
    the image's depth).
    `reach`: how many pixels away a pixel can matter (or a function of the dials): a tile is wrapped that far. 0 means
    each pixel by itself, or the image as a whole. An op that names a parameter `tile` wraps by itself.
    `alpha`: "premultiply": given premultiplied colours and alpha, both are changed (blur, resize); "weigh": the same,
    but the image's own alpha stays (sharpen, denoise); "keep": given colours alone (colour ops); "own": given all as it
    is. The first two run in float32 where something is transparent, and on three channels where nothing is.
    `grey`: "same": takes one channel; "rgb": is given grey as colours, and grey is taken back; "colour": is given grey
    as colours, and stays in colour; "skip": has nothing to do on grey.
    `depth`: "float": is given float32 whatever the image has; "any": takes all three depths, and is fast in 8 bits.
    `shape`: whether width and height may change; usual for geometry alone.
    `tiles`: False where a tile cannot stay one, because the effect lies on the image as a whole (a vignette).
    """
    if function is None:
        return lambda inner: _mark(inner, kind, reach, alpha, grey, depth, shape, tiles)
    return _mark(function, kind, reach, alpha, grey, depth, shape, tiles)


def _mark(
    function: Any, kind: OpKind, reach: Reach, alpha: Alpha | None, grey: Grey, depth: Any, shape: Any, tiles: bool
) -> Any:
    usual: dict[str, Alpha] = {"colour": "keep", "segment": "own", "select": "own"}
    schema, takes = _schema(function, kind, shape or ("changes" if kind == "geometry" else "same"))
    if depth == "float":
        function = _in_float(function)
    function.__dict__["op"] = Op(
        schema=schema, function=function, reach=reach, alpha=alpha or usual.get(kind, "premultiply"), grey=grey,
        takes=takes, tiles=tiles,
    )  # fmt: skip
    return function


def _in_float(function: Any) -> Any:
    """The function on whole numbers too: what it is given is float32, and its result is rounded back."""

    @functools.wraps(function)
    def work(image: Image, **dials: Any) -> Image:
        if image.dtype == np.float32:
            return np.asarray(function(image, **dials))
        return pixels.to_depth(function(pixels.to_float(image), **dials), image.dtype)

    return work


def _schema(function: Any, kind: OpKind, shape: Any) -> tuple[OpSchema, frozenset[str]]:
    """The schema that the signature and the docstring are."""
    summary, _, description = inspect.cleandoc(function.__doc__ or "").partition("\n")
    name = function.__name__.rstrip("_").replace("_", "-")
    if not summary:
        raise TypeError(f"the op {name} needs a docstring whose first line says what it is for")
    hints = typing.get_type_hints(function, include_extras=True)
    dials, takes = [], set()
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is parameter.empty:
            raise TypeError(f"{name}: {parameter.name} must be keyword-only and have a default")
        if parameter.name == "tile":
            takes.add("tile")
        else:
            dials.append(_dial(name, kind, parameter.name, hints[parameter.name], parameter.default))
    schema = OpSchema(
        name=name, kind=kind, summary=summary.rstrip(), description=description.strip(), module=function.__module__,
        dials=tuple(dials), shape=shape,
    )  # fmt: skip
    return schema, frozenset(takes)


def _dial(name: str, op_kind: OpKind, parameter: str, hint: Any, default: Any) -> DialSchema:
    parts = get_args(hint)
    found = next((part for part in parts[1:] if isinstance(part, Dial)), None)
    if get_origin(hint) is not typing.Annotated or found is None:
        raise TypeError(f"{name}: {parameter} must be declared as Annotated[TYPE, Dial('what it does')]")
    choices = found.choices or _choices(parts[0])
    kind = found.kind or ("choice" if choices else _kind(parts[0]))
    schema = DialSchema(
        name=parameter.rstrip("_").replace("_", "-"), kind=kind, help=found.help, choices=choices, form=found.form,
        count=found.count, default=default, needed=found.needed, pixels=found.pixels,
        bounds={b: limit for b in ("ge", "gt", "le", "lt") if (limit := getattr(found, b)) is not None},
    )  # fmt: skip
    if default is not None and schema.read(default) != default:
        raise TypeError(f"{name}: the default of {parameter} is not of its own kind")
    if parameter in ("strength", "image") or (op_kind == "select" and parameter in ("grow", "feather")):
        raise TypeError(f"{name}: {parameter} is not for ops to use")
    return schema


def _members(hint: Any) -> list[Any]:
    if get_origin(hint) in (typing.Union, types.UnionType):
        return [part for part in get_args(hint) if part is not type(None)]
    return [hint]


def _choices(hint: Any) -> tuple[str, ...]:
    return tuple(str(word) for part in _members(hint) if get_origin(part) is Literal for word in get_args(part))


def _kind(hint: Any) -> DialKind:
    kinds: dict[Any, DialKind] = {bool: "switch", int: "integer", float: "number", str: "text"}
    part = _members(hint)[0]
    if part in kinds:
        return kinds[part]
    if get_origin(part) is tuple:
        return "colours" if get_args(part)[0] is str else "numbers"
    if part is Callable or get_origin(part) is Callable or "Callable" in str(part):
        return "model"
    raise TypeError(f"a dial cannot be of the type {hint}")
