"""Every measure: its value on known sets, its interval, and its refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.linalg

from maquette.core.condition import ConditionSpec
from maquette.features.space import Space
from maquette.judge.interval import GROUPS, groups_of, jackknife
from maquette.judge.judgement import grade, judge, realism
from maquette.judge.looks import LOOKS, looks
from maquette.judge.metric import Part, Sides, Unmeasured, all_metrics
from maquette.judge.metrics.fidelity import frechet, kernel_distance_of
from maquette.judge.metrics.manifold import NEIGHBOURS

LABEL = ConditionSpec(name="label", kind="label", classes=("a", "b", "c"))
NUMBER = ConditionSpec(name="number", kind="number")
TEXT = ConditionSpec(name="text", kind="text")
WORDS = ("red circle", "blue square", "green star")
METRICS = all_metrics()


def part(count, seed, *, shift=0.0, spread=1.0, width=12, labels=(0, 1, 2)):
    """Images as points: three labels apart, a number along one axis, texts by label."""
    generator = np.random.default_rng(seed)
    label = generator.choice(labels, count)
    number = generator.uniform(0, 1, count).astype(np.float32)
    rows = generator.normal(size=(count, width)) * spread + shift
    rows[:, 0] += 4 * label
    rows[:, 1] += 5 * number
    pixels = np.clip(128 + 40 * generator.normal(size=(count, 16, 16, 3)), 0, 255).astype(np.uint8)
    conditions = {
        "label": label.astype(np.int32), "number": number, "text": np.stack([TEXT.encode(WORDS[k]) for k in label]),
    }  # fmt: skip
    return Part(rows, looks(pixels), conditions)


def sides(made=None, **values):
    facts = {"whole": True, **values}  # as in a network's own numbers, so that every measure can be taken
    return Sides(part(800, 1), made or part(600, 2), part(500, 3), (LABEL, NUMBER, TEXT), **facts)


@pytest.mark.parametrize("name", METRICS)
def test_every_measure_gives_an_interval_around_its_value_and_says_what_it_says(name):
    metric = METRICS[name]
    estimate = metric(sides())
    assert np.isfinite([estimate.value, estimate.low, estimate.high, estimate.error]).all()
    assert estimate.low <= estimate.value <= estimate.high
    assert metric.title and metric.says.endswith(".") and len(metric.says) < 260
    assert metric.better in ("lower", "higher", "like real")
    again = metric(sides())
    assert again == estimate  # nothing is drawn afresh


@pytest.mark.parametrize("name", METRICS)
def test_every_measure_refuses_what_is_too_little_and_says_why(name):
    few = Sides(part(800, 1), part(5, 2), None, (LABEL, NUMBER, TEXT), whole=True)
    with pytest.raises(Unmeasured) as caught:
        METRICS[name](few)
    assert len(caught.value.what) > 10


IDEAL = {
    "distance": 0.0, "kernel-distance": 0.0, "told-apart": 0.5, "density": 1.0, "spread": 1.0, "variety": 1.0,
    "sharpness": 1.0, "contrast": 1.0, "brightness": 1.0, "saturation": 1.0, "spectrum-slope": 0.0,
    "checkerboard": 0.0, "colour-distance": 0.0, "use-for-learning": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("name", IDEAL)
def test_other_real_images_are_as_good_as_can_be(name):
    estimate = METRICS[name](sides())
    assert abs(estimate.value - IDEAL[name]) <= max(4 * estimate.error, 0.02)


WORSE = {
    "distance": {"shift": 0.5}, "kernel-distance": {"shift": 0.5}, "told-apart": {"shift": 1.0},
    "precision": {"spread": 1.6}, "density": {"spread": 1.6}, "recall": {"spread": 0.4}, "coverage": {"labels": (0,)},
    "variety": {"spread": 0.4}, "spread": {"spread": 0.4}, "use-for-learning": {"labels": (0, 1)},
}  # fmt: skip


@pytest.mark.parametrize("name", WORSE)
def test_what_is_worse_lies_outside_the_interval_of_what_is_good(name):
    good, bad = METRICS[name](sides()), METRICS[name](sides(part(600, 2, **WORSE[name])))
    away = abs(bad.value - IDEAL.get(name, 1.0)) - abs(good.value - IDEAL.get(name, 1.0))
    assert away > 3 * max(good.error, 1e-6)


def test_labels_asked_for_and_not_shown_are_seen():
    wrong = part(600, 2)
    mixed = np.random.default_rng(0).permutation(wrong.conditions["label"])
    wrong = dataclasses.replace(wrong, conditions={**wrong.conditions, "label": mixed})
    assert METRICS["label-agreement"](sides()).low > 0.8
    assert METRICS["label-agreement"](sides(wrong)).high < 0.5


def test_numbers_and_texts_asked_for_and_not_shown_are_seen():
    wrong = part(600, 2)
    order = np.random.default_rng(0).permutation(600)
    wrong = dataclasses.replace(wrong, conditions={name: v[order] for name, v in wrong.conditions.items()})
    for name in ("number-agreement", "text-agreement"):
        right, mixed = METRICS[name](sides()), METRICS[name](sides(wrong))
        assert right.low > 0.6 and mixed.value < right.value - 4 * right.error


def test_frechet_equals_the_textbook_with_a_general_square_root():
    generator = np.random.default_rng(0)
    one, two = (generator.normal(size=(400, 20)) @ generator.normal(size=(20, 20)) for _ in range(2))
    a, b = np.cov(one.T), np.cov(two.T)
    root = scipy.linalg.sqrtm(a @ b)
    expected = ((one.mean(0) - two.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root.real)
    assert frechet(one.mean(0), a, two.mean(0), b) == pytest.approx(expected, rel=1e-8)


def test_the_published_distance_is_the_plain_one_and_needs_a_network():
    generator = np.random.default_rng(1)
    real, made = generator.normal(size=(500, 30)) + 100, generator.normal(size=(400, 30)) * 1.1 + 100
    both = Sides(Part(real), Part(made), whole=True)
    expected = frechet(real.mean(0), np.cov(real.T), made.mean(0), np.cov(made.T))
    assert METRICS["published-distance"](both).value == pytest.approx(expected, rel=1e-9)
    with pytest.raises(Unmeasured, match="network"):
        METRICS["published-distance"](dataclasses.replace(both, whole=False))


def test_the_distance_without_its_bias_is_near_the_truth_where_the_plain_one_is_not():
    generator = np.random.default_rng(3)
    values, plain = [], []
    for _ in range(8):
        real, made = generator.normal(size=(1500, 30)), generator.normal(size=(400, 30))
        made[:, 0] += 0.5  # the truth is .25
        values.append(METRICS["distance"](Sides(Part(real), Part(made))).value)
        plain.append(frechet(real.mean(0), np.cov(real.T), made.mean(0), np.cov(made.T)))
    assert np.mean(values) == pytest.approx(0.25, abs=0.06) and np.mean(plain) > 0.6


def test_the_kernel_distance_equals_the_sum_over_all_pairs():
    generator = np.random.default_rng(0)
    real, made = generator.normal(size=(60, 5)), generator.normal(size=(40, 5)) + 0.3
    k = lambda x, y: (x @ y / 5 + 1) ** 3  # noqa: E731
    one = np.mean([k(real[i], real[j]) for i in range(60) for j in range(60) if i != j])
    two = np.mean([k(made[i], made[j]) for i in range(40) for j in range(40) if i != j])
    both = np.mean([k(x, y) for x in real for y in made])
    assert kernel_distance_of(real, made) == pytest.approx(one + two - 2 * both, rel=1e-9)
    estimate = METRICS["kernel-distance"](Sides(Part(real), Part(made)))
    assert estimate.value == pytest.approx(one + two - 2 * both, rel=1e-9)


def test_precision_recall_density_and_coverage_equal_a_slow_count():
    real, made = part(150, 1).rows, part(120, 2, shift=0.4).rows
    apart = lambda a, b: np.linalg.norm(a[:, None] - b[None], axis=2)  # noqa: E731
    reach = lambda a: np.sort(apart(a, a) + np.diag(np.full(len(a), np.inf)), axis=1)[:, NEIGHBOURS - 1]  # noqa: E731
    across, of_real, of_made = apart(made, real), reach(real), reach(made)
    both = Sides(Part(real), Part(made))
    assert METRICS["precision"](both).value == pytest.approx((across <= of_real).any(1).mean(), abs=1e-12)
    assert METRICS["recall"](both).value == pytest.approx((across <= of_made[:, None]).any(0).mean(), abs=1e-12)
    assert METRICS["density"](both).value == pytest.approx((across <= of_real).sum(1).mean() / NEIGHBOURS, abs=1e-12)
    assert METRICS["coverage"](both).value == pytest.approx((across <= of_real).any(0).mean(), abs=1e-12)


@pytest.mark.parametrize("name", ["distance", "kernel-distance", "spread"])
def test_ninety_per_cent_intervals_hold_the_truth_about_as_often(name):
    """A tenth of what benchmarks/intervals.py counts."""
    truth = {"distance": 4 * 0.3**2 + 8 * 0.2**2, "spread": np.sqrt((4 + 8 * 0.8**2) / 12)}
    hits, values = [], []
    for trial in range(100):
        generator = np.random.default_rng([5, trial])
        real, made = generator.normal(size=(900, 12)), generator.normal(size=(600, 12))
        made[:, :4] += 0.3
        made[:, 4:] *= 0.8
        values.append(METRICS[name](Sides(Part(real), Part(made))))
    truth.setdefault("kernel-distance", float(np.mean([value.value for value in values])))
    hits = [value.low <= truth[name] <= value.high for value in values]
    assert 82 <= sum(hits) <= 99


def test_groups_are_equal_and_steady():
    groups = groups_of(105)
    assert set(np.bincount(groups, minlength=GROUPS)) == {5, 6}
    assert (groups == groups_of(105)).all()


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=2000)
    groups = groups_of(2000)
    estimate = jackknife(values.mean(), np.array([values[groups != g].mean() for g in range(GROUPS)]))
    assert estimate.error == pytest.approx(1 / np.sqrt(2000), rel=0.5)
    assert estimate.value == pytest.approx(values.mean())


def test_looks_follow_what_is_done_to_images():
    generator = np.random.default_rng(0)
    rows, columns = np.indices((32, 32))
    image = (128 + 60 * np.sin(columns / 3)[None, :, :, None] + generator.normal(0, 8, (40, 32, 32, 3))).clip(0, 255)
    plain = looks(image.astype(np.uint8))
    assert set(plain) == set(LOOKS)
    dark = looks((image * 0.5).astype(np.uint8))
    assert dark["brightness"].mean() == pytest.approx(plain["brightness"].mean() / 2, rel=0.02)
    assert dark["contrast"].mean() == pytest.approx(plain["contrast"].mean() / 2, rel=0.02)
    grid = (image + 30 * ((rows + columns) % 2)[None, :, :, None]).clip(0, 255).astype(np.uint8)
    assert looks(grid)["checkerboard"].mean() > plain["checkerboard"].mean() + 1
    assert looks(grid)["sharpness"].mean() > plain["sharpness"].mean()
    grey = np.repeat(image.mean(3, keepdims=True), 3, axis=3).astype(np.uint8)
    assert looks(grey)["saturation"].max() == 0


def test_what_nobody_sees_has_no_looks():
    image = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 4), dtype=np.uint8)
    image[..., 3] = 0
    assert all(np.abs(looks(image)[name]).max() < 1e-6 for name in ("brightness", "contrast", "saturation"))


@dataclasses.dataclass
class Known:
    """As much of a reference as the judgement looks at."""

    train: Part
    held: Part | None
    anchors: dict
    dataset: object
    space: object

    @classmethod
    def make(cls):
        dataset = type("D", (), {"spec": type("S", (), {"conditions": (LABEL,)})()})()
        anchors = {"held-out": part(500, 3), "noised": part(400, 4, shift=0.8)}
        return cls(part(800, 1), part(500, 3), anchors, dataset, Space.fit(part(100, 1).rows))


def test_a_judgement_has_measures_anchors_labels_and_a_grade():
    *names, judgement = judge(Known.make(), part(600, 2))
    assert set(names) == set(METRICS)
    distance = judgement.measures["distance"]
    assert distance.anchors["noised"] > 10 * abs(distance.anchors["held-out"])
    assert set(judgement.labels) == {"a", "b", "c"}
    assert grade(judgement).word == "very good"
    *_, bad = judge(Known.make(), part(600, 2, shift=1.5))
    assert grade(bad).word in ("weak", "poor")
    assert judgement.headline == "distance"


def test_few_images_are_judged_by_what_is_honest_for_few():
    *_, judgement = judge(Known.make(), part(60, 2))
    assert judgement.headline == "kernel-distance" and "distance" in judgement.unmeasured


def test_images_off_the_mark_are_least_real():
    made = part(200, 2)
    made.rows[:5] += 20
    order = np.argsort(realism(part(800, 1), made))
    assert set(order[:5]) == set(range(5))
