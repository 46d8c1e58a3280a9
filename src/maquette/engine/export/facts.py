"""What an exported file says of itself: how its inputs are filled, where the model comes from, and its card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from maquette.core.settings import describe
from maquette.engine.export.graph import Graph, Input, Sampling

FORMAT = 1
UNSIGNED = (
    "Images made with this file carry no signature and no watermark: nobody can check where they come from. "
    "Images that maquette sample makes are signed."
)


def stream_key(stream: str) -> str:
    """The second word of the Philox key of a stream of random numbers, in hexadecimal digits; the first is the seed."""
    return hashlib.blake2b(stream.encode(), digest_size=8).digest()[::-1].hex()


def inputs_of(graph: Graph) -> list[dict[str, Any]]:
    """Every input in words and numbers, enough to fill it."""
    return [_input(graph, given) for given in graph.inputs]


def _input(graph: Graph, given: Input) -> dict[str, Any]:
    known: dict[str, Any] = {
        "name": given.name, "kind": given.kind, "shape": list(given.shape), "type": given.dtype,
        "batched": given.is_batched,
    }  # fmt: skip
    if given.kind in ("normal", "uniform"):
        return known | {"stream": given.of, "key": stream_key(given.of)}
    if given.condition is not None:
        return known | {"condition": given.condition.to_json()}
    if given.kind == "dial" and isinstance(graph, Sampling):
        (dial,) = (one for one in describe(type(graph.options)) if one.name == given.of)
        at = float(getattr(graph.options, given.of))
        return known | {"dial": given.of, "help": dial.help, "value": at, "bounds": dict(dial.bounds)}
    return known


def metadata(graph: Graph, run: Mapping[str, Any], card: Mapping[str, Any], version: str) -> dict[str, Any]:
    """All that stands in the file beside the graph."""
    spec = graph.form if isinstance(graph, Sampling) else graph.family.spec
    data = run.get("dataset")
    labels = [c for c in spec.conditions if c.kind == "label"]
    answers = {"labels": list(labels[0].classes)} if graph.outputs == ("probabilities",) and labels else {}
    stated = card.get("stated") or {}
    return {
        "maquette": version, "format": FORMAT, "graph": graph.what, "family": str(run.get("family")),
        "model": str(run.get("model", "")),
        "dataset": str(data.get("digest", "")) if isinstance(data, Mapping) else "",
        "licence": str(stated.get("licence") or "not stated"), "unsigned": UNSIGNED,
        "form": {"height": spec.height, "width": spec.width, "mode": spec.mode, "tile": spec.tile},
        "inputs": inputs_of(graph), "outputs": list(graph.outputs), "fixed dials": dict(graph.fixed),
        "noise": (
            "Philox 4x64 with the key (seed, key of the stream) and the counter from 1 on; numbers in [0, 1) are the "
            "upper 53 bits of each word; n normal numbers are made of 2 h of them (h = n / 2 rounded up), u and v by "
            "halves: sqrt(-2 log(1 - u)) times cos(2 pi v), then times sin(2 pi v)."
        ),
        **answers, "card": dict(card),
    }  # fmt: skip
