"""From a run to a graph that agrees with its model, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from maquette.core.settings import from_json
from maquette.core.spec import DataSpec
from maquette.engine.export import onnx
from maquette.engine.export.facts import metadata
from maquette.engine.export.graph import TRIED, Graph, graph_of
from maquette.engine.export.page import fits
from maquette.engine.load import load
from maquette.engine.sample import examples
from maquette.engine.table import condition_table
from maquette.families.family import Family
from maquette.store.run import Run
from maquette.trust import cards


@dataclass(frozen=True)
class Exported:
    """A graph that agrees with its model, as bytes."""

    graph: Graph
    content: bytes
    agreement: onnx.Agreement
    facts: Mapping[str, Any]
    table: Mapping[str, NDArray[Any]]
    """Rows of conditions as they are in training."""


def exported(
    run: Run, what: str, dials: Mapping[str, str], weights: str, version: str, *, page: bool = False
) -> Iterator[str | Exported]:
    """What is being done, in words, and at last the graph; an error where it does not agree with the model.

    For a page, weights are kept in half precision where that agrees: it is worth a step of 255.
    """
    onnx.needed()
    yield "reading the model"
    family = load(run)
    options: Any = from_json(family.Options, dials, what=f"the dials of {run.facts.get('family')}")
    form = family.made(options)
    table = _table(run, family, form)
    known = [c for c in form.conditions if c.name in table]
    graph = graph_of(family, what, options, examples(known, table, TRIED))
    if page:
        fits(graph)
    yield "writing the graph"
    model = onnx.traced(graph)
    yield "trying it beside the model"
    usual = "half" if page else "single"
    kept = usual if weights == "auto" else weights
    chosen, found = _tried(graph, model, kept)
    if weights == "auto" and kept == "half" and found.apart > onnx.FEW:
        kept = "single"
        chosen, found = _tried(graph, model, kept)
    onnx.checked(found)
    facts = metadata(graph, run.facts, cards.facts(run.path), version)
    facts |= {"agreement": found.to_json(), "weights": kept}
    content = onnx.described(chosen, {} if page else onnx.facts_of(facts))
    yield Exported(graph, content, found, facts, table)


def _tried(graph: Graph, model: Any, weights: str) -> tuple[Any, onnx.Agreement]:
    """The model with its weights kept so, and how well it agrees."""
    chosen = onnx.halved(model) if weights == "half" else model
    return chosen, onnx.agreement(graph, onnx.described(chosen, {}), range(TRIED))


def _table(run: Run, family: Family, form: DataSpec) -> Mapping[str, NDArray[Any]]:
    """The conditions of training that were kept; where one may be left out, it may be missing."""
    optional = {c.name for c in form.conditions if c not in family.spec.conditions}
    return condition_table(run, form, optional)
