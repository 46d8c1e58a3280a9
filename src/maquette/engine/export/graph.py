"""What of a model can be written as a graph: from named inputs to named outputs, tensors all the way.

A family is handed a stand-in for its noise that gives out inputs of the graph, so that every stream of random numbers
becomes an input of its own. Images go in and come out as they are stored: whole numbers N H W C, straight alpha.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette.core.condition import NO_LABEL, ConditionSpec
from maquette.core.errors import UsageError
from maquette.core.image import dtype
from maquette.core.noise import Noise
from maquette.core.settings import describe
from maquette.core.spec import DataSpec
from maquette.engine.sample import draw, draw_steps
from maquette.families.family import Continues, Describes, Encodes, Family, Predicts, Samples
from maquette.nn.pixels import from_tensor, signed, to_tensor, whole

Kind = Literal["normal", "uniform", "condition", "dial", "image", "latents"]
Arrays = Mapping[str, NDArray[Any]]
EXAMPLES = 2
"""Rows that a graph is made with; it takes any number."""
TRIED = 16
"""Images that are made both ways before a graph is believed."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input of a graph."""

    name: str
    kind: Kind
    of: str = ""
    """The stream of random numbers, the condition or the dial."""
    shape: tuple[int, ...] = ()
    """Without the number of images, which comes first; a dial has none."""
    dtype: str = "float32"
    condition: ConditionSpec | None = None

    @property
    def is_batched(self) -> bool:
        """Whether there is one row for each image."""
        return self.kind != "dial"


class Graph(nn.Module):
    """A module whose forward pass takes tensors in the order of `inputs` and gives those that `outputs` names."""

    what: ClassVar[str]
    family: Family
    inputs: tuple[Input, ...] = ()
    outputs: tuple[str, ...] = ()
    passes = 1
    """How often it makes an image on the way."""
    fixed: Mapping[str, Any] = {}
    """Dials that cannot be turned any more."""

    def examples(self) -> list[Tensor]:
        """Tensors to make the graph with."""
        return [_example(given) for given in self.inputs]

    def trial(self, seeds: Sequence[int]) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
        """Inputs by name, and what the model makes of them without any graph."""
        raise NotImplementedError


def _example(given: Input) -> Tensor:
    if given.kind == "dial":
        return torch.tensor(1.0)
    shape, kind = (EXAMPLES, *given.shape), getattr(torch, given.dtype)
    return torch.full(shape, 0.5, dtype=kind) if kind.is_floating_point else torch.zeros(shape, dtype=kind)


@dataclass
class Streams:
    """Stands in for noise: gives out the tensors that are there, and writes down what it was asked for."""

    given: Mapping[tuple[str, str], Tensor] = field(default_factory=dict)
    asked: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return EXAMPLES

    def normal(self, stream: str, *shape: int) -> Tensor:
        """The input for these normal numbers."""
        return self._handed("normal", stream, shape)

    def uniform(self, stream: str, *shape: int) -> Tensor:
        """The input for these numbers in [0, 1)."""
        return self._handed("uniform", stream, shape)

    def _handed(self, kind: str, stream: str, shape: tuple[int, ...]) -> Tensor:
        self.asked[kind, stream] = shape
        known = self.given.get((kind, stream))
        return torch.full((EXAMPLES, *shape), 0.5) if known is None else known


class _Looked:
    """Stands in for dials, and writes down which of them are looked at."""

    def __init__(self, options: Any) -> None:
        self.options, self.names = options, set[str]()

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return getattr(self.options, name)


