"""The table of verbs: how files become verbs, values become requests, and work ends in a result."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from maquette.core.errors import UsageError
from maquette.core.event import Event, Note, Result
from maquette.core.settings import argument, dials, required, setting
from maquette.operations import operation as table
from maquette.operations.operation import operation
from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Request:
    source: tuple[str, ...] = argument("where from", many=True)
    to: str = required("where to")
    held_out: float = setting(0.1, "the share that is kept", ge=0, lt=1)
    from_: str | None = setting(None, "what to begin with")
    options: Mapping[str, str] = dials("the rest")


def work(request: Request, workspace: Workspace) -> Iterator[Event]:
    """Copy things from here to there.

    More about it.
    """
    yield Note(text=request.to)
    yield Result(verb="copy", facts={"to": request.to}, value=request)


def make(function=work, name="copy"):
    """The operation that a file of that name with this function would be."""
    module = types.ModuleType(f"maquette.operations.{name}")
    module.verb = operation(function)
    return table._pick(module)


def test_a_file_becomes_a_verb():
    copy = make()
    assert (copy.name, copy.summary, copy.description) == ("copy", "Copy things from here to there.", "More about it.")
    assert copy.request is Request
    assert make(name="copy_all_").name == "copy-all"


def test_names_may_be_written_as_they_are_typed():
    read = make().read({"source": ["a"], "to": "b", "held-out": "0.5", "from": "c"})
    assert (read.source, read.held_out, read.from_) == (("a",), 0.5, "c")
    assert make().read({"source": ["a"], "to": "b", "held_out": 0.5, "from_": "c"}) == read


def test_unknown_values_are_dials_where_there_is_a_place_for_them():
    read = make().read({"source": "a", "to": "b", "top-k": 5, "sizes": (1, 2), "options": {"guidance": 1.5}})
    assert read.options == {"top_k": "5", "sizes": "1,2", "guidance": "1.5"}


def test_unknown_values_are_refused_where_there_is_none():
    @dataclass(frozen=True, kw_only=True)
    class Small:
        size: int = setting(1, "size")

    def small(request: Any, workspace: Workspace) -> Iterator[Event]:
        """Do little."""
        yield Result(verb="small")

    small.__annotations__["request"] = Small
    with pytest.raises(UsageError, match="small: there is no setting 'sise'; did you mean size"):
        make(small, "small").read({"sise": 1})


def test_the_result_comes_last_and_once(home):
    events = list(make()(make().read({"source": "a", "to": "b"}), Workspace()))
    assert [event.name for event in events] == ["note", "result"]


@pytest.mark.parametrize(
    ("ending", "complaint"),
    [
        ([Note(text="a")], "ended without its result"),
        ([], "ended without its result"),
        ([Result(verb="other")], "ended without its result"),
        ([Result(verb="copy"), Note(text="late")], "went on after its result"),
        ([Result(verb="copy"), Result(verb="copy")], "went on after its result"),
    ],
)
def test_work_that_ends_wrongly_is_a_fault(home, ending, complaint):
    def wrong(request: Request, workspace: Workspace) -> Iterator[Event]:
        """End wrongly."""
        yield from ending

    copy = make(wrong)
    seen = []
    with pytest.raises(TypeError, match=complaint):
        seen.extend(copy(copy.read({"source": "a", "to": "b"}), Workspace()))
    assert not [event for event in seen if isinstance(event, Result)]


def test_whoever_stops_listening_stops_the_work(home):
    tidied = []

    def long(request: Request, workspace: Workspace) -> Iterator[Event]:
        """Go on for ever."""
        try:
            while True:
                yield Note(text="still here")
        finally:
            tidied.append(True)

    events = make(long, "long")(make(long, "long").read({"source": "a", "to": "b"}), Workspace())
    assert next(events).text == "still here"
    events.close()
    assert tidied == [True]


def test_a_file_must_hold_one_verb_with_a_docstring_and_a_request():
    empty = types.ModuleType("maquette.operations.empty")
    with pytest.raises(TypeError, match="exactly one operation, not 0"):
        table._pick(empty)

    def silent(request: Request, workspace: Workspace) -> Iterator[Event]:
        yield Result(verb="silent")

    with pytest.raises(TypeError, match="docstring"):
        make(silent, "silent")

    def bare(request: int, workspace: Workspace) -> Iterator[Event]:
        """Take a number."""
        yield Result(verb="bare")

    with pytest.raises(TypeError, match="dataclass"):
        make(bare, "bare")


def test_every_verb_of_the_table_is_grouped_and_says_what_it_is_for():
    verbs = [verb for group in table.grouped().values() for verb in group]
    assert sorted(verbs) == sorted({name.rstrip("_").replace("_", "-") for name in table.REGISTRY.names()})
    for verb in verbs:
        chosen = table.get(verb)
        assert chosen.name == verb
        assert chosen.summary[0].isupper()
        assert all(setting.help for setting in chosen.settings)


def test_an_unknown_verb_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="there is no verb 'lits'; did you mean list"):
        table.get("lits")


def test_running_a_verb_checks_its_values_first(home):
    with pytest.raises(UsageError, match="list: what = 'nothing' is not possible"):
        table.run("list", Workspace(), {"what": "nothing"})
