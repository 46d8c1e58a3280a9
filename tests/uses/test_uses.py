"""Every use, from beginning to end, on the settings with which it runs in seconds."""

from __future__ import annotations

import json

import pytest

from maquette.core.event import to_line
from maquette.operations import operation as table
from maquette.operations._uses import REGISTRY
from maquette.store.workspace import Workspace


@pytest.mark.slow
@pytest.mark.parametrize("name", REGISTRY.names())
def test_a_use_goes_from_material_of_its_own_to_a_sheet_a_report_and_signed_files(name, tmp_path, home):
    use = REGISTRY.get(name)
    values = {"name": name, "to": str(tmp_path / "out"), "time": "1s", **use.trial}
    result = json.loads(to_line(list(table.run("use", Workspace(home), values))[-1]))
    assert result["figures"]["signed and whole"]["reached"] and result["images"]
    assert result["not_yet"], "nothing is perfect"
    assert all(figure["says"] for figure in result["figures"].values())
    report = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "What is not yet good" in report and "<script" not in report and "http:" not in report
    assert (tmp_path / "out" / "sheet.png").stat().st_size > 1000


@pytest.mark.parametrize("name", REGISTRY.names())
def test_a_use_says_what_it_is_for_and_what_it_takes(name):
    use = REGISTRY.get(name)
    assert use.name == name and use.summary[0].isupper() and use.title and 0 < use.seconds <= 600
    assert all(setting.help for setting in use.settings)
    assert set(use.trial) <= {setting.name for setting in use.settings}