class Sampling(Graph):
    """From random numbers, what is asked for and dials to images."""

    what = "sample"

    def __init__(self, family: Family, options: Any, rows: Arrays) -> None:
        super().__init__()
        self.family, self.options = family, options
        self.rows = {name: np.asarray(values) for name, values in rows.items()}
        self.form: DataSpec = family.made(options)
        self.length = family.frames(options) if isinstance(family, Continues) else 1
        if self.length > 1:
            self.outputs = ("frames",)
        else:
            self.outputs = ("image",)
        conditions = [
            Input(
                name=f"condition_{_word(spec.name)}", kind="condition", of=spec.name, condition=spec,
                shape=spec.shape(self.form.height, self.form.width),
                dtype="int64" if spec.kind == "label" else np.dtype(spec.dtype).name,
            )
            for spec in self.form.conditions
            if spec.name in rows
        ]  # fmt: skip
        noise, looked = Streams(), _Looked(options)
        self.inputs, self.options = tuple(conditions), looked
        with torch.inference_mode():
            self.passes = sum(1 for _ in self._made(noise, [_example(given) for given in conditions]))
        self.options = options
        live = sorted(type(family).live & looked.names)  # a dial that this model never looks at does nothing
        dials = [Input(name=f"dial_{name}", kind="dial", of=name) for name in live]
        streams = [
            Input(name=f"noise_{_word(stream)}", kind="normal" if kind == "normal" else "uniform", of=stream, shape=s)
            for (kind, stream), s in noise.asked.items()
        ]
        self.inputs = (*streams, *conditions, *dials)
        _check_names(self.inputs)
        self.fixed = {
            one.name: getattr(options, one.name) for one in describe(type(options)) if one.name not in type(family).live
        }

    def _made(self, noise: Any, tensors: Sequence[Tensor]) -> Iterator[Tensor]:
        """The images as they form, N C H W; tensors are those of conditions and dials."""
        rest = [given for given in self.inputs if given.kind in ("condition", "dial")]
        pairs = list(zip(rest, tensors, strict=True))
        condition = {g.of: _condition(g.condition, tensor) for g, tensor in pairs if g.condition is not None}
        turned = {g.of: tensor for g, tensor in pairs if g.kind == "dial"}
        options = dataclasses.replace(self.options, **turned) if turned else self.options
        assert isinstance(self.family, Samples)
        return self.family.sample(noise, condition, options)

    def forward(self, tensors: list[Tensor]) -> Tensor:
        """-> N H W C, or N T H W C of a film."""
        drawn: dict[tuple[str, str], Tensor] = {
            (g.kind, g.of): tensor
            for g, tensor in zip(self.inputs, tensors, strict=True)
            if g.kind in ("normal", "uniform")
        }
        rest = [t for g, t in zip(self.inputs, tensors, strict=True) if g.kind in ("condition", "dial")]
        images = list(self._made(Streams(drawn), rest))
        pictures = [_stored(image, self.family.spec) for image in images[-self.length :]]
        return torch.stack(pictures, dim=1) if self.length > 1 else pictures[-1]

    def trial(self, seeds: Sequence[int]) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
        """The images that the verb `sample` would write."""
        rows = {name: np.resize(v, (len(seeds), *v.shape[1:])) for name, v in self.rows.items()}
        feeds = self.feeds(seeds, rows)
        if self.length > 1:
            steps = draw_steps(self.family, seeds, rows, self.options)
            frames: dict[int, list[NDArray[Any]]] = {}
            for start, images in steps:
                frames.setdefault(start, []).append(images)
            return feeds, np.concatenate([np.stack(some, axis=1) for some in frames.values()])
        return feeds, np.concatenate(list(draw(self.family, seeds, rows, self.options)))

    def feeds(self, seeds: Sequence[int], rows: Arrays) -> dict[str, NDArray[Any]]:
        """What the graph is given for these seeds and encoded conditions."""
        noise, found = Noise(seeds), {}
        for given in self.inputs:
            if given.kind == "normal":
                found[given.name] = noise.normal(given.of, *given.shape)
            elif given.kind == "uniform":
                found[given.name] = noise.uniform(given.of, *given.shape)
            elif given.kind == "dial":
                found[given.name] = np.array(getattr(self.options, given.of), np.float32)
            else:
                found[given.name] = np.asarray(rows[given.of]).astype(given.dtype)
        return found


