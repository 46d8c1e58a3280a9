"""Materials of photographs: each with a model of its own, for one that learns several at once confuses them."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Sequence
from pathlib import Path

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event
from maquette.data.starter import photograph
from maquette.operations._uses import Work

MOST = 24
"""Materials of one use: each needs its share of the time."""


def named(sources: Sequence[str]) -> dict[str, list[str]]:
    """What to read for each material, by its name: folders in a folder are one each, all else is named by itself."""
    found: dict[str, list[str]] = {}
    for word in sources:
        path = Path(word).expanduser()
        if not path.exists():
            raise DataError("there is no such file or folder", where=path, do="check the path")
        children = sorted(path.iterdir()) if path.is_dir() else []
        folders = [child for child in children if child.is_dir() and not child.name.startswith(".")]
        loose = [child for child in children if child.is_file() and not child.name.startswith(".")]
        for folder in folders:
            found.setdefault(folder.name, []).append(str(folder))
        if loose or not path.is_dir():
            found.setdefault(path.stem, []).extend(str(file) for file in loose or [path])
    if not found:
        raise DataError("there is no photograph in it", where=sources[0], do="give photographs, or folders of them")
    if len(found) > MOST:
        raise UsageError(f"{len(found)} materials are too many at once", do=f"give at most {MOST} folders")
    return found


def shipped(work: Work, labels: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Copies of photographs that ship, as a person's folder would hold them: pairs of a name and a photograph."""
    found = {}
    for name, label in labels:
        file = photograph(label)
        to = work.to / "photographs" / name / file.name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)
        found[name] = [str(to.parent)]
    return found


def learned(work: Work, name: str, sources: Sequence[str], side: int, share: float) -> Generator[Event, None, str]:
    """The run of a model that has learned one material from its photographs."""
    data, run = work.at("materials", f"{name}.mq"), work.at("materials", name)
    yield from work.do(
        "ingest", source=list(sources), to=data, size=str(side), mode="rgb", held_out=0.0, labels="none",
        small="enlarge",
    )  # fmt: skip
    yield from work.learn(data, run, "texture", share, scale="small")
    return run
