"""The verb `card`: the page about a model or a dataset, and what only a person can say in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Made, Result
from maquette.core.settings import argument, setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Card:
    """Of what, and what is to be stated."""

    of: str = argument("a run or a dataset", form="RUN|DATASET")
    about: str | None = setting(None, "state what it is, in a sentence or two")
    licence: str | None = setting(None, "state the licence of the images or the model")
    consent: str | None = setting(None, "state the consent of those shown, or of those who made the images")
    uses: str | None = setting(None, "state what it is meant for")
    not_for: str | None = setting(None, "state what it is not to be used for")
    contact: str | None = setting(None, "state who answers for it")


@operation
def card(request: Card, workspace: Workspace) -> Iterator[Event]:
    """Write the card of a model or a dataset: what is known of it, and what you state about licence and consent.

    Cards are kept up to date by ingest, train and evaluate. An empty statement takes one back.
    """
    from maquette.trust import cards

    folder = _folder(request.of, workspace)
    given = {name: getattr(request, name) for name in cards.STATEMENTS}
    stated = {name: " ".join(text.split()) for name, text in given.items() if text is not None}
    if stated:
        cards.state(folder, stated)
    trouble = cards.refresh(folder)
    if trouble:
        raise DataError(trouble)
    path = folder / "card.md"
    yield Made(path=str(path), what="card")
    facts = cards.facts(folder)
    said = {key: value for key, value in facts.items() if key != "card"}
    summary = f"{path}: what is known, and what you stated of {len(facts['stated'])} of {len(given)} matters."
    yield Result(verb="card", facts={"card": str(path), **said}, value=path, summary=summary)


def _folder(word: str, workspace: Workspace) -> Path:
    places = [workspace.run_path(word), workspace.dataset_path(word)]
    for place, marker in zip(places, ("run.json", "dataset.json"), strict=True):
        if (place / marker).is_file():
            return place
    raise UsageError(f"{word!r} is neither a run nor a dataset", do="see what there is: maquette list")
