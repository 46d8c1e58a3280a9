"""The contract of networks whose weights a person brings along, and what they share.

A network is one file in `networks/` (or an entry point of the group `maquette.features.networks`) with a function
`read(path)` that makes an extractor of a safetensors file. Published figures are taken in such features as they are, so
their space is left whole: nothing is fitted on the dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette.core.errors import ModelFileError
from maquette.core.image import convert, mode_of
from maquette.core.registry import Registry
from maquette.features.extractor import Extractor, Features
from maquette.store import weights
from maquette.store.digest import bytes_digest

LARGEST = 2 << 30
"""Bytes of a file of weights that is read, at most."""
AT_ONCE = 16
"""Images that go through a network at once: they are enlarged, so that memory depends on this."""
CONVERT = (
    'convert it once where you trust it: python -c "import torch, safetensors.torch as s; '
    "s.save_file({k: v.contiguous() for k, v in torch.load('FILE', weights_only=True).items()}, 'FILE.safetensors')\""
)

Read = Callable[[Path], Extractor]


def _pick(module: ModuleType) -> Read:
    read: Read = module.read
    return read


NETWORKS: Registry[Read] = Registry("maquette.features.networks", "network", _pick)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, float32. Anything else is refused; no pickle is ever opened."""
    try:
        found, _ = weights.read(path, max_bytes=LARGEST)
    except ModelFileError as error:
        if "zip archive" in error.what or "pickle" in error.what:
            raise ModelFileError(f"{error.what}; such files are not opened here", where=path, do=CONVERT) from None
        raise
    return {name: torch.from_numpy(np.ascontiguousarray(values)).float() for name, values in found.items()}


def fit_in(make: Callable[[], nn.Module], values: Mapping[str, Tensor], what: str, path: Path) -> nn.Module:
    """The network with the tensors in it; each must be there, and of the network's shape."""
    with torch.device("meta"):  # a file that asks for more than it holds costs nothing
        network = make()
    own = network.state_dict()
    own = {name: value for name, value in own.items() if not name.endswith("num_batches_tracked")}
    for problem, names in (
        ("lacks", own.keys() - values.keys()), ("holds what that network does not have:", values.keys() - own.keys())
    ):  # fmt: skip
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            listed = ", ".join(sorted(names)[:3])
            raise ModelFileError(f"this is not {what}: it {problem} {listed}{more}", where=path)
    for name, value in own.items():
        if values[name].shape != value.shape:
            raise ModelFileError(
                f"this is not {what}: {name} has the shape {tuple(values[name].shape)}, not {tuple(value.shape)}",
                where=path,
            )
    network.load_state_dict(dict(values), strict=False, assign=True)
    return network.eval().requires_grad_(False)


def colours(images: NDArray[Any]) -> NDArray[np.uint8]:
    """N H W C of any mode -> N H W 3 of 8 bits, as such networks know images; alpha is laid on white."""
    if mode_of(images[0]) == "rgb":
        return images
    return np.stack([convert(image, "rgb") for image in images])


class Brought:
    """An extractor made of such a network: resizes as its makers did, and hands the numbers on as they are."""

    whole = True
    """Its space is not fitted: published figures are taken in the numbers as they are."""

    def __init__(
        self, name: str, resize: str, network: nn.Module, enter: Callable[[NDArray[np.uint8]], Tensor]
    ) -> None:
        self.name, self.resize = name, resize
        self._network, self._enter = network, enter
        state = {
            key: np.ascontiguousarray(value.numpy())
            for key, value in network.state_dict().items() if not value.is_meta
        }  # fmt: skip
        self.digest = bytes_digest(f"{name} {resize} {weights.digest_of(state)}".encode())

    def __call__(self, images: NDArray[Any]) -> Features:
        """N H W C -> N width."""
        rows = []
        with torch.inference_mode():
            for start in range(0, len(images), AT_ONCE):
                rows.append(self._network(self._enter(colours(images[start : start + AT_ONCE]))))
        return np.asarray(torch.cat(rows).float().numpy(), dtype=np.float32)
