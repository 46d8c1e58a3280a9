"""No word of a path, a query or a body leads out of the workspace: a hundredth of what benchmarks/serving.py tries."""

import pytest

from tests.faces.http import traversal
from tests.faces.http.served import finished

COUNT = 50


@pytest.fixture
def places(workspace, tmp_path):
    return workspace, traversal.secret_beside(tmp_path)


def test_no_path_parameter_leads_out_of_the_workspace(places):
    tried, wrong = finished(traversal.paths(*places, COUNT))
    assert tried >= COUNT * 20 and wrong == []


def test_no_query_and_no_body_leads_out_of_the_workspace(places):
    tried, wrong = finished(traversal.words(*places, COUNT))
    assert tried >= COUNT * 40 and wrong == []


def test_the_trial_finds_what_it_looks_for(places):
    _, wrong = finished(traversal.words(*places, 8, paths=True))
    assert len(wrong) > 20, "where paths are allowed, they lead out"
