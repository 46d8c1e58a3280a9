"""Does the judge put models in the order in which a classifier that was trained with labels puts them?

    python benchmarks/order.py DATASET --to FOLDER [--families gan,flow,autoencoder] [--time 8m] [--count 1000]
        [--seed 0] [--only models|classifier|report] [--also FOLDER...]

Each family learns once from the dataset, which has labels. Copies of its averaged weights are kept at four ages (after
a 20th, a 5th, half and all of its images), and each draws images: twelve models. A classifier learns the labels of the
same training images; the Frechet distance in the numbers that it decides by is what the judge's distance is compared
with.
Shown are both distances of every model, how often the nearest neighbour tells made from real, and the rank correlation
with the interval that holds nine of ten values when the models are drawn again. Promised: its lower end is at least .8.
What is in FOLDER already (images, classifier) is not made again. `--also` takes the models of other folders, made with
another `--seed`, into the report.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from maquette.core.settings import parse_seconds
from maquette.data.dataset import Dataset
from maquette.engine.judging import Drawn, draw_many
from maquette.engine.load import arrays, fill, load
from maquette.engine.start import Wish, start
from maquette.engine.table import condition_table
from maquette.engine.train import train
from maquette.features.cache import Cache
from maquette.judge.evidence import Looking, look, part, pick, refer
from maquette.judge.interval import jackknife
from maquette.judge.metric import Sides, all_metrics
from maquette.judge.metrics.fidelity import distances
from maquette.nn.pixels import to_tensor
from maquette.nn.views import jittered
from maquette.operations.evaluate import maker
from maquette.store.workspace import Workspace

AGES = (0.05, 0.2, 0.5, 1.0)
PROMISED = 0.8


def grow(dataset, family, asked):
    """Train once, keeping the averaged weights of each age, then draw images of them; goes on where it was ended."""
    if all((asked.to / f"{family}-{age}.npy").exists() for age in AGES):
        return
    wish = Wish(family=family, seconds=asked.time, scale=asked.scale, seed=asked.seed)
    session = start(dataset, asked.to / family, wish, probes=asked.to / "probes.json")
    file = lambda age, kind: asked.to / f"{family}-{age}.{kind}"  # noqa: E731
    for step in train(session.trainer, session.run, name=session.name):
        for age in AGES:
            if step.progress >= age and not file(age, "npz").exists():  # nothing is drawn yet: that would cost time
                np.savez(file(age, "npz"), **arrays(session.trainer.model().state_dict()))
                file(age, "txt").write_text(str(step.images))
    model = load(session.run)
    table = condition_table(session.run, model.spec)
    for age in AGES:
        if file(age, "npy").exists():
            continue
        with np.load(file(age, "npz"), allow_pickle=False) as weights:
            fill(model, weights)
        for drawn in draw_many(model, table, asked.count, 1_000_000):
            if isinstance(drawn, Drawn):
                np.save(file(age, "npy"), drawn.pictures)
        print(f"{family} after {file(age, 'txt').read_text()} images: {asked.count} drawn", flush=True)


def network(channels, classes):
    """A small convolutional network; all but its last layer gives 192 numbers an image."""
    widths, layers = (channels, 32, 64, 128, 192), []
    for (before, after), stride in zip(itertools.pairwise(widths), (1, 2, 2, 1), strict=True):
        layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))


def learn(dataset, asked):
    """The classifier, and which share of held-out images it knows."""
    label = next(spec for spec in dataset.spec.conditions if spec.kind == "label")
    torch.manual_seed(0)
    net = network(dataset.spec.channels, len(label.classes)).to(memory_format=torch.channels_last)

    def known(which):
        rows = dataset.indices(which)
        labels = dataset.conditions(rows, [label.name])[label.name].reshape(-1)
        return dataset.images(rows), torch.from_numpy(labels.astype(np.int64))

    file = asked.to / "classifier.npz"
    if file.exists():
        with np.load(file, allow_pickle=False) as state:
            net.load_state_dict({name: torch.from_numpy(state[name]) for name in state.files})
    else:
        images, labels = known("train")
        generator, optimizer = torch.Generator().manual_seed(0), torch.optim.AdamW(net.parameters(), 3e-3)
        began, done = time.perf_counter(), 0.0
        while (done := (time.perf_counter() - began) / asked.learn) < 1:
            optimizer.param_groups[0]["lr"] = 3e-3 * min(1, 10 * done) * (1 - done) + 1e-6
            chosen = torch.randint(len(images), (64,), generator=generator)
            batch = to_tensor(images[chosen.numpy()], dataset.spec.mode)
            batch = jittered(batch, generator, moved=0.125, mirrored=True).to(memory_format=torch.channels_last)
            loss = F.cross_entropy(net(batch), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        np.savez(file, **{name: value.numpy() for name, value in net.state_dict().items()})
    net.eval()
    images, labels = known("held-out")
    right = through(net, images[:3000], dataset.spec.mode).argmax(1) == labels[:3000].numpy()
    print(f"classifier: {right.mean():.3f} of held-out images known", flush=True)
    return net[:-1]


@torch.inference_mode()
def through(net, images, mode):
    """What the network says of images, read a block at a time."""
    starts = range(0, len(images), 250)
    return np.concatenate([net(to_tensor(np.array(images[k : k + 250]), mode)).numpy() for k in starts])


def place(values):
    """The rank of each; equal values share theirs."""
    values = np.asarray(values)
    below, same = values[None] < values[:, None], values[None] == values[:, None]
    return below.sum(1) + (same.sum(1) - 1) / 2


def rank_correlation(one, two):
    """Spearman's, with the interval that holds nine of ten values when the models are drawn again."""
    one, two, generator = np.asarray(one), np.asarray(two), np.random.default_rng(0)
    value = np.corrcoef(place(one), place(two))[0, 1]
    again = []
    while len(again) < 2000:
        chosen = generator.integers(0, len(one), len(one))
        if len(set(chosen)) > 3:
            again.append(np.corrcoef(place(one[chosen]), place(two[chosen]))[0, 1])
    return value, *np.quantile(again, [0.05, 0.95])


