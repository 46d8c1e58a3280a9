"""The trial of made images: what is compared is fair, and the answer is the honest one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.condition import ConditionSpec
from maquette.core.errors import DataError
from maquette.core.spec import DataSpec
from maquette.engine.trial import Labelled, Learner, Score, Verdict, check, mixture, seen_in, trial

LABEL = ConditionSpec(name="finding", kind="label", classes=("clear", "spot"))
SPEC = DataSpec(height=16, width=16, mode="grey", conditions=(LABEL,))
CHANGES = {"width": 8, "mirrored": False, "batch": 16, "moved": 0, "rate": 0.005}
LEARNER = Learner(SPEC, "classify", 384, changes=CHANGES)


def scans(clear, spots, seed=0, faint=False):
    """Noise; `spots` of the images have a bright square somewhere (a hardly visible one when it is faint)."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 120, (clear + spots, 16, 16, 1), np.uint8)
    for image in images[clear:]:
        top, left = rng.integers(2, 10, 2)
        image[top : top + 4, left : left + 4] = 100 if faint else 220
    return Labelled(images, np.repeat([0, 1], [clear, spots]))


def end(steps):
    """The verdict, and the last progress."""
    gone = None
    while True:
        try:
            gone = next(steps)
        except StopIteration as stop:
            return stop.value, gone


@given(clear=st.integers(1, 40), spots=st.integers(1, 40), made=st.integers(0, 30), share=st.floats(0, 1))
def test_mixtures_balance_labels_and_keep_the_real_images(clear, spots, made, share):
    """Whatever there is: all real images once, labels as frequent as each other, made images in one way only."""
    real, others = scans(clear, spots), scans(made, made, seed=1)
    most = max(clear, spots)
    for way in ("real", "repeated", "made"):
        mixed = mixture(real, others, way, 3, 2, share)
        assert np.array_equal(mixed.images[: len(real)], real.images)
        counts = [len(mixed.of(label)) for label in (0, 1)]
        assert counts == ([clear, spots] if way == "real" else [most, most])
        own = {image.tobytes() for image in real.images}
        strange = sum(image.tobytes() not in own for image in mixed.images)
        rare = min(clear, spots)
        assert strange == (round((most - rare) * share) if way == "made" and made else 0)


def test_useful_images_help():
    """Few real images of a label and many good made ones: recognised better than by the real ones alone."""
    real, made, test = scans(120, 5), scans(0, 115, seed=2), scans(40, 40, seed=3)
    verdict, gone = end(trial(real, made, test, LEARNER, (0,), ways=("real", "made")))
    assert verdict.of("made")[0] > verdict.of("real")[0] + 0.2 and gone.done == gone.total == 2
    assert verdict.recall("made", "spot") > 0.9 and verdict.tested == 80


def test_the_same_seed_gives_the_same_scores():
    """A classifier depends on what it learns from and on its seed alone."""
    real, made, test = scans(40, 8), scans(0, 32, seed=2), scans(20, 20, seed=3)
    once, again = (end(trial(real, made, test, LEARNER, (4,), ways=("real",)))[0].scores for _ in range(2))
    assert once == again and once[0].seed == 4


def verdict_of(real, repeated, made):
    ways = {"real": real, "repeated": repeated, "made": made}
    scores = [Score(way, seed, (value, value)) for way, values in ways.items() for seed, value in enumerate(values)]
    return Verdict(tuple(scores), ("clear", "spot"), 100)


@pytest.mark.parametrize(
    ("real", "repeated", "made", "words"),
    [
        ((0.5, 0.51, 0.5), (0.6, 0.61, 0.6), (0.8, 0.81, 0.8), "The made images help"),
        ((0.5, 0.51, 0.5), (0.8, 0.81, 0.79), (0.8, 0.81, 0.8), "not shown that made images balance better"),
        ((0.5, 0.51, 0.5), (0.8, 0.81, 0.8), (0.6, 0.61, 0.6), "repeating the real images does it better"),
        ((0.8, 0.81, 0.8), (0.8, 0.81, 0.8), (0.6, 0.61, 0.6), "do harm"),
        ((0.7, 0.81, 0.8), (0.8, 0.71, 0.8), (0.75, 0.81, 0.7), "It is not shown that"),
    ],
)
def test_the_answer_is_the_honest_one(real, repeated, made, words):
    """Help is claimed only where it is shown beside the real images and beside repeating them."""
    verdict = verdict_of(real, repeated, made)
    said, facts = verdict.sentence(), verdict.facts()
    assert words in said and "3 seeds" in said
    assert facts["gain"]["value"] == pytest.approx(np.mean(np.subtract(made, real)))
    assert facts["balanced_accuracy"]["repeated"] == list(repeated) and facts["tested"] == 100


def test_what_cannot_be_answered_is_refused():
    """One label only, or a label with four images, on either side."""
    few, enough = scans(20, 4), scans(20, 20)
    with pytest.raises(DataError, match="'spot' has 4 images to learn from"):
        check(few, enough, LABEL.classes)
    with pytest.raises(DataError, match="'spot' has 4 images held out"):
        check(enough, few, LABEL.classes)
    with pytest.raises(DataError, match="one label only"):
        check(enough, enough, ("clear",))
    with pytest.raises(DataError, match="no label"):
        check(enough, enough, ())


def test_how_much_is_seen_follows_the_time():
    """A few steps are measured; at least one image is seen, however short the time."""
    assert seen_in(scans(40, 8), LEARNER, 1e-9) == 1 and seen_in(scans(40, 8), LEARNER, 100.0) > 1
