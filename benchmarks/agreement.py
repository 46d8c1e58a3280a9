"""Does a model make what it is asked for? A classifier trained on real images judges 300 samples of asked labels.

    python benchmarks/agreement.py                          learns the starter set for two minutes, as the demo does
    python benchmarks/agreement.py DATASET RUN [--count 304] [--seed 0] [--set guidance=1.5]

Promised for the demo's model: at least 0.85. Prints the classifier's accuracy on held-out photographs (what agreement
could reach at best) and its agreement with the labels asked for, with a 95 % interval, over all labels and for each.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import maquette as mq
from maquette.core.settings import from_json, parse_pairs
from maquette.data.dataset import Dataset
from maquette.engine.load import load
from maquette.engine.sample import draw
from maquette.families.family import Family
from maquette.nn.pixels import to_tensor
from maquette.store.run import Run

PROMISED = 0.85


def classifier(channels: int, classes: int) -> nn.Sequential:
    """A small convolutional network that pools over the whole image."""
    widths = [channels, 32, 64, 96]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))


def fit(data: Dataset, name: str, steps: int, seed: int) -> nn.Sequential:
    """Train the classifier on the training part."""
    torch.manual_seed(seed)
    indices = data.indices("train")
    images = to_tensor(data.images(indices), data.spec.mode)
    labels = torch.from_numpy(data.conditions(indices, [name])[name].astype(np.int64))
    net = classifier(data.spec.channels, len(data.spec.condition(name).classes)).train()
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    for _ in range(steps):
        chosen = torch.randint(0, len(images), (64,))
        loss = F.cross_entropy(net(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


@torch.no_grad()
def says(net: nn.Module, images: Tensor) -> np.ndarray:
    """The label that the classifier sees in each image."""
    return np.asarray(net(images).argmax(dim=1).numpy())


def main() -> int:
    """Judge the model that was given, or the demo's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=304)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--set", nargs="*", default=[])
    words = parser.parse_args()
    if words.dataset is None or words.run is None:
        with tempfile.TemporaryDirectory() as folder:
            mq.ingest("starter", to=f"{folder}/starter.mq", size=32)
            run = mq.train(f"{folder}/starter.mq", to=f"{folder}/run", family="flow", time="2m", progress=True)
            words.set = words.set or ["guidance=1.5"]  # as the demo samples
            return judge(Dataset.open(f"{folder}/starter.mq"), load(run), words)
    return judge(Dataset.open(words.dataset), load(Run.open(words.run)), words)


def judge(data: Dataset, model: Family, words: argparse.Namespace) -> int:
    """Print accuracy on photographs and agreement on samples; 1 if a promise is broken."""
    name = next(c.name for c in model.spec.conditions if c.kind == "label")
    classes = model.spec.condition(name).classes
    net = fit(data, name, words.steps, words.seed)
    held = data.indices("held-out")
    known = data.conditions(held, [name])[name]
    accuracy = (says(net, to_tensor(data.images(held), data.spec.mode)) == known).mean()
    print(f"photographs held out: {accuracy:.3f} of {len(held)} recognised")
    asked = (np.arange(words.count) % len(classes)).astype(np.int32)
    seeds = range(words.seed, words.seed + words.count)
    options = from_json(model.Options, parse_pairs(words.set))
    made = np.concatenate(list(draw(model, seeds, {name: asked}, options)))
    agrees = says(net, to_tensor(made, data.spec.mode)) == asked
    mean = agrees.mean()
    z = 1.96  # Wilson's interval
    middle = (mean + z * z / (2 * words.count)) / (1 + z * z / words.count)
    half = z * np.sqrt(mean * (1 - mean) / words.count + z * z / (4 * words.count**2)) / (1 + z * z / words.count)
    print(f"samples: {mean:.3f} of {words.count} agree [{middle - half:.3f}, {middle + half:.3f}]")
    for number, label in enumerate(classes):
        print(f"  {label:12s} {agrees[asked == number].mean():.2f}")
    return 0 if mean >= PROMISED else 1


if __name__ == "__main__":
    sys.exit(main())