def report(dataset, net, asked):
    """Both distances of every model, and how well their orders agree."""
    cache = Cache(asked.to / "features")
    *_, make = maker(asked.features, Workspace(asked.to / "home"), dataset)
    for step in refer(dataset, make, cache):
        if not isinstance(step, Looking):
            reference = step
    real = dataset.images(pick(dataset.indices("train"), 10_000))
    mode = dataset.spec.mode
    real_rows = through(net, real, mode).astype(np.float64)
    held = dataset.images(pick(dataset.indices("held-out"), asked.count))

    def measured(name, images):
        for rows in look(reference.extractor, images, name):
            if not isinstance(rows, Looking):
                mine = part(reference.space, rows, None)
        sides = Sides(reference.train, mine)
        found = {name: all_metrics()[name](sides) for name in ("distance", "kernel-distance", "told-apart")}
        seen = distances(real_rows, through(net, images, mode).astype(np.float64))
        found["classifier"] = jackknife(*seen, bias=True)
        return found

    print("| model | images seen | distance | kernel distance | told apart | by the classifier |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = [("held-out images", "", measured("held-out", held))]
    for folder, family, age in itertools.product((asked.to, *asked.also), asked.families.split(","), AGES):
        if (file := folder / f"{family}-{age}.npy").exists():
            seen = f"{int(file.with_suffix('.txt').read_text()):,}"
            rows.append((f"{family}, {age:.0%}", seen, measured(file.stem, np.load(file, mmap_mode="c"))))
    for name, seen, found in rows:
        cells = [f"{value.value:.4g} [{value.low:.4g}, {value.high:.4g}]" for value in found.values()]
        print(f"| {name} | {seen} | " + " | ".join(cells) + " |")
    models = [found for _, _, found in rows[1:]]
    by_label = [found["classifier"].value for found in models]
    for name in ("distance", "kernel-distance", "told-apart"):
        value, low, high = rank_correlation([found[name].value for found in models], by_label)
        print(f"{name}: rank correlation {value:.2f} [{low:.2f}, {high:.2f}] over {len(models)} models")
        if name == "distance":
            kept = low >= PROMISED
    print(f"the promise is {'kept' if kept else 'NOT kept'}")
    return kept


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("dataset", type=Path)
    words.add_argument("--to", type=Path, required=True)
    words.add_argument("--families", default="gan,flow,autoencoder")
    words.add_argument("--time", default="8m", type=parse_seconds)
    words.add_argument("--scale", default="micro")
    words.add_argument("--learn", default="4m", type=parse_seconds, help="how long the classifier learns")
    words.add_argument("--count", type=int, default=1_000)
    words.add_argument("--also", nargs="*", type=Path, default=[], help="folders of other models for the report")
    words.add_argument("--seed", type=int, default=0, help="of the models")
    words.add_argument("--features", default="scattering")
    words.add_argument("--only", choices=("models", "classifier", "report"))
    asked = words.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    dataset = Dataset.open(asked.dataset)
    if asked.only in (None, "models"):
        for family in asked.families.split(","):
            grow(dataset, family, asked)
    if asked.only == "models":
        return 0
    net = learn(dataset, asked)
    return 0 if asked.only == "classifier" or report(dataset, net, asked) else 1


if __name__ == "__main__":
    raise SystemExit(main())
