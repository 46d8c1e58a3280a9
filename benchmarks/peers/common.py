"""What the peers of the board share: images in, minutes of training, images out. Runs in the peers' interpreter.

    python benchmarks/peers/NAME.py IMAGES.npy SECONDS THREADS COUNT SEED OUT.npy

Prints one line of JSON: images seen, seconds of training, seconds a made image takes, parameters.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

Step = Callable[[torch.Tensor], None]


def arguments() -> tuple[torch.Tensor, float, int, str]:
    """Images N C H W in [-1, 1], premultiplied where they have alpha; seconds; how many to make; where to."""
    images, seconds, threads, count, seed, to = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(int(seed))
    pixels = torch.from_numpy(np.load(images, allow_pickle=False)).permute(0, 3, 1, 2).contiguous()
    x = pixels.float().div_(127.5).sub_(1)
    if x.shape[1] == 4:
        x = torch.cat([(x[:, :3] + 1) * (x[:, 3:] + 1) / 2 - 1, x[:, 3:]], dim=1)
    return x, float(seconds), int(count), to


def train(images: torch.Tensor, batch: int, seconds: float, step: Step) -> tuple[int, float]:
    """Mirrored batches without repetition until the time is over: images seen, and seconds."""
    seen, began = 0, time.perf_counter()
    while True:
        order = torch.randperm(len(images))
        for start in range(0, len(images) - batch + 1, batch):
            rows = order[start : start + batch]
            step(images[rows])
            seen += batch
            if time.perf_counter() - began >= seconds:
                return seen, time.perf_counter() - began


def save(make: Callable[[int], torch.Tensor], count: int, to: str, seen: int, seconds: float, parameters: int) -> None:
    """Make the images in passes of 100, undo the premultiplication, write them, and say how long it took."""
    began = time.perf_counter()
    with torch.inference_mode():
        x = torch.cat([make(min(100, count - start)).float().clamp(-1, 1) for start in range(0, count, 100)])
    each = (time.perf_counter() - began) / count
    if x.shape[1] == 4:
        alpha = (x[:, 3:] + 1) / 2
        x = torch.cat([((x[:, :3] + 1) / 2 / alpha.clamp_min(1e-3)).clamp(0, 1) * 2 - 1, x[:, 3:]], dim=1)
    pixels = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    np.save(to, pixels, allow_pickle=False)
    print(json.dumps({"images_seen": seen, "seconds": seconds, "seconds_an_image": each, "parameters": parameters}))
