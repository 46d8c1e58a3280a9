"""Directions from ten examples of each side: does the one thing change, and does the rest stay?

    python benchmarks/edit_purity.py RUN [--examples 10] [--seeds 200] [--to FOLDER]

RUN is a model of drawn facades (`maquette ingest drawn:facades`) that learned without conditions (`--given none`).
Five facts of a facade are drawn independently of each other: the colours of sky, ground, wall and roof, and whether
windows are lit (`benchmarks/facade_facts.py` reads them back from pixels). From each value of a fact to the next one a
direction is found from examples of both, as `maquette edit find --like FOLDER --unlike FOLDER` does. Images of seeds
that have the first value are moved along it by as little as changes it to the second; the checker then says which of
the four other facts are as they were. Only images of which it is sure count. Values that the model hardly ever makes
are told apart: no direction can lead there.
Promised: changed .9 and kept .9.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from facade_facts import COLOURS, FACTS, read_facade

from maquette.core.image import save, sheet
from maquette.engine.latent.directions import Direction, held, moved, scaled, towards, where_of
from maquette.engine.latent.encoder import dataset_of
from maquette.engine.latent.latents import Found, Latents
from maquette.engine.load import load
from maquette.judge.evidence import pick
from maquette.store.run import Run

AMOUNTS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
SURE = 0.25
SELDOM = 0.03
"""Of the images that are sure, so few with a value are hardly any."""
PROMISED = 0.9


def table(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """N x facts: what each image shows, and how sure that is."""
    read = [read_facade(image) for image in images]
    return tuple(np.array([[part[fact] for fact in FACTS] for part in parts]) for parts in (
        [one.values for one in read], [one.sure for one in read]))  # type: ignore[return-value]  # fmt: skip


def main() -> int:
    """1 where a promise is not kept."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("run", type=Path)
    reader.add_argument("--examples", type=int, default=10)
    reader.add_argument("--hold", choices=("yes", "no"), default="yes")
    reader.add_argument("--each", type=int, default=24, help="images that each direction is tried on, at most")
    reader.add_argument("--seeds", type=int, default=200)
    reader.add_argument("--only", choices=FACTS)
    reader.add_argument("--to", type=Path)
    asked = reader.parse_args()
    run = Run.open(asked.run)
    model, data = load(run), dataset_of(run)
    if data is None:
        raise SystemExit("the dataset of the run is not there")
    on = Latents(model)
    train = pick(data.indices("train"), 2_000, seed=7)
    images = data.images(train)
    facts, _ = table(images)
    seeds = on.of_seeds(range(asked.seeds), {})
    made = on.images(seeds)
    before, sure = table(made)
    whole = (sure > SURE).all(axis=1)
    print(f"{run.facts['family']}: {whole.sum()} of {len(made)} images are sure in all five facts", flush=True)
    changed_all, kept_all, tiles = [], [], []
    usual, rare = [], 0
    for column, fact in enumerate(FACTS):
        if asked.only not in (None, fact):
            continue
        for value in range(len(COLOURS[fact])):
            start, target = [value], (value + 1) % len(COLOURS[fact])
            sides = [images[np.isin(facts[:, column], side)][: asked.examples] for side in ([target], start)]
            *_, vector = towards(on, sides[0], sides[1], {}, {}, {})
            where = where_of(*sides) if asked.hold == "yes" else None
            direction = Direction(fact, scaled(on, vector, {}), "", where)
            rows = np.flatnonzero(whole & np.isin(before[:, column], start))[: asked.each]
            if not len(rows):
                continue
            part = Found(seeds.latents[rows], {})
            reached, kept = np.zeros(len(rows), bool), np.zeros((len(rows), len(FACTS) - 1), bool)
            others = [place for place in range(len(FACTS)) if place != column]
            best = made[rows].copy()
            for amount in AMOUNTS:
                left = np.flatnonzero(~reached)
                if not len(left):
                    break
                further = moved(replace(part, latents=part.latents[left]), [direction], [float(amount)])
                pictures = held(on, further, made[rows][left], [direction])
                now, _ = table(pictures)
                new = now[:, column] == target
                kept[left[new]] = (now[:, others] == before[rows][left][:, others])[new]
                reached[left[new]] = True
                best[left[new]] = pictures[new]
            share = reached.mean()
            seldom = min((before[whole][:, column] == one).mean() for one in (value, target)) < SELDOM
            rare += seldom
            if not seldom:
                usual.append((share, kept[reached].mean() if reached.any() else 0.0))
            changed_all.append(share)
            tiles += [image for pair in zip(made[rows][:6], best[:6], strict=True) for image in pair]
            if not reached.any():
                print(f"{fact} {value} to {target}: changed none of {len(rows)}", flush=True)
                continue
            stay = kept[reached].mean()
            each = " ".join(f"{FACTS[o]} {kept[reached][:, k].mean():.2f}" for k, o in enumerate(others))
            print(
                f"{fact} {value} to {target}: changed {share:.2f} of {len(rows)}, others kept {stay:.3f} ({each})",
                flush=True,
            )
            kept_all.append(stay)
    changed, kept_mean = float(np.mean(changed_all)), float(np.mean(kept_all))
    print(f"changed {changed:.3f}, others kept {kept_mean:.3f} in {len(changed_all)} directions")
    changed, kept_mean = (float(part) for part in np.mean(usual, axis=0))
    print(f"without {rare} from or to what it hardly makes: {changed:.3f} and {kept_mean:.3f} (promised {PROMISED})")
    if asked.to:
        asked.to.mkdir(parents=True, exist_ok=True)
        save(sheet(tiles, columns=12, scale=2), asked.to / f"{run.path.name}.png")
    return 0 if min(changed, kept_mean) >= PROMISED else 1


if __name__ == "__main__":
    sys.exit(main())
