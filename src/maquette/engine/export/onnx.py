"""Graphs as ONNX files, tried against the model before they are believed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.errors import ModelFileError, UsageError
from maquette.engine.export.graph import Graph

LARGEST = 2**31 - 1
"""Bytes of one file: the format of ONNX allows no more."""
OPERATIONS = 18
"""The version of ONNX's set of operations: the oldest that torch writes, so that the most programs read it."""
FAR = 2.0
"""Steps of 255 by which a number of an image may differ."""
CLOSE = 1e-3
"""By how much other numbers may differ, as a share of the largest."""
FEW = 0.005
"""Share of numbers that may differ by more: where a model rounds to tokens, a hair decides."""
WORTH = 1024
"""Numbers of a weight from which on half precision is worth it."""


@dataclass(frozen=True)
class Agreement:
    """How near what a graph makes is to what the model makes."""

    largest: float
    """The largest difference: in steps of 255 where images come out."""
    apart: float
    """The share of numbers that differ by more than is allowed."""
    images: int

    def to_json(self) -> dict[str, float | int]:
        """Plain JSON."""
        return {"largest": round(self.largest, 6), "apart": round(self.apart, 6), "images": self.images}


def needed() -> tuple[Any, Any]:
    """The libraries onnx and onnxruntime, or an error that says how to get them."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  (torch writes graphs with it)
    except ImportError as error:
        raise UsageError(
            f"exporting needs onnx, onnxscript and onnxruntime ({error.name} is missing)",
            do="install them: pip install 'maquette[onnx]'",
        ) from None
    return onnx, onnxruntime


def traced(graph: Graph) -> Any:
    """The graph as an ONNX model, without anything of this machine in it."""
    batch = torch.export.Dim("images", min=1, max=65536)
    shapes = [{0: batch} if given.is_batched else {} for given in graph.inputs]
    with _quiet(), torch.no_grad():
        # Left to itself torch would try other ways of tracing when this one fails, each slower and less sure.
        traced = torch.export.export(graph, (graph.examples(),), dynamic_shapes=(shapes,), strict=False)
        program = torch.onnx.export(
            traced, dynamo=True, opset_version=OPERATIONS,
            input_names=[given.name for given in graph.inputs], output_names=list(graph.outputs), optimize=True,
            external_data=False, verbose=False,
        )  # fmt: skip
        assert program is not None
        model = program.model_proto
    return _tidied(model, graph)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What torch says while it exports is meant for its own developers (it misses libraries that are not needed)."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _tidied(model: Any, graph: Graph) -> Any:
    """Each weight once, and no paths or traces of the machine that wrote it."""
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "Maquette", "", ""
    model.graph.name = graph.what
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    kept = []
    used = {name for inner in _graphs(model.graph) for node in inner.node for name in node.input}
    used |= {value.name for inner in _graphs(model.graph) for value in inner.output}
    for weight in model.graph.initializer:
        key = hashlib.sha256(
            repr((weight.data_type, list(weight.dims))).encode() + weight.raw_data
            + (b"" if weight.raw_data else weight.SerializeToString())
        ).digest()  # fmt: skip
        same[weight.name] = first.setdefault(key, weight.name)
        if same[weight.name] == weight.name and weight.name in used:
            kept.append(weight)
    for inner in _graphs(model.graph):
        inner.doc_string = ""
        del inner.metadata_props[:]
        del inner.value_info[:]
        for node in inner.node:
            node.doc_string = ""
            del node.metadata_props[:]
            for place, name in enumerate(node.input):
                node.input[place] = same.get(name, name)
        for value in [*inner.input, *inner.output]:
            value.doc_string = ""
            del value.metadata_props[:]
    everything = {name for inner in _graphs(model.graph) for node in inner.node for name in node.input}
    everything |= {value.name for value in model.graph.output}
    del model.graph.initializer[:]
    model.graph.initializer.extend(weight for weight in kept if weight.name in everything)
    for weight in model.graph.initializer:
        weight.doc_string = ""
        del weight.metadata_props[:]
    return model


def _graphs(graph: Any) -> Iterator[Any]:
    """The graph and all that stand inside its nodes, such as the body of a loop."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
            for inner in attribute.graphs:
                yield from _graphs(inner)


def halved(model: Any) -> Any:
    """A copy whose large weights are kept in half precision; it computes in single precision as before."""
    onnx, _ = needed()
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept, casts = [], []
    for weight in copy.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT:
            kept.append(weight)
            continue
        values = onnx.numpy_helper.to_array(weight)
        if values.size < WORTH or np.abs(values).max() > np.finfo(np.float16).max:
            kept.append(weight)
            continue
        kept.append(onnx.numpy_helper.from_array(values.astype(np.float16), f"{weight.name}_half"))
        casts.append(onnx.helper.make_node("Cast", [f"{weight.name}_half"], [weight.name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *copy.graph.node]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(kept)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def described(model: Any, facts: Mapping[str, str]) -> bytes:
    """The bytes of the file, with these facts in its metadata."""
    onnx, _ = needed()
    onnx.helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    if len(content) > LARGEST:
        raise ModelFileError("the model is larger than the 2 GB that a file of ONNX can hold", do="train a smaller one")
    return bytes(content)


def session(content: bytes, threads: int = 0) -> Any:
    """What runs the bytes of a file."""
    _, runtime = needed()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def agreement(graph: Graph, content: bytes, seeds: Sequence[int]) -> Agreement:
    """Run the file beside the model, in batches of three sizes."""
    feeds, expected = graph.trial(seeds)
    runs = session(content)
    batched = {given.name for given in graph.inputs if given.is_batched}
    cuts = [0, 1, min(4, len(seeds)), len(seeds)]
    found = []
    for start, stop in itertools.pairwise(cuts):
        if stop > start:
            some = {name: value[start:stop] if name in batched else value for name, value in feeds.items()}
            found.append(runs.run(None, some)[0])
    return compared(np.concatenate(found), expected)


def compared(found: NDArray[Any], expected: NDArray[Any]) -> Agreement:
    """How near the one is to the other. A colour counts by how much of it is seen: what is clear may have any."""
    if found.shape != expected.shape:
        raise ModelFileError(f"the graph gives {found.shape}, the model {expected.shape}")
    difference = np.abs(_seen(found) - _seen(expected))
    if expected.dtype.kind in "iu":
        difference *= 255 / np.iinfo(expected.dtype).max
        allowed = FAR
    else:
        allowed = CLOSE * max(1.0, float(np.abs(expected).max(initial=0)))
    largest = float(difference.max(initial=0.0)) if np.isfinite(difference).all() else float("inf")
    apart = float(np.mean(~(difference <= allowed))) if difference.size else 0.0
    return Agreement(largest, apart, len(expected))


def _seen(values: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers; of images with alpha the colours as they lie on black."""
    numbers = values.astype(np.float64)
    if values.dtype == np.uint8 and values.shape[-1] == 4:
        numbers[..., :3] *= numbers[..., 3:] / 255
    return numbers


def checked(found: Agreement) -> Agreement:
    """The same, or an error where the graph is too far from the model."""
    if found.apart > FEW:
        raise ModelFileError(
            f"the exported graph does not agree with the model ({found.apart:.1%} of the numbers differ, the most by "
            f"{found.largest:.3g})",
            do="nothing was written; please report it with the family and its settings",
        )
    return found


def facts_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Facts as the strings that a file's metadata holds; what is not text becomes JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)
        for name, value in values.items()
    }
