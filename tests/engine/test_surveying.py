"""Whoever looks at the images of a dataset, the audit finds the same."""

from __future__ import annotations

import numpy as np
import pytest

from maquette.core.errors import UsageError
from maquette.core.workers import Workers
from maquette.data.audit import surveyed as audit_survey
from maquette.data.audit.audit import audit
from maquette.data.drawn.drawn import make_drawn
from maquette.engine.bulk.packed import pack, unpack
from maquette.engine.bulk.surveying import Surveying
from maquette.operations import operation as table
from maquette.store.workspace import Workspace


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Drawn shapes, which many small images make alike, with held-out ones and labels."""
    *_, made = make_drawn("shapes", tmp_path_factory.mktemp("data") / "shapes.mq", width=16, height=16, count=60)
    return made.value


def facts_of(data, **given):
    *events, result = audit(data, **given)
    return events, {key: value for key, value in result.value.facts().items() if key != "seconds"}


def test_findings_are_the_same_whoever_looks(data, monkeypatch):
    monkeypatch.setattr(audit_survey, "_BLOCK_BYTES", 9 * 16 * 16 * 4)  # blocks of nine, the last one of six
    monkeypatch.setattr(audit_survey, "_SAMPLE", 50)  # fewer than there are, so that the images are described twice
    _, here = facts_of(data)
    with Surveying(Workers(2)) as surveying:
        events, there = facts_of(data, elsewhere=surveying)
    assert there == here and here["findings"]
    last = {event.unit: event for event in events}
    assert all(event.done == event.total and event.eta is not None for event in last.values())
    assert {"images", "images compared", "images described"} == set(last)


def test_an_audit_takes_workers_as_other_verbs_do(data, tmp_path):
    def found(**more):
        *_, result = table.run("audit", Workspace(tmp_path), {"dataset": str(data.path), "only": ["too-dark"], **more})
        return {key: value for key, value in result.facts.items() if key != "seconds"}

    assert found(workers="2") == found()
    with pytest.raises(UsageError, match=r"0.* workers are not possible"):
        found(workers="0")


def test_arrays_travel_as_they_are():
    arrays = {
        "a": np.arange(6, dtype=np.uint16).reshape(2, 3),
        "none": np.zeros((0, 4), np.float16),
        "b": np.array(3.5),
    }
    back = unpack(*pack(arrays))
    assert list(back) == list(arrays)
    assert all(back[name].dtype == array.dtype and np.array_equal(back[name], array) for name, array in arrays.items())
