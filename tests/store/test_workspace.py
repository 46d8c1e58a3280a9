"""The workspace: names lie in it, paths given by hand stay where they are."""

import os
import sys
from pathlib import Path

import hypothesis.strategies as some
import pytest
from hypothesis import given

from maquette.core.errors import UsageError
from maquette.store.workspace import Workspace, default_home


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Workspace(tmp_path / "workspace")


def test_the_home_is_what_was_said(tmp_path, monkeypatch, home):
    assert Workspace().home == home
    assert Workspace(tmp_path / "mine").home == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    assert Workspace("mine").home == tmp_path / "mine"
    monkeypatch.setenv("MAQUETTE_HOME", "~/elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Workspace().home == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, ".local/share/maquette"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/maquette"),
        ("linux", {"XDG_DATA_HOME": ""}, ".local/share/maquette"),
        ("darwin", {"XDG_DATA_HOME": "/data"}, "Library/Application Support/maquette"),
        ("win32", {}, "AppData/Local/maquette"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/maquette"),
    ],
)
def test_else_the_home_is_in_the_users_data(tmp_path, monkeypatch, platform, variables, expected):
    for name in ("MAQUETTE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_home() == tmp_path / expected


def test_nothing_is_made_by_looking(workspace):
    workspace.run_path("faces")
    assert not workspace.home.exists()


@pytest.mark.parametrize("name", ["faces", "my cats", "größe", "a.b-c_d", "2024", "(new)", "猫", "a" * 100])
def test_names_lie_in_the_workspace(workspace, name):
    assert workspace.dataset_path(name) == workspace.home / "datasets" / name
    assert workspace.run_path(name) == workspace.run_path(Path(name)) == workspace.home / "runs" / name


@pytest.mark.parametrize(
    "path", ["./faces", "../faces", "deep/faces", ".", "..", ".hidden", "faces/", "/faces", "a/../../b", "photos.mq"]
)
def test_paths_given_by_hand_stay(workspace, tmp_path, path):
    assert workspace.run_path(path) == workspace.dataset_path(path) == Path(path).absolute()


def test_what_exists_is_a_path(workspace, tmp_path):
    (tmp_path / "faces").mkdir()
    assert workspace.run_path("faces") == tmp_path / "faces"


def test_what_the_workspace_has_comes_before_a_folder_of_that_name(workspace, tmp_path):
    (tmp_path / "faces").mkdir()
    (workspace.runs / "faces").mkdir(parents=True)
    assert workspace.run_path("faces") == workspace.runs / "faces"


def test_a_tilde_is_the_users_home(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert workspace.run_path("~/faces") == tmp_path / "faces"


BAD = [
    "", " ", "\0", "a\0b", "a:b", "a*", "a?", 'a"b', "<a>", "a|b", "a\nb", "-a", " a", "a ", "a.", "con", "NUL",
    "aux.x", "com1", "Lpt9.x", "a" * 101, "ü" * 60, "a\\b",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_other_names_are_refused_by_a_sentence(workspace, name):
    if name == "a\\b" and os.sep == "\\":
        pytest.skip("a path there")
    with pytest.raises(UsageError) as caught:
        workspace.run_path(name)
    assert str(caught.value).endswith(".") and caught.value.do


@given(text=some.text(max_size=120))
def test_a_name_never_leads_out_of_the_workspace(tmp_path_factory, text):
    workspace = Workspace(tmp_path_factory.mktemp("place") / "home")
    try:
        path = workspace.run_path(text)
    except UsageError:
        return
    if not (set(text) & {"/", os.sep} or text[0] in ".~" or text.endswith(".mq") or os.path.lexists(text)):
        assert path.parent == workspace.runs and path.name == text
        path.mkdir(parents=True)
        assert [child.name for child in workspace.runs.iterdir()] == [text]


def test_what_it_holds(workspace, tmp_path):
    assert workspace.holds(workspace.home / "runs" / "a") and workspace.holds("workspace/runs/a")
    assert not workspace.holds(tmp_path / "a") and not workspace.holds(workspace.home / ".." / "a")
