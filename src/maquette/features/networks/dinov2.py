"""DINOv2 (small, base or large): a transformer over 14 x 14 patches; what describes an image is its first token.

The file holds the tensors under the names of the makers or under those of Hugging Face (`model.safetensors` of
`facebook/dinov2-small`, for example). Images are brought to 224 x 224 by Pillow's bicubic kernel, which is what the
published distances were taken with.

Oquab and others, "DINOv2: Learning robust visual features without supervision", 2023; Stein and others, "Exposing flaws
of generative model evaluation metrics and their unfair treatment of diffusion models", 2023.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor, nn

from maquette.core.errors import ModelFileError
from maquette.features.extractor import Extractor
from maquette.features.network import Brought, fit_in, read_weights

SIDE = 224
HEAD = 64
"""Numbers of each head."""
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the images of ImageNet."""
SHIFT = 0.1
"""The makers' networks without registers stretch their places by this much more, and published figures with them."""
WHAT = "a DINOv2 of the sizes small, base or large"
MOST_BLOCKS, MOST_WIDTH = 64, 2048


class _Block(nn.Module):
    """Attention, then a small network for each token; both are added to what there was."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD)
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, inner), "fc2": nn.Linear(inner, width)})
        self.ls1, self.ls2 = (nn.ParameterDict({"gamma": torch.ones(width)}) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        count, tokens, width = x.shape
        three = self.attn["qkv"](self.norm1(x)).reshape(count, tokens, 3, self.heads, width // self.heads)
        query, key, value = three.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(count, tokens, width)
        x = x + self.ls1["gamma"] * self.attn["proj"](seen)
        return torch.as_tensor(x + self.ls2["gamma"] * self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x)))))


class Transformer(nn.Module):
    """N 3 224 224 -> N width: the first token after the last normalisation."""

    def __init__(self, width: int, blocks: int, patch: int, places: int, inner: int, registers: int = 0) -> None:
        super().__init__()
        self.patch, self.registers = patch, registers
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + places, width))
        if registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, registers, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.ModuleList([_Block(width, inner) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """The first token of every image."""
        tokens = self.patch_embed["proj"](x)
        height, width = tokens.shape[2:]
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + self.places(height, width)
        if self.registers:
            registers = self.register_tokens.expand(len(x), -1, -1)
            tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return torch.as_tensor(self.norm(tokens[:, 0]))

    def places(self, height: int, width: int) -> Tensor:
        """The places of the patches, 1 (1 + height * width) width, stretched from the grid of their training."""
        side = round((self.pos_embed.shape[1] - 1) ** 0.5)
        if (height, width) == (side, side):
            return self.pos_embed
        grid = self.pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        if self.registers:
            grid = F.interpolate(grid, size=(height, width), mode="bicubic", antialias=True)
        else:
            scale = ((height + SHIFT) / side, (width + SHIFT) / side)
            grid = F.interpolate(grid, scale_factor=scale, mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def enter(images: NDArray[np.uint8]) -> Tensor:
    """N H W 3 -> N 3 224 224, in the units of ImageNet."""
    large = np.stack([
        np.asarray(Pillow.fromarray(image).resize((SIDE, SIDE), Pillow.Resampling.BICUBIC)) for image in images
    ])  # fmt: skip
    x = torch.from_numpy(large).permute(0, 3, 1, 2).float() / 255
    mean, spread = (torch.tensor(values)[None, :, None, None] for values in (MEAN, SPREAD))
    return (x - mean) / spread


_NAMES = (
    ("embeddings.cls_token", "cls_token"), ("embeddings.position_embeddings", "pos_embed"),
    ("embeddings.register_tokens", "register_tokens"), ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
    ("layernorm.", "norm."), ("encoder.layer.", "blocks."), (".attention.output.dense.", ".attn.proj."),
    (".layer_scale1.lambda1", ".ls1.gamma"), (".layer_scale2.lambda1", ".ls2.gamma"),
)  # fmt: skip
"""Hugging Face's names, and those of the makers."""


def _as_made(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the makers' names; query, key and value as one."""
    values = {name.removeprefix("dinov2."): value for name, value in values.items()}
    found: dict[str, Tensor] = {}
    for name, value in values.items():
        if name in ("mask_token", "embeddings.mask_token"):
            continue  # for training only
        if match := re.fullmatch(r"(.*)\.attention\.attention\.(query|key|value)\.(weight|bias)", name):
            block, which, kind = match.groups()
            if which == "query":
                parts = [values.get(f"{block}.attention.attention.{part}.{kind}") for part in ("query", "key", "value")]
                known = [part for part in parts if part is not None]
                name, value = f"{block}.attn.qkv.{kind}", torch.cat(known)
            else:
                continue
        for old, new in _NAMES:
            name = name.replace(old, new)
        found[name] = value
    return found


def read(path: Path) -> Extractor:
    """The extractor of a file; smaller networks of the same form are taken too."""
    values = _as_made(read_weights(path))
    proj, places = values.get("patch_embed.proj.weight"), values.get("pos_embed")
    inner = values.get("blocks.0.mlp.fc1.weight")
    blocks = {int(match[1]) for name in values if (match := re.match(r"blocks\.(\d{1,4})\.", name))}
    if (
        proj is None or proj.ndim != 4 or places is None or places.ndim != 3 or inner is None or inner.ndim != 2
        or len(blocks) > MOST_BLOCKS or proj.shape[0] > MOST_WIDTH or not 1 <= proj.shape[2] <= SIDE
        or SIDE % proj.shape[2] or round((places.shape[1] - 1) ** 0.5) ** 2 != places.shape[1] - 1
        or proj.shape[0] % max(1, proj.shape[0] // HEAD)
    ):  # fmt: skip
        raise ModelFileError(
            f"this is not {WHAT}: it has no fitting patches, places and blocks", where=path,
            do="give model.safetensors of one of them",
        )  # fmt: skip
    registers = values["register_tokens"].shape[1] if values.get("register_tokens", proj).ndim == 3 else 0

    def make() -> Transformer:
        return Transformer(proj.shape[0], len(blocks), proj.shape[2], places.shape[1] - 1, inner.shape[0], registers)

    return Brought("dinov2", f"{SIDE} x {SIDE}, bicubic of Pillow", fit_in(make, values, WHAT, path), enter)
