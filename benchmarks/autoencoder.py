"""How well images come back: the autoencoder beside a textbook VQ-VAE, for the same seconds on the same machine.

python benchmarks/autoencoder.py DATASET --seconds 120 [--threads 1] [--scale nano] [--set KEY=VALUE ...]

Both have about 1,000 codes, one for each 4 x 4 pixels, and compute in bfloat16. Measured on held-out images, in
decibels over the range of a pixel, with how many of the codes are in use (transparent images: as they look over black
and over white, where alpha is above 0).
`--growth` prints the autoencoder's figures at a few moments of its run; `--revive` helps the textbook.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maquette.data.dataset import Dataset
from maquette.data.loader import Loader
from maquette.engine.load import build, default_config
from maquette.engine.plan import Plan
from maquette.engine.trainer import Trainer
from maquette.nn.pixels import to_tensor

MOST = 1000
"""Held-out images that are measured."""


class Residual(nn.Module):
    """Van den Oord and others' residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.work = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, width, 1)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """N width h w -> the same."""
        return x + self.work(x)


class TextbookVQVAE(nn.Module):
    """The model of "Neural discrete representation learning" (2017): a codebook with moving averages, squared error."""

    def __init__(
        self, channels: int, width: int = 128, size: int = 64, codes: int = 1000, *, revive: bool = False
    ) -> None:
        super().__init__()
        self.revive = revive
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width // 2, 4, 2, 1), nn.ReLU(), nn.Conv2d(width // 2, width, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), Residual(width), Residual(width), nn.ReLU(),
            nn.Conv2d(width, size, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(size, width, 3, padding=1), Residual(width), Residual(width), nn.ReLU(),
            nn.ConvTranspose2d(width, width // 2, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(width // 2, channels, 4, 2, 1),
        )  # fmt: skip
        self.register_buffer("book", torch.randn(codes, size))
        self.register_buffer("begun", torch.tensor(False))
        self.register_buffer("count", torch.ones(codes))
        self.register_buffer("total", self.book.clone())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images that came back, the commitment loss, and the codes."""
        found = self.encoder(images).float()
        rows = found.permute(0, 2, 3, 1).flatten(0, 2)
        with torch.no_grad():
            if self.training and not self.begun:  # as is usual since: the first codes are what the encoder says first
                self.book.copy_(rows[torch.randint(len(rows), (len(self.book),))])
                self.total.copy_(self.book)
                self.begun.fill_(True)
            codes = (rows.square().sum(1, keepdim=True) - 2 * rows @ self.book.T + self.book.square().sum(1)).argmin(1)
            if self.training:
                hot = torch.bincount(codes, minlength=len(self.book)).float()
                self.count.lerp_(hot, 0.01)
                self.total.lerp_(torch.zeros_like(self.book).index_add_(0, codes, rows), 0.01)
                smooth = (self.count + 1e-5) / (self.count.sum() + 1e-5 * len(self.book)) * self.count.sum()
                self.book.copy_(self.total / smooth[:, None])
                if self.revive:  # codes that nothing takes begin anew at what the encoder says now
                    dead = (self.count < 0.05).nonzero().flatten()
                    self.book[dead] = self.total[dead] = rows[torch.randint(len(rows), (len(dead),))]
                    self.count[dead] = 1.0
        taken = self.book[codes].reshape(len(images), *found.shape[2:], -1).permute(0, 3, 1, 2)
        commitment = (found - taken).square().mean()
        made = self.decoder(found + (taken - found).detach())
        return made.float(), commitment, codes


def decibels(images: Tensor, back: Tensor) -> str:
    """The mean over images; of RGBA where alpha is above 0, as it looks over black and over white.

    Errors of colour show over both grounds, errors of alpha most over the one that the colour is far from. Colours
    divided by their alpha are said too, and are no measure: where alpha is 1 of 255, half a step of what is stored
    (54 dB, which nobody sees) becomes an error of 128 steps, so that 23 dB of them is the most that 8 bits allow.
    """
    if images.shape[1] < 4:
        return f"{_mean((back - images) / 2, torch.ones_like(images[:, :1])):.2f} dB"
    there = (images[:, 3:] > -1).float()

    def straight(some: Tensor) -> Tensor:
        alpha = ((some[:, 3:] + 1) / 2).clamp_min(1 / 255)
        return ((some[:, :3] + 1) / 2 / alpha).clamp(0, 1)

    error = (back - images) / 2
    black, white = _mean(error[:, :3], there), _mean(error[:, :3] - error[:, 3:], there)
    divided = _mean(straight(back) - straight(images), there)
    return f"{black:.2f} dB over black, {white:.2f} dB over white ({divided:.2f} dB of colours divided by alpha)"


def _mean(error: Tensor, there: Tensor) -> float:
    square = (error.square() * there).sum(dim=(1, 2, 3)) / (error.shape[1] * there.sum(dim=(1, 2, 3)))
    return float((-10 * square.log10()).mean())


@torch.inference_mode()
def measured(work: Callable[[Tensor], tuple[Tensor, Tensor]], held: Tensor, codes: int) -> str:
    """The figures of one model: how well images come back, and how many codes are in use."""
    found = [work(some) for some in held.split(100)]
    used = len(torch.unique(torch.cat([codes.flatten() for _, codes in found])))
    back = torch.cat([images for images, _ in found]).clamp(-1, 1)
    return f"{decibels(held, back)}, {used / codes:.1%} of the codes in use"


def main() -> None:
    """Train both for the same seconds and print the figures."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("dataset")
    words.add_argument("--seconds", type=float, default=120)
    words.add_argument("--threads", type=int, default=1)
    words.add_argument("--scale", default="nano")
    words.add_argument("--set", nargs="*", default=[])
    words.add_argument("--growth", action="store_true")
    words.add_argument("--revive", action="store_true", help="help the textbook: codes that nothing takes begin anew")
    words.add_argument("--alone", action="store_true", help="the autoencoder without the textbook's")
    asked = words.parse_args()
    torch.set_num_threads(asked.threads)
    dataset = Dataset.open(Path(asked.dataset))
    spec = dataclasses.replace(dataset.spec, conditions=())
    held = to_tensor(dataset.images(dataset.indices("held-out")[:MOST]), spec.mode)
    config = default_config("autoencoder", asked.scale, spec, dict(word.split("=") for word in asked.set))
    plan = Plan(batch=config.batch, precision="bfloat16", layout="channels_last", threads=asked.threads)
    trainer = Trainer(build("autoencoder", config, spec, {}, 0), Loader(dataset, "train", [], 0), plan)

    def show(name: str, seconds: float, images: int, figures: str) -> None:
        print(f"{name:12} {seconds:5.0f} s {images:8,} images {images / seconds:5.0f} a second  {figures}", flush=True)

    def figures() -> str:
        model = trainer.model()
        return measured(lambda some: (model.predict(some), model.to_tokens(some)), held, config.codes)

    form = f"{spec.width}x{spec.height} {spec.mode}"
    print(f"{len(held)} held-out images of {dataset.name}, {form}; {asked.threads} threads")
    began, paused, marks = time.perf_counter(), 0.0, [0.1, 0.2, 0.4, 0.6, 0.8] if asked.growth else []
    while (spent := time.perf_counter() - began - paused) < asked.seconds:
        trainer.step(spent / asked.seconds)
        if marks and spent / asked.seconds >= marks[0]:
            before = time.perf_counter()
            show("autoencoder", spent, trainer.images, figures())
            paused += time.perf_counter() - before
            marks.pop(0)
    show("autoencoder", asked.seconds, trainer.images, figures())
    if asked.alone:
        return

    torch.manual_seed(0)
    model = TextbookVQVAE(spec.channels, revive=asked.revive).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    began, images = time.perf_counter(), 0
    while time.perf_counter() - began < asked.seconds:
        (batch,) = trainer.batches(images, config.batch)
        with torch.autocast("cpu", torch.bfloat16):
            made, commitment, _ = model(batch.images)
        optimizer.zero_grad()
        (F.mse_loss(made, batch.images) / 0.24 + 0.25 * commitment).backward()  # 0.24: the variance of CIFAR's pixels
        optimizer.step()
        images += config.batch
    model.eval()
    show("VQ-VAE", asked.seconds, images, measured(lambda some: model(some)[::2], held, 1000))


if __name__ == "__main__":
    main()
