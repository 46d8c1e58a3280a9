"""The verbs as functions of Python."""

import inspect
import logging
import subprocess
import sys
from pathlib import Path

import pytest

import maquette as mq
from maquette.core.errors import MaquetteError, UsageError
from maquette.operations import operation as table


def test_the_public_names_are_one_sorted_list():
    verbs = [verb.replace("-", "_") for group in table.grouped().values() for verb in group]
    assert mq.__all__ == sorted(["Dataset", "MaquetteError", "Run", "__version__", *verbs])
    assert dir(mq) == mq.__all__
    for name in mq.__all__:
        assert getattr(mq, name) is not None


def test_importing_the_package_loads_nothing_heavy():
    script = "import sys, maquette; print({'torch', 'numpy', 'rich', 'pydantic'} & set(sys.modules) or 'nothing')"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "nothing\n"


def test_a_star_import_gives_the_public_names():
    script = "from maquette import *; print(train.__name__, list.__name__, MaquetteError.__name__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "train list MaquetteError\n"


def test_unknown_names_are_unknown():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        mq.trian  # noqa: B018
    assert not hasattr(mq, "_private")


def test_classes_are_the_ones_of_the_house():
    from maquette.data.dataset import Dataset
    from maquette.store.run import Run

    assert (mq.Dataset, mq.Run, mq.MaquetteError) == (Dataset, Run, MaquetteError)


def test_a_verb_is_a_function_that_returns_the_value_of_its_result(fakes):
    painted = mq.paint("wall", "red", "blue", to=Path("a") / "b", size=16, set={"k": 1}, from_="r", given=["label"])
    assert (painted.canvas, painted.colours, painted.size, painted.set) == ("wall", ("red", "blue"), 16, ("k=1",))
    assert painted.to == str(Path("a") / "b")
    assert (painted.from_, painted.given) == ("r", ("label",))


def test_a_verb_without_a_value_returns_its_facts(fakes):
    assert mq.spray("can", seed=2, top_k=5) == {"run": "can", "seed": 2, "options": {"top_k": "5"}}


def test_objects_that_lie_at_a_path_stand_for_it(fakes):
    class Canvas:
        path = Path("wall")

    assert mq.paint(Canvas()).canvas == "wall"
    assert mq.paint(canvas=Canvas()).canvas == "wall"
    assert mq.paint("wall", ["red", Path("blue")]).colours == ("red", "blue")


def test_none_means_the_default(fakes):
    assert mq.paint("wall", size=None).size == 64


def test_wrong_calls_say_what_is_wrong(fakes):
    with pytest.raises(UsageError, match="there is no setting 'sise'; did you mean"):
        mq.paint("wall", sise=8)
    with pytest.raises(UsageError, match="canvas was given twice"):
        mq.paint("wall", canvas="door")
    with pytest.raises(UsageError, match="takes 1 arguments by position"):
        mq.spray("can", "other")
    with pytest.raises(MaquetteError, match="there are no images"):
        mq.paint("wall", do="data")


def test_events_are_handed_on(fakes, capsys):
    seen = []
    mq.paint("wall", on_event=seen.append)
    assert [event.name for event in seen][:2] == ["note", "warning"]
    assert seen[-1].name == "result"
    assert capsys.readouterr() == ("", "")


def test_progress_is_shown_only_when_asked_for(fakes, capsys, caplog):
    with caplog.at_level(logging.INFO, "maquette"):
        mq.paint("wall")
    assert capsys.readouterr() == ("", "")
    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("INFO", "painting on wall"), ("WARNING", "the paint is old"),
    ]  # fmt: skip
    mq.paint("wall", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3,000 of 3,000 strokes" in err
    assert "one picture in out" in err


def test_the_workspace_can_be_named(tmp_path):
    assert mq.list("runs", home=tmp_path / "w") == {"runs": []}


def test_a_function_says_what_it_takes(fakes):
    signature = inspect.signature(mq.paint)
    assert list(signature.parameters)[:3] == ["canvas", "colours", "to"]
    assert signature.parameters["size"].default == 64
    assert signature.parameters["progress"].default is False
    assert "dials" in inspect.signature(mq.spray).parameters
    assert mq.paint.__doc__.startswith("Paint a picture.")
    assert "size: how large (8 to 512" in mq.paint.__doc__
    for name in mq.__all__:
        if inspect.isfunction(getattr(mq, name)):
            assert inspect.signature(getattr(mq, name)).parameters["on_event"].default is None