class _OfImages(Graph):
    """From images to something else."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family, spec = family, family.spec
        self.inputs = (
            Input(name="image", kind="image", shape=(*spec.shape[1:], spec.channels), dtype=np.dtype(_kind(spec)).name),
        )

    def forward(self, tensors: list[Tensor]) -> Tensor:
        """Images N H W C -> what is made of them."""
        values = tensors[0].to(torch.float32).permute(0, 3, 1, 2).contiguous()
        return self.answer(signed(values.clone(), self.family.spec.mode))

    def answer(self, images: Tensor) -> Tensor:
        """What is made of images N C H W in [-1, 1]."""
        raise NotImplementedError

    def trial(self, seeds: Sequence[int]) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
        """Soft random images, and what the model makes of them."""
        spec = self.family.spec
        pictures = _pictures(spec, seeds)
        with torch.inference_mode():
            found = self.answer(to_tensor(pictures, spec.mode))
        return {"image": pictures}, found.float().numpy()


class Encoding(_OfImages):
    """From images to latents."""

    what = "encode"
    outputs = ("latents",)

    def answer(self, images: Tensor) -> Tensor:
        """N L h w."""
        assert isinstance(self.family, Encodes)
        return self.family.encode(images)


class Decoding(Graph):
    """From latents to images."""

    what = "decode"
    outputs = ("image",)

    def __init__(self, family: Family) -> None:
        super().__init__()
        assert isinstance(family, Encodes)
        self.family = family
        with torch.inference_mode():
            shape = tuple(family.encode(torch.zeros(1, *family.spec.shape)).shape[1:])
        self.inputs = (Input(name="latents", kind="latents", shape=shape),)

    def forward(self, tensors: list[Tensor]) -> Tensor:
        """N L h w -> N H W C."""
        assert isinstance(self.family, Encodes)
        return _stored(self.family.decode(tensors[0]), self.family.spec)

    def trial(self, seeds: Sequence[int]) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
        """The latents of soft random images, and the images of those."""
        family = self.family
        assert isinstance(family, Encodes)
        with torch.inference_mode():
            latents = family.encode(to_tensor(_pictures(family.spec, seeds), family.spec.mode))
            return {"latents": latents.numpy()}, from_tensor(family.decode(latents), family.spec.mode)


class Predicting(_OfImages):
    """From images to what is predicted of them: an image, masks, or how probable each label is."""

    what = "predict"

    def __init__(self, family: Family) -> None:
        super().__init__(family)
        with torch.inference_mode():
            found = self._predicted(torch.zeros(EXAMPLES, *family.spec.shape))
        self.is_image = found.ndim == 4 and isinstance(family, Samples)
        self.outputs = ("answer",) if self.is_image else ("masks",) if found.ndim == 4 else ("probabilities",)

    def _predicted(self, images: Tensor) -> Tensor:
        assert isinstance(self.family, Predicts)
        return self.family.predict(images)

    def answer(self, images: Tensor) -> Tensor:
        """An image N H W C of whole numbers; masks N H W K in [0, 1]; or a probability for each label."""
        found = self._predicted(images)
        if self.is_image:
            return _stored(found, self.family.spec)
        if found.ndim == 4:
            return ((found.float() + 1) / 2).permute(0, 2, 3, 1)
        return found.float().softmax(dim=1)

    def trial(self, seeds: Sequence[int]) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
        """Soft random images, and what the model predicts of them."""
        if not self.is_image:
            return super().trial(seeds)
        spec = self.family.spec
        pictures = _pictures(spec, seeds)
        with torch.inference_mode():
            return {"image": pictures}, from_tensor(self._predicted(to_tensor(pictures, spec.mode)), spec.mode)


class Describing(_OfImages):
    """From images to rows of numbers in which likeness can be measured."""

    what = "describe"
    outputs = ("numbers",)

    def answer(self, images: Tensor) -> Tensor:
        """N numbers."""
        assert isinstance(self.family, Describes)
        return self.family.describe(images)


POWERS: Mapping[str, type] = {
    "sample": Samples, "predict": Predicts, "encode": Encodes, "decode": Encodes, "describe": Describes,
}  # fmt: skip
"""What a graph can do, and the power that a family needs for it; the first that it has is the usual one."""


def graph_of(family: Family, what: str, options: Any, rows: Arrays) -> Graph:
    """The graph of what is asked for. `rows` are examples of conditions, encoded, for what makes images."""
    able = [name for name, power in POWERS.items() if isinstance(family, power)]
    name = type(family).__name__.lower()
    if not able:
        raise UsageError(f"the family {name} neither makes images nor answers about them, so there is no graph of it")
    what = able[0] if what == "auto" else what
    if what not in able:
        raise UsageError(f"the family {name} cannot {what}", do=f"it can: {', '.join(able)}")
    kinds: Mapping[str, Any] = {
        "encode": Encoding, "decode": Decoding, "predict": Predicting, "describe": Describing,
    }  # fmt: skip
    graph: Graph = Sampling(family, options, rows) if what == "sample" else kinds[what](family)
    return graph.eval()


def _kind(spec: DataSpec) -> type[np.generic]:
    return dtype(spec.mode)


def _stored(images: Tensor, spec: DataSpec) -> Tensor:
    """N C H W in [-1, 1] -> N H W C of whole numbers, as images are stored."""
    return whole(images, spec.mode).to(torch.uint16 if spec.mode == "grey16" else torch.uint8)


def _condition(spec: ConditionSpec, values: Tensor) -> Tensor:
    """An encoded condition as the tensor that a family is given."""
    if spec.kind == "label":
        return torch.where(values == NO_LABEL, torch.full_like(values, len(spec.classes)), values)
    if spec.kind == "number":
        middle, half = (spec.high + spec.low) / 2, max((spec.high - spec.low) / 2, 1e-12)
        return (values - middle) / half
    if spec.kind in ("text", "map"):
        return values.to(torch.int64)
    order = (0, 1, 4, 2, 3) if spec.kind == "frames" else (0, 3, 1, 2)
    pixels = values.to(torch.float32).permute(order).contiguous()
    if spec.kind == "image":
        return signed(pixels.clone(), spec.mode)
    frames = signed(pixels.flatten(0, 1).clone(), spec.mode)
    return torch.unflatten(frames, 0, (-1, spec.length))


def _pictures(spec: DataSpec, seeds: Sequence[int]) -> NDArray[Any]:
    """Soft random images of whole numbers, N H W C."""
    coarse = torch.as_tensor(Noise(seeds).uniform("trial", spec.channels, spec.height // 4, spec.width // 4))
    soft = nn.functional.interpolate(coarse, (spec.height, spec.width), mode="bilinear")
    values = 2 * soft - 1
    return from_tensor(values, "grey16" if spec.mode == "grey16" else "rgb")


def _word(name: str) -> str:
    """A name as programs like it: letters, digits and low lines."""
    return re.sub(r"\W+", "_", name).strip("_") or "unnamed"


def _check_names(inputs: Sequence[Input]) -> None:
    names = [given.name for given in inputs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two inputs would be called {twice[0]}", do="rename the condition and train again")
