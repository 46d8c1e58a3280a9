"""The probe takes the fastest way of computing that agrees with plain float32, and remembers what it found."""

from __future__ import annotations

import json
import math
import time

import pytest
import torch
import toys

from maquette.engine import probe as probing
from maquette.engine.load import build
from maquette.engine.plan import Plan
from maquette.engine.probe import Choice, agree, probe, remembered


def close(reference):
    return {name: value.clone() for name, value in reference.items()}


@pytest.fixture
def machine(monkeypatch, toy, shapes):
    """A machine whose rates and gradients the test chooses: way of computing -> (rate, gradients or an error)."""
    reference = {"fast": torch.tensor([1.0, 2.0, -2.0]), "slow": torch.tensor([0.001, 0.0])}
    ways, asked = {}, []

    def measure(make, loader, plan, *, slowest=0.0, enough=0.6):
        way = (plan.precision, plan.layout, plan.threads, plan.compiled)
        asked.append(way)
        rate, gradients = ways.get(way, (100.0, close(reference)))
        if isinstance(gradients, Exception):
            raise gradients
        return rate, gradients

    monkeypatch.setattr(probing, "_measure", measure)
    loader = toys.fresh("toy", shapes).loader

    def ask(plan=None, seconds=None, **found):
        ways.clear()
        asked.clear()
        ways.update({tuple(key): value for key, value in found.pop("ways", {}).items()})
        return probe(lambda: None, loader, plan or Plan(threads=1), seconds)

    ask.reference, ask.asked = reference, asked
    return ask


BF16 = ("bfloat16", "contiguous", 1, False)
LAST = ("float32", "channels_last", 1, False)
BOTH = ("bfloat16", "channels_last", 1, False)


def test_the_fastest_way_that_agrees_is_taken(machine):
    good = close(machine.reference)
    found = machine(ways={LAST: (150.0, good), BF16: (300.0, good), BOTH: (200.0, good)})
    assert (found.precision, found.layout, found.rate, found.plain) == ("bfloat16", "contiguous", 300.0, 100.0)
    found = machine(ways={LAST: (101.0, good), BF16: (90.0, good), BOTH: (50.0, good)})
    assert (found.precision, found.layout, found.rate) == ("float32", "contiguous", 100.0)  # one per cent is noise


@pytest.mark.parametrize(
    "spoil",
    [
        lambda g: g["fast"].neg_(),
        lambda g: g["slow"].neg_(),  # small beside the other phase, and wrong all the same
        lambda g: g["fast"].mul_(2.0),
        lambda g: g["slow"].mul_(0.5),
        lambda g: g["fast"].fill_(math.nan),
        lambda g: g["fast"].fill_(math.inf),
        lambda g: g["slow"].zero_(),
        lambda g: g["fast"].copy_(torch.tensor([2.0, -2.0, 1.0])),
    ],
)
def test_a_fast_way_that_disagrees_is_not_taken(machine, spoil):
    wrong = close(machine.reference)
    spoil(wrong)
    assert not agree(wrong, machine.reference)
    found = machine(ways={BF16: (900.0, wrong), LAST: (150.0, close(machine.reference))})
    assert (found.precision, found.layout) == ("float32", "channels_last")


def test_small_differences_agree(machine):
    rounded = {name: value * 1.03 + 0.02 * value.norm() for name, value in machine.reference.items()}
    assert agree(rounded, machine.reference)
    assert agree({"fit": torch.zeros(3)}, {"fit": torch.zeros(3)})


@pytest.mark.parametrize("error", [RuntimeError("no such kernel"), NotImplementedError("not on this machine")])
def test_a_way_that_fails_is_not_taken(machine, error):
    found = machine(ways={BF16: (900.0, error), BOTH: (900.0, error)})
    assert found.precision == "float32"


def test_an_authors_mistake_is_not_hidden(machine):
    with pytest.raises(KeyError):
        machine(ways={BF16: (900.0, KeyError("a mistake in the family"))})
    with pytest.raises(RuntimeError):
        machine(ways={("float32", "contiguous", 1, False): (1.0, RuntimeError("plain float32 must work"))})


def test_half_the_threads_may_be_faster(machine):
    good = close(machine.reference)
    ways = {("float32", "contiguous", 4, False): (400.0, good), ("float32", "contiguous", 8, False): (100.0, good)}
    assert machine(Plan(threads=8), ways=ways).threads == 4
    assert machine(Plan(threads=2), ways=ways).threads == 2
    alone = {("float32", "contiguous", 1, False): (400.0, good)}
    assert machine(Plan(threads=2), ways=alone).threads == 1  # as on a machine where others are at work
    machine(Plan(threads=1), ways=alone)
    assert not any(threads == 0 for *_, threads, _ in machine.asked)


def test_compiling_is_tried_only_when_there_is_time_for_it(machine, monkeypatch):
    monkeypatch.setattr(probing, "_can_compile", lambda device: True)
    ways = {("float32", "contiguous", 1, True): (200.0, close(machine.reference))}
    assert not machine(seconds=probing.COMPILE_FROM - 1, ways=ways).compiled
    assert machine(seconds=probing.COMPILE_FROM, ways=ways).compiled
    assert not machine(seconds=None, ways=ways).compiled
    slower = {("float32", "contiguous", 1, True): (104.0, close(machine.reference))}
    assert not machine(seconds=probing.COMPILE_FROM, ways=slower).compiled
    monkeypatch.setattr(probing, "_can_compile", lambda device: False)
    assert not machine(seconds=probing.COMPILE_FROM, ways=ways).compiled


