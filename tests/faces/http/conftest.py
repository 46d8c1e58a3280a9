"""A workspace that holds one of everything, and a studio over it."""

import shutil

import pytest

import maquette as mq
from maquette.faces.http import openapi, routes
from tests.faces.http.served import opened


@pytest.fixture(autouse=True)
def table_of_this_test(request):
    """Where a test adds verbs, the routes are made anew before and after it."""
    if "fakes" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("fakes")
    _forget()
    yield
    _forget()


def _forget():
    routes.table.cache_clear()
    openapi.made.cache_clear()


@pytest.fixture(scope="session")
def furnished(tmp_path_factory):
    """A workspace with a dataset, a run, images, a kept recipe, a report, an export and an upload."""
    home = tmp_path_factory.mktemp("furnished")
    mq.ingest("drawn:shapes", to=str(home / "datasets" / "shapes"), count=48, size=16, home=home)
    mq.train(str(home / "datasets" / "shapes"), family="oracle", to=str(home / "runs" / "first"), images=64,
             judge=False, given="label", home=home)  # fmt: skip
    mq.sample(str(home / "runs" / "first"), count=4, to=str(home / "images" / "four"), home=home)
    for folder, name in (("reports", "one.html"), ("exports", "one.txt"), ("uploads/b", "one.png")):
        (home / folder).mkdir(parents=True)
        (home / folder / name).write_bytes(b"<script>alert(1)</script>")
    shutil.copy(home / "images" / "four" / "seed-00000000.png", home / "uploads" / "b" / "one.png")
    return home


@pytest.fixture
def workspace(furnished, tmp_path):
    """A copy of it, to change. The index is made anew from the folders."""
    home = tmp_path / "workspace"
    shutil.copytree(furnished, home, ignore=shutil.ignore_patterns("index.sqlite*"))
    return home


@pytest.fixture
def studio(workspace):
    with opened(workspace) as client:
        yield client
