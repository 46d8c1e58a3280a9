"""Which of several models is better, and whether that is sure: differences with intervals, not figures side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from maquette.judge.interval import Estimate, jackknife
from maquette.judge.metric import Part
from maquette.judge.metrics.fidelity import FEWEST, distances, kernel_distances


@dataclass(frozen=True)
class Standing:
    """One entrant: its distance, and how much farther it is than the best one."""

    name: str
    value: Estimate
    behind: Estimate
    """The difference to the best; both are measured on the same images, so it is surer than the two distances are."""

    @property
    def is_worse(self) -> bool:
        """Whether it is surely behind the best one."""
        return self.behind.low > 0


def contest(real: Part, made: Mapping[str, Part]) -> tuple[str, list[Standing]]:
    """The measure that was used, and the entrants, best first."""
    enough = max(FEWEST, 3 * real.rows.shape[1])
    measure, bias = ("distance", True) if all(len(part) >= enough for part in (real, *made.values())) else (
        "kernel-distance", False,
    )  # fmt: skip
    if measure == "distance":
        values = {name: distances(real.rows, part.rows) for name, part in made.items()}
    else:
        values = {name: kernel_distances(real, part) for name, part in made.items()}
    estimates = {name: jackknife(whole, without, bias=bias) for name, (whole, without) in values.items()}
    order = sorted(estimates, key=lambda name: estimates[name].value)
    best_whole, best_without = values[order[0]]
    standings = []
    for name in order:
        whole, without = values[name]
        behind = jackknife(whole - best_whole, np.asarray(without - best_without), bias=bias)
        standings.append(Standing(name, estimates[name], behind))
    return measure, standings
