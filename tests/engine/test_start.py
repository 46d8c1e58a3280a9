"""From a wish to a trainer: conditions given and left out, the same wish goes on, another one is refused in words."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from maquette.core.condition import ConditionSpec
from maquette.core.errors import ConditionError, DataError, MaquetteError, RunError, UsageError
from maquette.core.spec import DataSpec, Phase
from maquette.data.dataset import Dataset, Writer
from maquette.engine import start as starting
from maquette.engine import train as loop
from maquette.engine.start import Wish, given_conditions, start
from maquette.engine.table import condition_table
from maquette.families import REGISTRY
from maquette.store.run import Run

WISH = Wish(family="oracle", images=200, scale="nano", changes={"batch": "8"})


@pytest.fixture
def begin(unprobed, shapes, tmp_path):
    """Starts (or goes on with) the run `run` as wished."""

    def begin(wish=WISH, data=shapes, to="run"):
        return start(data, tmp_path / to, wish, probes=tmp_path / "probes.json")

    return begin


def changed(**changes):
    return dataclasses.replace(WISH, **changes)


def dataset(path, labels, *, parts=None) -> Dataset:
    """A dataset of noise whose labels are these (None: missing)."""
    spec = DataSpec(height=8, width=8, conditions=(ConditionSpec(name="label", kind="label", classes=("a", "b")),))
    count = len(labels)
    with Writer(path, spec, settings={}) as writer:
        encoded = np.stack([spec.conditions[0].encode(label) for label in labels])
        pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
        writer.append(pixels, {"label": encoded}, [{"path": str(index)} for index in range(count)])
        chosen = np.zeros(count, np.uint8) if parts is None else np.array(parts, np.uint8)
        return writer.finish(chosen, np.arange(count, dtype=np.int32))


# Conditions


def test_all_conditions_that_the_family_honours_are_learned_and_the_rest_is_said(shapes):
    chosen, told = given_conditions(shapes, WISH)
    assert [condition.name for condition in chosen] == ["label"]
    assert told == [
        "the dataset's text 'text' is not used (the family oracle cannot be given it): it cannot be asked for later"
    ]


def test_labels_that_are_left_out_are_said_in_one_line(shapes):
    chosen, told = given_conditions(shapes, changed(given=()))
    assert chosen == ()
    assert told[0] == "the dataset's label 'label' is not used (as asked): it cannot be asked for later"


def test_what_is_given_by_name_must_be_there_and_be_possible(shapes):
    assert [c.name for c in given_conditions(shapes, changed(given=("label",)))[0]] == ["label"]
    with pytest.raises(ConditionError, match=r"no condition 'labels'.*did you mean label\?"):
        given_conditions(shapes, changed(given=("labels",)))
    with pytest.raises(ConditionError, match=r"oracle cannot be given 'text' \(text\).*label, number"):
        given_conditions(shapes, changed(given=("text",)))


def test_conditions_keep_the_order_of_the_dataset(shapes):
    wish = Wish(family="flow", given=("text", "label"))
    assert [c.name for c in given_conditions(shapes, wish)[0]] == ["label", "text"]


def test_rare_labels_can_be_shown_as_often_as_frequent_ones(begin, tmp_path):
    data = dataset(tmp_path / "d.mq", ["a"] * 30 + ["b"] * 3 + [None] * 2)
    session = begin(changed(balance="label"), data=data)
    _, seen = session.trainer.loader.batch(0, 62)
    assert np.bincount(seen["label"].reshape(-1) + 1).tolist() == [2, 30, 30]
    assert session.trainer.batches(0, 4)[0].known == 35, "they are no more images than before"
    assert session.run.facts["wish"]["balance"] == "label"
    assert np.array_equal(
        begin(changed(balance="label"), data=data).trainer.loader.batch(0, 62)[1]["label"], seen["label"]
    )
    with pytest.raises(RunError, match="balance label"):
        begin(data=data)
    with pytest.raises(ConditionError, match="no label 'lable'"):
        begin(changed(balance="lable"), data=data, to="other")


def test_labels_in_some_rows_only_are_said_and_learned(begin, tmp_path):
    data = dataset(tmp_path / "some.mq", ["a", None, "b", "a", None] * 6)
    session = begin(data=data)
    assert "12 of 30 images have no label: they are learned without it" in session.told
    list(loop.train(session.trainer, session.run, name="oracle"))
    table = condition_table(session.run, session.trainer.family.spec)
    assert set(table["label"].tolist()) == {-1, 0, 1}


# A new run


def test_a_new_run_notes_what_was_asked_and_chosen(begin, shapes):
    session = begin()
    facts = Run.open(session.run.path).facts
    assert facts["plan"] == {
        "images": 200, "seconds": None, "seed": 0, "batch": 8, "passes": 1, "device": starting.best_device(),
        "precision": "float32", "layout": "contiguous", "threads": 1, "compiled": False,
    }  # fmt: skip
    known = {"name": "shapes", "path": str(shapes.path.absolute()), "digest": shapes.digest}
    assert facts["dataset"] == {**known, "set_aside": shapes.description["records"]["set_aside.jsonl"]}
    assert facts["scale"] == "nano" and facts["family"] == "oracle" and facts["choice"]["rate"] == 1000.0
    assert any(text.startswith("scale nano; computing in float32") for text in session.told)


def test_images_are_rounded_up_to_whole_batches(begin):
    assert begin(changed(images=201)).trainer.plan.images == 208


def test_a_time_is_planned_in_images(begin):
    session = begin(changed(images=None, seconds=7.0))
    assert session.trainer.plan.images == 7000 and session.trainer.plan.seconds == 7.0


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        (changed(images=None), UsageError, r"training needs an end.*--time.*--images"),
        (changed(seconds=5.0), UsageError, r"one end only"),
        (changed(family="gna"), UsageError, r"no family 'gna'.*did you mean gan\?"),
        (changed(scale="smal"), UsageError, r"no scale 'smal'.*did you mean small\?"),
        (changed(changes={"bach": "8"}), UsageError, r"--set for oracle.*'bach'.*did you mean batch\?"),
        (changed(changes={"batch": "0"}), UsageError, r"batch = '0' is not possible"),
        (changed(changes={"rate": "nan"}), UsageError, r"rate = 'nan' is not possible"),
        (changed(device="cuda"), UsageError, r"no cuda device here"),
        (changed(tile="z"), UsageError, r"tiling along 'z'"),
    ],
)  # fmt: skip
def test_wrong_wishes_are_refused_before_anything_is_written(begin, tmp_path, monkeypatch, wish, error, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(error, match=words):
        begin(wish)
    assert not (tmp_path / "run").exists()


def test_one_image_or_none_is_too_few(begin, tmp_path):
    with pytest.raises(UsageError, match=r"one.mq: there is only 1 image to learn from"):
        begin(data=dataset(tmp_path / "one.mq", ["a"]))
    with pytest.raises(DataError, match="no images in its part 'train'"):
        begin(data=dataset(tmp_path / "none.mq", ["a", "b"], parts=[1, 1]))
    assert not (tmp_path / "run").exists()


def test_a_folder_with_other_things_is_left_alone(begin, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="holds other things"):
        begin()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


# Going on


def test_the_same_wish_goes_on_with_the_plan_that_was_made(begin, monkeypatch):
    first = begin()
    facts = json.loads((first.run.path / "run.json").read_text())
    facts["plan"] |= {"precision": "bfloat16", "layout": "channels_last", "threads": 2}
    (first.run.path / "run.json").write_text(json.dumps(facts))

    def never(*args):
        raise AssertionError("a run that goes on is not measured again")

    monkeypatch.setattr(starting, "remembered", never)
    monkeypatch.setattr(starting, "choose_scale", never)
    session = begin(changed(scale="nano"))
    plan = session.trainer.plan
    assert (plan.precision, plan.layout, plan.threads) == ("bfloat16", "channels_last", 2)
    seen = []
    for _ in loop.train(session.trainer, session.run, name="oracle"):
        seen.append(torch.get_num_threads())
    assert set(seen) == {2}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": 300}, r"begun with --images 200, not --images 300"),
        ({"images": None, "seconds": 60.0}, r"begun with no --time, not --time 60s"),
        ({"seed": 1}, r"begun with --seed 0, not --seed 1"),
        ({"scale": "base"}, r"begun with --scale nano, not --scale base"),
        ({"given": ()}, r"begun with no --given, not --given none"),
        ({"given": ("label",)}, r"begun with no --given, not --given label"),
        ({"tile": "xy"}, r"begun with no --tile, not --tile xy"),
        ({"changes": {"batch": "16"}}, r"begun with --set batch=8, not --set batch=16"),
        ({"changes": {}}, r"begun with --set batch=8, not no --set"),
        ({"family": "gan"}, r"begun with --family oracle, not --family gan"),
    ],
)  # fmt: skip
def test_another_wish_for_an_existing_run_is_refused_in_words(begin, changes, words):
    path = begin().run.path
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with pytest.raises(RunError, match=words + r".*give the same arguments to go on, or another name with --to"):
        begin(changed(**changes))
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_another_dataset_is_refused_by_its_name(begin, numbers):
    begin()
    with pytest.raises(RunError, match=r"learned from another dataset \(shapes\)"):
        begin(data=numbers)


def test_a_dataset_that_moved_is_still_the_same(begin, shapes, tmp_path):
    import shutil

    session = begin()
    steps = loop.train(session.trainer, session.run, name="oracle")
    next(steps)
    steps.close()
    moved = Dataset.open(shutil.copytree(shapes.path, tmp_path / "elsewhere" / "other.mq"))
    session = begin(data=moved)
    assert next(loop.train(session.trainer, session.run, name="oracle")).told == ("going on from 8 images",)


@pytest.mark.parametrize("key", ["wish", "plan", "recipe"])
def test_a_run_without_its_facts_is_refused_in_words(begin, key):
    path = begin().run.path
    facts = json.loads((path / "run.json").read_text())
    for value in (None, 3, [], {}):
        (path / "run.json").write_text(json.dumps({**facts, key: value}))
        with pytest.raises(MaquetteError):
            begin()


def test_the_device_that_a_run_was_begun_on_must_be_there(begin, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    path = begin(changed(device="cpu")).run.path
    begin(changed(device="cpu"))
    with pytest.raises(RunError, match="begun with --device cpu, not --device cuda"):
        begin(changed(device="cuda"))
    facts = json.loads((path / "run.json").read_text())
    facts["plan"]["device"] = "cuda"
    (path / "run.json").write_text(json.dumps(facts))
    with pytest.raises(UsageError, match="no cuda device here"):
        begin()


# Other runs: --from and --on


def test_weights_of_another_run_are_taken_over(begin, tmp_path):
    first = begin()
    list(loop.train(first.trainer, first.run, name="oracle"))
    session = begin(changed(origin=tmp_path / "run", seed=1), to="second")
    assert f"began with 2 of 2 weights of {tmp_path / 'run'}" in session.told
    for name, value in first.load_model().state_dict().items():
        assert torch.equal(session.trainer.family.state_dict()[name], value)
    with pytest.raises(RunError, match="none of its weights fit"):
        begin(Wish(family="gan", images=100, scale="nano", changes={"width": "4"}, origin=tmp_path / "run"), to="third")


def test_a_family_that_stands_on_nothing_takes_no_other_run(begin, tmp_path):
    begin()
    with pytest.raises(UsageError, match="oracle does not stand on another run"):
        begin(changed(on=tmp_path / "run"), to="second")


def test_a_family_stands_on_a_run_or_on_a_part_of_its_own(begin, toy, tmp_path):
    base = Wish(family="toy", images=80, scale="nano", changes={"width": "3"})
    session = begin(base, to="base")
    list(loop.train(session.trainer, session.run, name="toy"))
    trained = session.load_model().state_dict()
    standing = Wish(family="standing", images=80, scale="nano", on=tmp_path / "base")
    session = begin(standing, to="standing")
    assert all(torch.equal(session.trainer.family.base.state_dict()[name], value) for name, value in trained.items())
    steps = loop.train(session.trainer, session.run, name="standing")
    for _ in range(4):
        next(steps)
    steps.close()
    session = begin(standing, to="standing")
    list(loop.train(session.trainer, session.run, name="standing"))
    model = session.load_model()
    # The part stays as it was (no phase trains it), and is in the model that is sampled.
    assert all(torch.equal(model.base.state_dict()[name], value) for name, value in trained.items())
    own = begin(dataclasses.replace(standing, on=None), to="own")
    assert own.trainer.family.base.config.width == REGISTRY.get("toy").variant("micro", own.trainer.family.spec).width


def test_a_part_may_stand_on_a_part_itself(begin, toy, tmp_path):
    for name, on in (("toy", None), ("standing", "toy"), ("standing", "standing")):
        to = "twice" if on == "standing" else name
        session = begin(Wish(family=name, images=16, scale="nano", on=on and tmp_path / on), to=to)
        list(loop.train(session.trainer, session.run, name=name))
    assert session.load_model().base.base.config.width == 4


def test_a_part_must_be_able_to_do_what_is_needed_of_it(begin, toy, tmp_path):
    session = begin()
    list(loop.train(session.trainer, session.run, name="oracle"))
    with pytest.raises(UsageError, match=r"standing stands on one that encodes, and oracle does not.*family toy"):
        begin(Wish(family="standing", images=80, on=tmp_path / "run"), to="standing")


def test_the_probe_leaves_the_parts_as_they_were(shapes, toy, tmp_path, monkeypatch):
    class Along(toy.Standing):
        """Trains its part too."""

        def __init__(self, config, spec, parts=None):
            super().__init__(config, spec, parts)
            self.phases = (Phase(name="fit"),)

        def repair(self, images):
            return self.base.repair(super().repair(images))

    monkeypatch.setitem(REGISTRY._loaded, "along", Along)
    monkeypatch.setattr("maquette.engine.probe.HAD", 0.0)  # however busy this machine is, what it measured counts
    wish = Wish(family="along", images=80, scale="nano")
    weights = []
    for name in ("one", "two"):  # the first is measured, the second remembered
        session = start(shapes, tmp_path / name, wish, probes=tmp_path / "probes.json")
        weights.append(session.trainer.family.state_dict())
    assert "(measured before)" in " ".join(session.told)
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.parametrize("how", ["seed", "from", "on"])
def test_killed_before_the_first_checkpoint_it_begins_as_it_began(begin, toy, tmp_path, how):
    session = begin(Wish(family="toy", images=80, scale="nano", seed=3), to="first")
    list(loop.train(session.trainer, session.run, name="toy"))
    wish = {
        "seed": Wish(family="toy", images=80, scale="nano", seed=7),
        "from": Wish(family="toy", images=80, scale="nano", seed=7, origin=tmp_path / "first"),
        "on": Wish(family="standing", images=80, scale="nano", seed=7, on=tmp_path / "first"),
    }[how]
    begun = begin(wish, to="run")
    again = begin(wish, to="run")
    assert again.run.checkpoints() == []
    expected = begun.trainer.tensors()
    assert all(torch.equal(value, expected[name]) for name, value in again.trainer.tensors().items())


# The size of the model


def test_more_time_buys_a_larger_model(toy, shapes, tmp_path, monkeypatch):
    from maquette.engine import probe

    rates = {"4": 10_000.0, "8": 1_000.0, "16": 100.0, "32": 10.0}
    asked = []

    def quick_rate(make, loader, plan):
        width = make().config.width
        asked.append(width)
        return rates[str(width)]

    monkeypatch.setattr(probe, "_quick_rate", quick_rate)
    monkeypatch.setattr(starting, "remembered", lambda *args: (probe.Choice(rate=100.0, plain=100.0), False))
    chosen = []
    for number, seconds in enumerate((0.5, 2.0, 2_000.0, 2_000_000.0)):
        asked.clear()
        wish = Wish(family="toy", seconds=seconds)
        session = start(shapes, tmp_path / str(number), wish, probes=tmp_path / "probes.json")
        chosen.append(session.run.facts["scale"])
        if seconds == 2.0:
            assert asked == [8]  # small needs 100,000 images: even at the rate of micro that is out of reach
    assert chosen == ["nano", "micro", "small", "base"]


def test_more_images_buy_a_larger_model_without_measuring(toy, begin):
    for number, (images, scale) in enumerate([(500, "nano"), (1_000, "micro"), (100_000, "small"), (10**7, "base")]):
        session = begin(Wish(family="toy", images=images), to=str(number))
        assert session.run.facts["scale"] == scale


def test_what_is_set_by_hand_holds_at_any_scale(toy, begin):
    session = begin(Wish(family="toy", images=100_000, changes={"width": "5"}))
    assert session.trainer.family.config.width == 5
