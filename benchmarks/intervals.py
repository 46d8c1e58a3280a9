"""How often the judge's 90 % intervals hold the truth, on normal distributions whose distance is known.

python benchmarks/intervals.py [--trials 1000] [--quick]
"""

from __future__ import annotations

import argparse

import numpy as np

from maquette.judge.metric import Part, Sides, all_metrics

WIDTH = 12
REAL, MADE = 900, 600


def pair(trial):
    """Real and made rows: four directions moved by .3, the other eight narrowed to .8."""
    generator = np.random.default_rng([5, trial])
    real, made = generator.normal(size=(REAL, WIDTH)), generator.normal(size=(MADE, WIDTH))
    made[:, :4] += 0.3
    made[:, 4:] *= 0.8
    return Sides(Part(real), Part(made))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--quick", action="store_true")
    request = parser.parse_args()
    trials = 100 if request.quick else request.trials
    truths = {"distance": 4 * 0.3**2 + 8 * 0.2**2, "spread": float(np.sqrt((4 + 8 * 0.8**2) / 12))}
    for name in ("distance", "spread", "kernel-distance"):
        found = [all_metrics()[name](pair(trial)) for trial in range(trials)]
        # The kernel distance is unbiased: the mean of all trials stands for its truth.
        truth = truths.get(name, float(np.mean([estimate.value for estimate in found])))
        held = sum(estimate.low <= truth <= estimate.high for estimate in found)
        print(f"{name}: truth {truth:.4f}, mean {np.mean([e.value for e in found]):.4f}, held {held} of {trials}")


if __name__ == "__main__":
    main()
