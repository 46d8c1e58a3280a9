"""How probable a model finds images, and images as its tokens and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette.core.condition import FLAT
from maquette.core.errors import UsageError
from maquette.families.family import Family, Scores, Tokens
from maquette.nn.pixels import condition_tensors, from_tensor, to_tensor

TOGETHER = 16
"""Images a pass; always full, so that what is found of one does not depend on the others."""


@torch.inference_mode()
def scores(family: Family, images: Sequence[NDArray[Any]] | NDArray[Any]) -> NDArray[np.float64]:
    """The logarithm of how probable each image is where nothing else is known of it, N."""
    if not isinstance(family, Scores):
        raise UsageError(
            f"the family {type(family).__name__.lower()} cannot say how probable an image is",
            do="give a run of the family autoencoder or recurrent",
        )
    large = [spec.name for spec in family.spec.conditions if spec.kind not in FLAT]
    if large:
        raise UsageError(f"the model needs {large[0]} beside each image", do="give a model trained without it")

    def one(batch: Tensor) -> Tensor:
        missing = {s.name: np.repeat(s.missing()[None], len(batch), axis=0) for s in family.spec.conditions}
        given = condition_tensors(family.spec.conditions, missing)
        return family.log_prob(batch, {name: value.to(batch.device) for name, value in given.items()})

    found = [one(batch)[:count].double().cpu().numpy() for batch, count in _batches(family, images)]
    return np.concatenate(found) if found else np.zeros(0)


@torch.inference_mode()
def to_tokens(family: Family, images: Sequence[NDArray[Any]] | NDArray[Any]) -> NDArray[np.int32]:
    """Images as whole numbers N h w."""
    counts = tokenizer(family)
    found = [counts.to_tokens(batch)[:count].cpu().numpy() for batch, count in _batches(family, images)]
    return np.concatenate(found).astype(np.int32) if found else np.zeros((0, *counts.grid), np.int32)


def from_tokens(family: Family, tokens: NDArray[np.int32]) -> Iterator[NDArray[Any]]:
    """The inverse of `to_tokens`, image by image."""
    counts = tokenizer(family)
    device = next(family.parameters()).device
    for start in range(0, len(tokens), TOGETHER):
        some = tokens[start : start + TOGETHER]
        full = np.concatenate([some, np.repeat(some[-1:], TOGETHER - len(some), axis=0)])
        with torch.inference_mode():
            made = counts.from_tokens(torch.from_numpy(full.astype(np.int64)).to(device))
        yield from from_tensor(made[: len(some)], family.spec.mode)


def tokenizer(family: Family) -> Tokens:
    """The family as one that turns images into tokens, or an error that says why not."""
    if not isinstance(family, Tokens):
        name = type(family).__name__.lower()
        raise UsageError(f"the family {name} makes no tokens of images", do="give a run of the family autoencoder")
    if not family.levels:
        raise UsageError("this model keeps numbers and no tokens", do="train an autoencoder with --set codes=1000")
    return family


def _batches(family: Family, images: Sequence[NDArray[Any]] | NDArray[Any]) -> Iterator[tuple[Tensor, int]]:
    """Full batches of tensors, and how many images of each count."""
    device = next(family.parameters()).device
    for start in range(0, len(images), TOGETHER):
        some = np.stack(list(images[start : start + TOGETHER]))
        full = np.concatenate([some, np.repeat(some[-1:], TOGETHER - len(some), axis=0)])
        yield to_tensor(full, family.spec.mode).to(device), len(some)
