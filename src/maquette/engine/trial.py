"""Whether made images help to learn: classifiers that learned in different ways, all tested on the same real images.

    real       from the real images as they are
    repeated   the images of rare labels are repeated until all labels are as frequent, which costs nothing
    made       the rare labels are filled up with made images instead

Every way has the same network, the same seed and sees as many images, so that the difference of two ways in one seed is
due to what they learned from. Labels count equally (balanced accuracy): whoever calls everything usual reaches half.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.errors import DataError
from maquette.core.noise import uniform
from maquette.core.spec import DataSpec
from maquette.data.dataset import Dataset
from maquette.data.loader import Loader
from maquette.data.memory import Memory
from maquette.engine.load import build, default_config
from maquette.engine.plan import Plan, threads
from maquette.engine.trainer import Trainer
from maquette.families.family import Family, Predicts
from maquette.judge.interval import Estimate, over_seeds
from maquette.nn.pixels import to_tensor

WAYS = ("real", "repeated", "made")
FEWEST = 5
"""Real images of a label, to learn from and to test with, below which nothing can be said of it."""
TESTED = 4_000
"""Real images that are tested with, at most."""
WARM_UP, MEASURED = 3, 12
"""Steps before the clock counts, and steps that it counts."""


@dataclass(frozen=True)
class Labelled:
    """Images (N H W C) and the label of each, as a number."""

    images: NDArray[Any]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, label: int) -> NDArray[np.int64]:
        """Which of them have this label."""
        return np.flatnonzero(self.labels == label).astype(np.int64)

    def take(self, rows: NDArray[np.int64]) -> Labelled:
        """Some of them."""
        return Labelled(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Learner:
    """What learns: a classifier of this form, for so many images seen."""

    spec: DataSpec
    """Its only condition is the label."""
    family: str
    """A family that says which label an image has."""
    seen: int
    scale: str = "nano"
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """What one classifier reached."""

    way: str
    seed: int
    recalls: tuple[float, ...]
    """Of the test images of each label, the share that is recognised."""

    @property
    def balanced(self) -> float:
        """Balanced accuracy: the mean over labels."""
        return float(np.mean(self.recalls))


@dataclass(frozen=True)
class Gone:
    """How far a trial is: classifiers done, of how many, and what the last one reached (None while it learns)."""

    done: float
    total: int
    score: Score | None = None


@dataclass(frozen=True)
class Verdict:
    """All scores of a trial, and what follows."""

    scores: tuple[Score, ...]
    classes: tuple[str, ...]
    tested: int

    def of(self, way: str) -> list[float]:
        """The balanced accuracies of a way, by seed."""
        return [score.balanced for score in sorted(self.scores, key=lambda one: one.seed) if score.way == way]

    def recall(self, way: str, label: str) -> float:
        """The share of a label's test images that is recognised, over all seeds."""
        place = self.classes.index(label)
        return float(np.mean([score.recalls[place] for score in self.scores if score.way == way]))

    def gain(self, way: str = "made", beside: str = "real") -> Estimate:
        """By how much one way is better than another: the mean over seeds, with its interval."""
        return over_seeds([one - two for one, two in zip(self.of(way), self.of(beside), strict=True)])

    def sentence(self) -> str:
        """The answer in words: the honest one where made images do not help."""
        plain, fair = self.gain(), self.gain("made", "repeated")
        said = (
            f"{plain.value:+.3f} balanced accuracy beside the real images alone [{plain.low:+.3f}, {plain.high:+.3f}]"
        )
        rest = f"{fair.value:+.3f} beside repeating rare images [{fair.low:+.3f}, {fair.high:+.3f}]"
        if fair.low > 0 and plain.low > 0:
            word = "The made images help"
        elif plain.high < 0:
            word = "The made images do harm: do not learn from them"
        elif plain.low > 0 and fair.high >= 0:
            word = "Balancing helps, but it is not shown that made images balance better than repeated ones"
        elif plain.low > 0:
            word = "Balancing helps, and repeating the real images does it better than the made ones"
        else:
            word = "It is not shown that the made images help"
        return f"{word}: {said}, {rest} (nine times in ten, {len(self.of('made'))} seeds)"

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {
            "says": self.sentence(), "tested": self.tested, "classes": list(self.classes),
            "balanced_accuracy": {way: self.of(way) for way in WAYS},
            "recall": {way: {label: self.recall(way, label) for label in self.classes} for way in WAYS},
            "gain": vars(self.gain()), "gain_beside_repeated": vars(self.gain("made", "repeated")),
        }  # fmt: skip


def labelled(data: Dataset, part: Any, name: str, most: int | None = None) -> Labelled:
    """The images of a part whose label is known, evenly chosen where they are more than `most`."""
    rows = data.indices(part)
    known = data.conditions(rows, [name])[name].reshape(-1).astype(np.int64)
    rows, known = rows[known >= 0], known[known >= 0]
    if most is not None and len(rows) > most:
        some = np.linspace(0, len(rows) - 1, most).astype(np.int64)
        rows, known = rows[some], known[some]
    return Labelled(data.images(rows), known)


def learner_of(data: Dataset, name: str, family: str, seen: int, **changes: Any) -> Learner:
    """The classifier for images of a dataset."""
    spec = dataclasses.replace(data.spec, conditions=(data.spec.condition(name),))
    return Learner(spec, family, seen, changes=changes)


