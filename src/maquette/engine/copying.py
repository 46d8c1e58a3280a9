"""Does a model that has just learned give its training images back? A few images of it, compared with what it saw."""

from __future__ import annotations

from maquette.core.condition import FLAT
from maquette.data.dataset import Dataset
from maquette.engine.judging import Drawn, draw_many
from maquette.engine.table import condition_table
from maquette.families.family import Family, Samples
from maquette.judge.copies import FEWEST_HELD, PLAINLY_SAME, Finder, share_of, threshold_of
from maquette.judge.evidence import Chosen, pick
from maquette.judge.originality import structures_of
from maquette.store.run import Run

COUNT = 128
"""Images drawn."""
TRAIN, HELD = 5_000, 500
"""Training and held-out images that are compared at most."""
SEED = 3_000_000
FEW = 0.03
"""The share of copies below which nothing is said."""


def copies_warning(run: Run, dataset: Dataset, model: Family) -> str:
    """What to tell the person when plainly more images are copies than chance explains; empty when all is well.

    Where enough images are held out, a copy is nearer to a training image than one in two hundred of them is; else it
    is plainly the same picture.
    """
    if not isinstance(model, Samples) or any(c.kind not in FLAT for c in model.made(model.Options()).conditions):
        return ""
    if model.least == 1:
        return ""  # it is meant to go on with what one image shows
    *_, drawn = draw_many(model, condition_table(run, model.spec), COUNT, SEED)
    assert isinstance(drawn, Drawn)
    finder = Finder(structures_of(Chosen(dataset, pick(dataset.indices("train"), TRAIN, seed=8))))
    held_out = dataset.indices("held-out")
    threshold, expected, honest = PLAINLY_SAME, 0.0, ""
    if len(held_out) >= FEWEST_HELD:
        held = finder(structures_of(Chosen(dataset, pick(held_out, HELD, seed=9))))
        threshold = threshold_of(held)
        expected = float((held.likeness > threshold).mean())
        honest = f"; of held-out images {expected:.1%} are"
    flagged = finder(structures_of(drawn.pictures)).likeness > threshold
    share = share_of(flagged)
    if share.low <= max(expected, FEW):
        return ""
    return (
        f"{int(flagged.sum())} of {COUNT} made images are all but copies of training images ({share.value:.0%}, "
        f"{share.low:.0%} to {share.high:.0%}{honest}): more images, or a shorter training, help against it; "
        "`maquette evaluate` shows them"
    )
