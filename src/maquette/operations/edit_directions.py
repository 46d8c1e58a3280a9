"""The verb `edit-directions`: what directions a run has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Result, Table
from maquette.core.settings import argument, parse_pairs, setting
from maquette.operations._edits import bench
from maquette.operations._strips import strips
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Directions:
    """Of which run, and what to do with them."""

    run: str = argument("the run of a generator")
    to: str = setting("", "write a sheet of strips here: a row a direction, from less to more", form="FOLDER")
    seed: int = setting(0, "the seed whose image the strips change", ge=0)
    rename: tuple[str, ...] = setting((), "call a direction something else", repeat=True, form="OLD=NEW")
    remove: tuple[str, ...] = setting((), "forget directions", form="NAME,NAME")
    label: str | None = setting(None, "the label of the image, of those the model knows (or NAME=LABEL)")
    text: str | None = setting(None, "what the image shows, in words")
    number: tuple[str, ...] = setting((), "a number the model knows", repeat=True, form="NAME=VALUE")


@operation
def edit_directions(request: Directions, workspace: Workspace) -> Iterator[Event]:
    """List the directions that a run knows, show them as strips, name them as you see them, forget some.

    For example: maquette edit directions first --to out, then maquette edit directions first --rename found-1=brighter.
    """
    from maquette.engine.latent.directions import NAME, keep, named, read

    on = yield from bench(request, workspace, "edit-directions", images=False)
    known = read(on.run, on.latents.width)
    for old, new in _pairs(request.rename).items():
        direction = named(known, old)
        if not NAME.fullmatch(new):
            raise UsageError(f"{new!r} cannot be a name", do="take up to 64 letters, digits, - and _")
        if new in known and new != old:
            raise UsageError(f"there is a direction {new!r} already", do="remove it, or take another name")
        known = {(new if name == old else name): one for name, one in known.items()}
        known[new] = replace(direction, name=new)
    for name in request.remove:
        named(known, name)
        del known[name]
    if request.rename or request.remove:
        keep(on.run, list(known.values()))
    sheet = ""
    if request.to and known:
        sheet = strips(on, list(known.values()), request.seed)
        yield Made(path=sheet, what="sheet")
    yield Table(title="Directions", columns=("name", "learned from"), rows=[[d.name, d.how] for d in known.values()])
    facts = {"directions": [{"name": d.name, "how": d.how} for d in known.values()], "sheet": sheet}
    none = "It knows no directions yet: maquette edit find RUN."
    summary = f"{on.run.path.name} knows {len(known)} directions." if known else none
    yield Result(verb="edit-directions", facts=facts, value=list(known), summary=summary)


def _pairs(words: tuple[str, ...]) -> dict[str, str]:
    """OLD=NEW; a dash in a name stays a dash."""
    for word in words:
        parse_pairs([word])  # says what is wrong with its form
    return {old.strip(): new.strip() for old, _, new in (word.partition("=") for word in words)}