def check(real: Labelled, test: Labelled, classes: Sequence[str]) -> None:
    """Refuse what no trial can answer, with a sentence that says what is missing."""
    if not classes:
        raise DataError(
            "the images have no label, so there is nothing to tell apart", do="put them into one folder a label"
        )
    if len(classes) < 2:
        only = f"{classes[0]!r}"
        raise DataError(
            f"there is one label only ({only}), and telling labels apart needs two or more",
            do="put the images into one folder a label",
        )
    more = "add images of it, or join it with another label"
    for part, what, do in ((real, "to learn from", more), (test, "held out", f"{more}, or hold more out (--held-out)")):
        for number, name in enumerate(classes):
            if (count := len(part.of(number))) < FEWEST:
                raise DataError(
                    f"the label {name!r} has {count} image{'' if count == 1 else 's'} {what}, and fewer than {FEWEST} "
                    "say nothing", do=do,
                )  # fmt: skip


def missing(real: Labelled, classes: int) -> list[int]:
    """How many images each label lacks to be as frequent as the most frequent one."""
    counts = [len(real.of(label)) for label in range(classes)]
    return [max(counts) - count for count in counts]


def mixture(real: Labelled, made: Labelled, way: str, seed: int, classes: int, share: float = 1.0) -> Labelled:
    """What is learned from: `share` of what a label lacks is filled with made images, the rest with repeated ones."""
    rows = [np.arange(len(real))]
    extra: list[NDArray[np.int64]] = []
    for label, lack in enumerate(missing(real, classes)):
        own, others = real.of(label), made.of(label)
        filled = round(lack * share) if way == "made" and len(others) else 0
        if way != "real":
            rows.append(_cycled(own, lack - filled, seed, f"repeated {label}"))
        extra.append(_cycled(others, filled, seed, f"made {label}"))
    chosen, added = np.concatenate(rows), np.concatenate(extra)
    if not len(added):
        return real.take(chosen)
    images = np.concatenate([real.images[chosen], made.images[added]])
    return Labelled(images, np.concatenate([real.labels[chosen], made.labels[added]]))


def _cycled(rows: NDArray[np.int64], count: int, seed: int, name: str) -> NDArray[np.int64]:
    """`count` of the rows in an order of their own for each seed, again and again where there are fewer."""
    order = rows[np.argsort(uniform(seed, name, len(rows)), kind="stable")]
    return np.resize(order, count) if count else order[:0]


def seen_in(real: Labelled, learner: Learner, seconds: float) -> int:
    """How many images the classifier can see in so many seconds on this machine."""
    trainer = _trainer(real, learner, 0)
    with threads(trainer.plan.threads):
        for _ in range(WARM_UP):
            trainer.step(0.0)
        began = time.perf_counter()
        for _ in range(MEASURED):
            trainer.step(0.0)
    return max(1, round(MEASURED * trainer.plan.batch / (time.perf_counter() - began) * seconds))


def trial(
    real: Labelled,
    made: Labelled,
    test: Labelled,
    learner: Learner,
    seeds: Sequence[int],
    *,
    ways: Sequence[str] = WAYS,
    share: float = 1.0,
) -> Generator[Gone, None, Verdict]:
    """Teach one classifier a seed and way, and test it."""
    label = learner.spec.conditions[0]
    check(real, test, label.classes)
    total = len(seeds) * len(ways)
    scores: list[Score] = []
    for seed in seeds:
        for way in ways:
            mixed = mixture(real, made, way, seed, len(label.classes), share)
            done = len(scores)
            model = None
            for step in taught(mixed, learner, seed):
                if isinstance(step, Family):
                    model = step
                else:
                    yield Gone(done + step, total)
            assert model is not None
            answers = answered(model, test.images)
            recalls = tuple(float((answers[test.of(k)] == k).mean()) for k in range(len(label.classes)))
            scores.append(Score(way, seed, recalls))
            yield Gone(len(scores), total, scores[-1])
    return Verdict(tuple(scores), tuple(label.classes), len(test))


def taught(mixed: Labelled, learner: Learner, seed: int) -> Generator[float | Family, None, None]:
    """A classifier that has learned: yields its progress from 0 to 1, and the model last."""
    trainer = _trainer(mixed, learner, seed)
    while trainer.images < trainer.plan.images:
        with threads(trainer.plan.threads):
            trainer.step(trainer.images / trainer.plan.images)
        yield min(1.0, trainer.images / trainer.plan.images)
    yield trainer.model()


def _trainer(mixed: Labelled, learner: Learner, seed: int) -> Trainer:
    label = learner.spec.conditions[0]
    config = default_config(learner.family, learner.scale, learner.spec, learner.changes)  # type: ignore[arg-type]
    encoded = {label.name: mixed.labels.astype(label.dtype).reshape(len(mixed), *label.shape(0, 0))}
    loader = Loader(Memory(mixed.images, encoded), "train", [label.name], seed)
    plan = Plan(images=learner.seen, seed=seed, batch=config.batch, threads=torch.get_num_threads())
    return Trainer(build(learner.family, config, learner.spec, {}, seed), loader, plan)


def answered(model: Family, images: NDArray[Any]) -> NDArray[np.int64]:
    """The most probable label of every image, as a number."""
    assert isinstance(model, Predicts)
    found = []
    with torch.inference_mode():
        for start in range(0, len(images), 256):
            found.append(model.predict(to_tensor(images[start : start + 256], model.spec.mode)).argmax(1).numpy())
    return np.concatenate(found).astype(np.int64)
