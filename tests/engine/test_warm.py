"""Models kept ready: full passes of many wishes, the pixels of `sample`, bounds, and models that change or go."""

import threading

import numpy as np
import pytest

import maquette as mq
from maquette.core.errors import ConditionError, RunError, UsageError
from maquette.core.noise import Mix
from maquette.engine.warm import BusyError, Warm


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    data = mq.ingest("drawn:shapes", to=str(home / "shapes.mq"), count=24, size=16, home=home)
    return mq.train(data, family="oracle", to=str(home / "runs" / "first"), images=64, judge=False, given="label",
                    home=home)  # fmt: skip


@pytest.fixture
def warm():
    warm = Warm(waiting=4)
    yield warm
    warm.close()


def pictures(future):
    return [one.picture for one in future.result(30)]


def test_wishes_are_made_together_and_each_gets_its_own(warm, run, tmp_path):
    ready = warm.open(run.path)
    options = ready.options({})
    expected = [np.asarray(image) for image in mq.sample(run, count=8, to=tmp_path / "out")]
    hold, begun, real = threading.Event(), threading.Event(), warm._make
    warm._make = lambda batch: (begun.set(), hold.wait(20), real(batch))[2]
    first = warm.ask(ready, [0], {}, options)
    assert begun.wait(20)
    parts = [warm.ask(ready, seeds, {}, options) for seeds in ([1, 2], [3], [4, 5, 6, 7])]
    hold.set()
    made = [*pictures(first), *(one for part in parts for one in pictures(part))]
    assert all(np.array_equal(*pair) for pair in zip(made, expected, strict=True))
    assert warm.passes == 2 and warm.made == 8, "one alone, and all that waited meanwhile together"


def test_more_images_than_one_pass_holds_and_mixes(warm, run):
    ready = warm.open(run.path)
    options = ready.options({"temperature": 0.5})
    many = pictures(warm.ask(ready, range(40), {}, options))
    assert len(many) == 40 and len({image.tobytes() for image in many}) == 40
    (mixed,) = warm.ask(ready, [Mix((1, 2), (1.0, 1.0))], {}, options, exact=False).result(30)
    assert mixed.shape == (16, 16, 3)
    seen = []
    assert len(warm.ask(ready, [3], {}, options, steps=seen.append).result(30)) == 1


def test_one_image_does_not_wait_for_hundreds_and_twins_both_are_made(warm, run):
    ready = warm.open(run.path)
    options = ready.options({})
    hold, begun, real = threading.Event(), threading.Event(), warm._make
    warm._make = lambda batch: (begun.set(), hold.wait(20), real(batch))[2]
    many = warm.ask(ready, range(10 * ready.model.together), {}, options)
    assert begun.wait(20)
    passes = []
    few = [warm.ask(ready, [7], {}, options) for _ in range(2)]
    few[1].add_done_callback(lambda _: passes.append(warm.passes))
    hold.set()
    assert np.array_equal(*(pictures(one)[0] for one in few)) and len(pictures(many)) == 10 * ready.model.together
    assert passes[0] <= 3


def test_labels_count_and_impossible_wishes_are_refused_before_they_wait(warm, run):
    ready = warm.open(run.path)
    options = ready.options({"temperature": 0})
    classes = ready.form(options).conditions[0].classes
    one, two = (pictures(warm.ask(ready, [5], {"label": name}, options))[0] for name in classes[:2])
    assert not np.array_equal(one, two)
    for seeds, given in (([], {}), (range(1000), {})):
        with pytest.raises(UsageError):
            warm.ask(ready, seeds, given, options)
    with pytest.raises(ConditionError):
        warm.ask(ready, [1], {"label": "none"}, options)
    with pytest.raises(UsageError):
        ready.options({"none": 1})


def test_the_queue_is_bounded_and_who_gives_up_makes_room(warm, run):
    ready = warm.open(run.path)
    options = ready.options({})
    hold, real = threading.Event(), warm._make
    warm._make = lambda batch: (hold.wait(20), real(batch))[1]
    waiting = [warm.ask(ready, [k], {}, options) for k in range(4)]
    with pytest.raises(BusyError, match="4 requests"):
        warm.ask(ready, [9], {}, options)
    assert waiting[3].cancel() and warm.waiting == 3
    late = warm.ask(ready, [9], {}, options)
    hold.set()
    assert len(pictures(late)) == 1 and all(len(pictures(one)) == 1 for one in waiting[:3])
    assert warm.waiting == 0


def test_a_pass_that_fails_fails_its_wishes_and_no_others(warm, run):
    ready = warm.open(run.path)
    options = ready.options({})
    real, sample = warm._make, ready.model.sample
    ready.model.sample = lambda *_: (_ for _ in ()).throw(MemoryError)
    with pytest.raises(MemoryError):
        warm.ask(ready, [1], {}, options).result(30)
    ready.model.sample = sample
    assert warm._make == real and len(pictures(warm.ask(ready, [1], {}, options))) == 1


def test_a_model_that_changed_is_loaded_again_and_one_that_went_is_gone(warm, run, tmp_path):
    import os
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    ready = warm.open(copy)
    assert warm.open(copy) is ready and warm.fresh(copy) is ready
    os.utime(copy / "run.json", ns=(1, 1))
    assert warm.fresh(copy) is None and warm.open(copy) is not ready
    shutil.rmtree(copy)
    with pytest.raises(RunError, match="removed"):
        warm.open(copy)
    assert len(pictures(warm.ask(ready, [1], {}, ready.options({})))) == 1, "who has it may still use it"


def test_what_was_taken_is_made_when_it_closes_and_nothing_more_is_taken(run):
    warm = Warm()
    ready = warm.open(run.path)
    options = ready.options({})
    futures = [warm.ask(ready, range(k, k + 20), {}, options) for k in range(5)]
    warm.close()
    assert [len(future.result(0)) for future in futures] == [20] * 5
    with pytest.raises(BusyError, match="closed"):
        warm.ask(ready, [1], {}, options)