# Real measurements


@pytest.mark.parametrize("name", ["toy", "pair", "gaps", "oracle"])
def test_a_real_probe_measures_and_leaves_no_trace(toy, shapes, name):
    trainer = toys.fresh(name, shapes)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    spec, config = trainer.family.spec, trainer.family.config
    found = probe(lambda: build(name, config, spec, {}), trainer.loader, Plan(batch=8, threads=2))
    assert found.rate >= found.plain > 0 and found.precision in ("float32", "bfloat16")
    assert torch.equal(torch.random.get_rng_state(), state) and torch.get_num_threads() == threads
    assert "images/s" in found.sentence("cpu") and f"on {found.threads} thread" in found.sentence("cpu")


def test_the_rate_counts_every_stretch_of_the_run_by_its_share(toy, shapes, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    class Slow(toy.Pair):
        def loss(self, batch, phase):
            now[0] += 1.0 if phase == "fast" else 30.0
            return super().loss(batch, phase)

    trainer = toys.trainer_of(Slow(toy.ToyConfig(), shapes.spec), shapes)
    # Half of the run costs a second a step, the other half thirty seconds at every third step.
    assert probing._rate(trainer, 0.0, 0.6) == pytest.approx(8 / (0.5 * 1 + 0.5 * 10))
    assert probing._rate(trainer, 100.0, 0.6) == 0.0


# What is remembered


@pytest.fixture
def ask(toy, shapes, tmp_path, monkeypatch):
    count = []

    def counted(*args):
        count.append(1)
        return Choice(precision="bfloat16", threads=1, rate=123.0, plain=100.0)

    monkeypatch.setattr(probing, "probe", counted)
    trainer = toys.fresh("toy", shapes)

    def ask(plan=None, seconds=None, **changes):
        config = toy.ToyConfig(**changes)
        make = lambda: build("toy", config, trainer.family.spec, {})  # noqa: E731
        return remembered(tmp_path / "probes.json", make, "toy", trainer.loader, plan or Plan(), seconds)

    ask.count, ask.file = count, tmp_path / "probes.json"
    return ask


def test_the_same_question_is_asked_once(ask):
    first, known = ask()
    assert not known and len(ask.count) == 1
    assert ask() == (first, True) and len(ask.count) == 1
    for changes in ({"width": 9}, {"batch": 16}, {"plan": Plan(threads=3)}, {"seconds": 7200.0}):
        assert ask(**changes)[1] is False
        assert ask(**changes)[1] is True
    assert len(ask.count) == 5
    assert ask(seconds=60.0)[1] is True  # a short time is no other question than none


def test_what_a_busy_machine_says_is_not_kept(ask, monkeypatch):
    monkeypatch.setattr(probing, "is_busy", lambda: True)
    assert ask()[1] is False and ask()[1] is False and len(ask.count) == 2
    monkeypatch.setattr(probing, "is_busy", lambda: False)
    assert ask()[1] is False and ask()[1] is True and len(ask.count) == 3


def test_what_was_measured_while_waiting_for_others_is_not_kept(ask, monkeypatch):
    monkeypatch.setattr(probing, "SHORT", 0.01)
    quick = probing.probe
    monkeypatch.setattr(probing, "probe", lambda *args: (time.sleep(0.1), quick(*args))[1])
    assert ask()[1] is False and ask()[1] is False and len(ask.count) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"3", b'{"more": 1}'],
)
def test_a_damaged_file_is_measured_again_and_written_anew(ask, content):
    ask.file.write_bytes(content)
    assert ask()[1] is False
    assert ask()[1] is True
    assert len(ask.count) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "float17"}, {"threads": "many"}, {"threads": 0}, {"rate": "fast"}, {"layout": 3}, {"more": 1},
        {"rate": -1}, {"compiled": "perhaps"},
    ],
)  # fmt: skip
def test_a_damaged_choice_is_measured_again(ask, change):
    ask()
    known = json.loads(ask.file.read_text())
    (key,) = known
    ask.file.write_text(json.dumps({key: {**known[key], **change}}))
    assert ask()[1] is False and len(ask.count) == 2
    for value in (None, [], "words", 3):
        ask.file.write_text(json.dumps({key: value}))
        assert ask()[1] is False


def test_what_others_remembered_stays(ask):
    ask.file.write_text(json.dumps({"other": {"rate": 1.0}}))
    ask()
    assert json.loads(ask.file.read_text())["other"] == {"rate": 1.0}


def test_a_choice_in_words():
    words = Choice(precision="bfloat16", layout="channels_last", threads=1, rate=1234.5, plain=500.0).sentence("cpu")
    assert words == "computing in bfloat16, channels last, on 1 thread: 1,234 images/s, 2.5 times plain float32"
    assert "on cuda" in Choice(threads=4, compiled=True).sentence("cuda")
