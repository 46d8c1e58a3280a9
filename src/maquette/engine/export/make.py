"""From a run to the bytes of a file for other programs, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.settings import from_json
from maquette.core.spec import DataSpec
from maquette.engine.export import onnx
from maquette.engine.export.facts import metadata
from maquette.engine.export.graph import TRIED, Graph, graph_of
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
    half: bool
    facts: Mapping[str, Any]


def exported(run: Run, what: str, dials: Mapping[str, str], weights: str, version: str) -> Iterator[str | Exported]:
    """What is being done, in words, and at last the graph; an error where it does not agree with the model."""
    onnx.needed()
    yield "reading the model"
    family = load(run)
    options: Any = from_json(family.Options, dials, what=f"the dials of {run.facts.get('family')}")
    form = family.made(options)
    graph = graph_of(family, what, options, _rows(run, family, form))
    yield "writing the graph"
    model = onnx.traced(graph)
    facts = metadata(graph, run.facts, cards.facts(run.path), version)
    yield "trying it beside the model"
    half = weights == "half"
    for kept in (True, False) if weights == "auto" else (half,):
        content = onnx.described(onnx.halved(model) if kept else model, onnx.facts_of(facts))
        found = onnx.agreement(graph, content, range(TRIED))
        if found.apart <= onnx.FEW or not kept or weights == "half":
            break
    onnx.checked(found)
    facts = {**facts, "agreement": found.to_json(), "weights": "half" if kept else "single"}
    content = onnx.described(onnx.halved(model) if kept else model, onnx.facts_of(facts))
    yield Exported(graph, content, found, kept, facts)


def _rows(run: Run, family: Family, form: DataSpec) -> Mapping[str, NDArray[Any]]:
    """Conditions to try it with: those of training, in turn; of what may be left out, those that were kept."""
    optional = {c.name for c in form.conditions if c not in family.spec.conditions}
    table = condition_table(run, form, optional)
    known = [c for c in form.conditions if c.name in table]
    return {name: np.asarray(values) for name, values in examples(known, table, TRIED).items()}
