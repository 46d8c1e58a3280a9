"""What a repair is worth: short runs with and without it, paired by seed, judged on clean held-out images.

Everything happens in a folder that is removed at the end; the dataset itself is not changed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Note, Progress
from maquette.judge.interval import STUDENT, Estimate, over_seeds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maquette.core.page import Section
    from maquette.data.audit.audit import Audit
    from maquette.data.audit.repair import Plan
    from maquette.data.dataset import Dataset
    from maquette.store.workspace import Workspace

SAMPLES = 512
"""Images that are made with each model."""
SHOWN = 16
FEWEST = 60
"""Clean held-out images below which nothing can be said."""
_TELL_EVERY = 1.0


@dataclass(frozen=True)
class WhatIf:
    """What both kinds of runs came to: one distance each a seed, and some of their images."""

    family: str
    images: int
    without: list[float]
    repaired: list[float]
    pictures: tuple[NDArray[Any], NDArray[Any]]

    @property
    def gain(self) -> Estimate:
        """By how much the repair brings made images nearer to clean real ones, as a share of the distance without."""
        shares = [(a - b) / a for a, b in zip(self.without, self.repaired, strict=True)]
        return over_seeds(shares)

    def sentence(self) -> str:
        """The answer in words."""
        gain = self.gain
        if gain.low > 0:
            word = f"The repair pays: made images are {gain.value:.0%} nearer to clean real ones"
        elif gain.high < 0:
            word = (
                f"The repair costs more than it brings: made images are {-gain.value:.0%} farther from clean real ones"
            )
        else:
            word = f"Runs as short as these cannot tell whether the repair pays ({gain.value:+.0%} nearer)"
        return (
            f"{word} (between {gain.low:+.0%} and {gain.high:+.0%}, nine times in ten; {len(self.without)} pairs of "
            f"runs of {self.images:,} images)"
        )

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {
            "family": self.family, "images_each": self.images, "measure": "kernel distance to clean held-out images",
            "without": self.without, "repaired": self.repaired, "gain": vars(self.gain), "says": self.sentence(),
        }  # fmt: skip

    def show(self, section: Section) -> None:
        """The answer on the page, with the runs as lines and images of both."""
        from maquette.core import plot
        from maquette.core.page import Picture

        section.text(f"{self.sentence()}.")
        bars = [
            plot.Bar(f"{name}, seed {seed}", value, tone="poor" if name == "as it is" else "good")
            for seed, pair in enumerate(zip(self.without, self.repaired, strict=True))
            for name, value in zip(("as it is", "repaired"), pair, strict=True)
        ]
        section.plot(plot.bars(bars, label="distances"), title="Distance of made images to clean held-out ones")
        for name, images in zip(
            ("Made after learning from the dataset as it is", "Made after the repair"), self.pictures, strict=True
        ):
            section.pictures([Picture(image) for image in images], title=name, side=64)
        section.text(
            "The runs are short, so the images are rough; what counts is the difference between the two.", soft=True
        )


def what_if(
    result: Audit, made: Plan, *, seconds: float, seeds: int, family: str, workspace: Workspace
) -> Generator[Event, None, WhatIf]:
    """Train `seeds` pairs of runs within about `seconds`, and compare what they make."""
    data = result.survey.data
    if seeds not in STUDENT:
        raise UsageError(f"{seeds} pairs of runs are not possible", do=f"give 2 to {max(STUDENT)}")
    if not made:
        raise DataError("there is nothing to repair, so there is nothing to compare", where=data.path)
    workspace.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="what-if-", dir=workspace.home) as temporary:
        folder = Path(temporary)
        better = _repaired(result, made, folder / "repaired.mq")
        held = better.indices("held-out")
        if len(held) < FEWEST:
            raise DataError(
                f"{len(held)} clean held-out images are too few to compare by (at least {FEWEST})",
                where=data.path, do="ingest with a larger --held-out",
            )  # fmt: skip
        judged = _Judged(better)
        without: list[float] = []
        repaired: list[float] = []
        pictures: list[NDArray[Any]] = []
        each = seconds / (2 * seeds)
        images: int | None = None
        began = time.monotonic()
        for seed in range(seeds):
            for kind, dataset, distances in (("as it is", data, without), ("repaired", better, repaired)):
                run = _Run(dataset, folder / f"{kind}-{seed}", family, seed, workspace)
                done = 2 * seed + (kind == "repaired")
                yield from run.train(each, images, lambda share, done=done: _progress(began, done + share, 2 * seeds))
                images = run.images
                some = run.sample()
                distances.append(judged.distance(some))
                if seed == 0:
                    pictures.append(some[:SHOWN])
                yield Note(text=f"{kind}, seed {seed}: distance {distances[-1]:.4g} after {images:,} images")
        assert images is not None
        return WhatIf(family, images, without, repaired, (pictures[0], pictures[1]))


def _progress(began: float, done: float, total: int) -> Progress:
    seconds = time.monotonic() - began
    eta = seconds * (total - done) / done if done > 0 else None
    return Progress(verb="audit", done=int(done), total=total, unit="runs", seconds=seconds, eta=eta)


class _Run:
    """One short run, and the images it ends with."""

    def __init__(self, dataset: Dataset, to: Path, family: str, seed: int, workspace: Workspace) -> None:
        self._dataset, self._to, self._family, self._seed = dataset, to, family, seed
        self._probes = workspace.home / "probes.json"
        self.images = 0
        self._model: Any = None

    def train(self, seconds: float, images: int | None, progress: Any) -> Iterator[Event]:
        """For the time, or for as many images as the first run has seen: then both have learned equally long."""
        from maquette.engine.start import Wish, start
        from maquette.engine.train import train

        wish = Wish(
            family=self._family, seed=self._seed, images=images, seconds=None if images else seconds, scale="micro",
            given=(),
        )  # fmt: skip
        session = start(self._dataset, self._to, wish, probes=self._probes)
        told = time.monotonic()
        with contextlib.closing(train(session.trainer, session.run, name=session.name, every=600.0)) as steps:
            for step in steps:
                if time.monotonic() - told > _TELL_EVERY:
                    told = time.monotonic()
                    yield progress(step.progress)
        self.images = session.trainer.images
        self._model = session.load_model()

    def sample(self) -> NDArray[Any]:
        """Images of fixed seeds."""
        import numpy as np

        from maquette.engine.sample import draw

        return np.concatenate(list(draw(self._model, range(SAMPLES), {})))


class _Judged:
    """The clean images as the judge sees them."""

    def __init__(self, data: Dataset) -> None:
        import numpy as np

        from maquette.features.extractors.scattering import Scattering
        from maquette.features.space import Space
        from maquette.judge.metric import Part

        self._extractor = Scattering()
        train = data.indices("train")
        some = train[:: max(1, -(-len(train) // 4000))]
        self._space = Space.fit(self._rows(data.images(some)))
        self._held = Part(self._space(self._rows(data.images(data.indices("held-out")[:2000]))))
        assert np.isfinite(self._held.rows).all()

    def _rows(self, images: NDArray[Any]) -> NDArray[np.float32]:
        from maquette.features.extractor import extract, stack

        return stack(list(extract(self._extractor, images)))

    def distance(self, images: NDArray[Any]) -> float:
        """The kernel distance of these images to the clean held-out ones."""
        from maquette.judge.metric import Part, Sides
        from maquette.judge.metrics.fidelity import kernel_distance

        return kernel_distance(Sides(self._held, Part(self._space(self._rows(images))))).value


def _repaired(result: Audit, made: Plan, to: Path) -> Dataset:
    """The repaired dataset at another place. Files are linked where the system can, for none of them ever changes."""
    import dataclasses

    from maquette.data.audit.repair import repair
    from maquette.data.dataset import Dataset

    data = result.survey.data
    for file in sorted(data.path.rglob("*")):
        if file.is_file() and file.name not in (".lock", "audit.json", "dataset.json"):
            there = to / file.relative_to(data.path)
            there.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file, there)
            except OSError:
                shutil.copyfile(file, there)
    shutil.copyfile(data.path / "dataset.json", to / "dataset.json")
    survey = result.survey.of(Dataset.open(to))
    return repair(dataclasses.replace(result, survey=survey), made)
