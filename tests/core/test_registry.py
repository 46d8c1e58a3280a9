"""Things are found by file name or entry point, and only what is asked for is imported."""

import importlib
import importlib.metadata
import sys

import pytest

from maquette.core import registry as registries
from maquette.core.errors import UsageError
from maquette.core.registry import Registry


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with two things, a hidden helper and one file that breaks when it is imported."""
    folder = tmp_path / "zoo_for_tests"
    folder.mkdir()
    files = {"cat": "thing = 'meow'", "dog": "thing = 'woof'", "broken": "1/0"}
    for name, text in {"__init__": "", "_hidden": "", "contract": "", **files}.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    registries._entry_points.cache_clear()
    yield "zoo_for_tests"
    registries._entry_points.cache_clear()
    for name in [name for name in sys.modules if name.startswith("zoo_for_tests")]:
        del sys.modules[name]


def make(package):
    return Registry(package, "animal", lambda module: module.thing, skip=("contract",))


def test_names_are_found_without_importing(package):
    assert make(package).names() == ["broken", "cat", "dog"]
    assert not [name for name in sys.modules if name.startswith("zoo_for_tests.")]


def test_only_what_is_asked_for_is_imported(package):
    assert make(package).get("cat") == "meow"
    assert [name for name in sys.modules if name.startswith("zoo_for_tests.")] == ["zoo_for_tests.cat"]


def test_an_unknown_name_is_answered_with_the_nearest(package):
    with pytest.raises(UsageError, match=r"there is no animal 'cta'; did you mean cat\? There are: broken, cat, dog"):
        make(package).get("cta")
    with pytest.raises(UsageError):
        make(package).get("contract")
    with pytest.raises(UsageError):
        make(package).get("../cat")


def test_a_file_that_fails_says_so_itself(package):
    with pytest.raises(ZeroDivisionError):
        make(package).get("broken")


def test_other_packages_add_things_by_entry_points(package, tmp_path):
    (tmp_path / "other_zoo_for_tests.py").write_text("thing = 'moo'\nclass Horse: pass\n")
    info = tmp_path / "other_zoo-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-zoo\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[zoo_for_tests]\ncow = other_zoo_for_tests\nhorse = other_zoo_for_tests:Horse\n"
    )
    animals = make(package)
    assert animals.names() == ["broken", "cat", "cow", "dog", "horse"]
    assert animals.get("cow") == "moo"  # a module goes through `pick`
    assert animals.get("horse").__name__ == "Horse"  # a thing is taken as it is
    assert animals.get("cat") == "meow"
