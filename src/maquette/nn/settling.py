"""Statistics of batches, measured anew for averaged weights: averaging spoils what batch normalisation remembers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def settling(network: nn.Module) -> Iterator[None]:
    """While it is active, whatever goes through the network is counted; afterwards its plain mean is part of it."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all batches
    network.train()
    try:
        yield
    finally:
        network.eval()
