"""Verbs that another package adds, so that faces are tested without the work of real verbs."""

import importlib
import os
import sys

import pytest

from maquette.core import registry as registries
from maquette.faces import python
from maquette.operations import operation as table

PAINT = '''
"""A verb for tests."""
from __future__ import annotations
import errno, os, time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from maquette.core.errors import DataError
from maquette.core.event import Event, Made, Note, Progress, Result, Table, Warning
from maquette.core.settings import argument, dials, parse_count, required, setting
from maquette.operations.operation import operation

@dataclass(frozen=True, kw_only=True)
class Paint:
    """What to paint."""
    canvas: str = argument("what to paint on")
    colours: tuple[str, ...] = argument("the colours", many=True, default=())
    to: str = setting("out", "where it goes", form="FOLDER")
    size: int = setting(64, "how large", ge=8, le=512, multiple_of=8)
    images: int = setting(10, "how many", read=parse_count, ge=1)
    mode: Literal["rgb", "grey"] = setting("rgb", "the mode")
    given: tuple[str, ...] = setting((), "conditions")
    set: tuple[str, ...] = setting((), "changes", repeat=True, form="KEY=VALUE")
    from_: str | None = setting(None, "what to begin with", form="RUN")
    wet: bool = setting(False, "paint on wet ground")
    frame: bool = setting(True, "put a frame around it")
    do: str = setting("paint", "what happens")
    family: str = setting("gan", "the kind of model")

@operation
def paint(request: Paint, workspace) -> Iterator[Event]:
    """Paint a picture.

    It takes a while.
    """
    marker = Path(workspace.home) / "painting"
    if request.do == "denied": raise OSError(errno.EACCES, "Permission denied", "/somewhere")
    if request.do == "full": raise OSError(errno.ENOSPC, "No space left on device")
    if request.do == "memory": raise MemoryError
    if request.do == "fault": raise KeyError("oops")
    if request.do == "data": raise DataError("there are no images", where="photos", do="give a folder with images")
    if request.do == "interrupt": raise KeyboardInterrupt
    if request.do == "wait":
        try:
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.write_text("wet")
            while True:
                yield Progress(verb="paint", done=1, total=2, unit="strokes", seconds=1.0)
                time.sleep(0.02)
        finally:
            marker.unlink()
    yield Note(text=f"painting on {request.canvas}")
    yield Warning(text="the paint is old")
    for done in range(1, 4):
        yield Progress(verb="paint", done=done * 1000, total=3000, unit="strokes", seconds=done / 2,
                       numbers={"loss": 0.5})
    yield Made(path="out/a.png")
    yield Made(path="out/sheet.png", what="sheet")
    yield Table(title="Colours", columns=("name", "drops"), rows=(("red", "1"), ("blue", "22")))
    yield Result(verb="paint", facts={"picture": "out/a.png"}, value=request, summary="one picture in out",
                 next=("maquette frame out",))
'''

SPRAY = '''
"""A verb with dials for tests."""
from __future__ import annotations
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from maquette.core.event import Event, Result
from maquette.core.settings import argument, dials, setting
from maquette.operations.operation import operation

@dataclass(frozen=True, kw_only=True)
class Spray:
    """What to spray."""
    run: str = argument("the can")
    seed: int = setting(0, "the first seed", ge=0)
    options: Mapping[str, str] = dials("the family's own dials")

@operation
def spray(request: Spray, workspace) -> Iterator[Event]:
    """Spray a wall."""
    yield Result(verb="spray", facts={"run": request.run, "seed": request.seed, "options": request.options})
'''


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """A folder on the path whose package adds the verbs `paint` and `spray`."""
    folder = tmp_path / "site"
    package = folder / "fake_verbs"
    info = folder / "fake_verbs-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text("")
    (package / "paint.py").write_text(PAINT)
    (package / "spray.py").write_text(SPRAY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-verbs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[maquette.operations]\npaint = fake_verbs.paint\nspray = fake_verbs.spray\n"
    )
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
    importlib.invalidate_caches()

    def forget():
        registries._entry_points.cache_clear()
        python.function.cache_clear()
        for name in ("paint", "spray"):
            table.REGISTRY._loaded.pop(name, None)
        for name in [name for name in sys.modules if name.startswith("fake_verbs")]:
            del sys.modules[name]

    forget()
    yield folder
    forget()
