"""Reading text: bytes of any language through a recurrent network to one vector."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RUNS = (3, 5)
"""Lengths of the runs of bytes that have rows of their own: about a syllable and about a word."""
ROWS = 4096
"""Rows for each of them; runs share a row by chance."""


class TextEncoder(nn.Module):
    """A gated recurrent network over UTF-8 bytes; the mean and the most of its states are the text's vector.

    At each byte it is told the run of bytes that ends there as well, so that a word is known as a whole as soon as it
    was seen a few times: bytes alone have to be put together first, which takes thousands of images. All vectors are
    brought to one length, so that a word which few captions differ in is heard as soon as any (docs/log.md).
    """

    def __init__(self, width: int, hidden: int = 96) -> None:
        super().__init__()
        self.bytes = nn.Embedding(256, 32)
        self.runs = nn.ModuleList(nn.Embedding(ROWS, 32) for _ in RUNS)
        for table in self.runs:  # Fainter than bytes: words that were never seen say little by chance.
            nn.init.normal_(table.get_parameter("weight"), std=0.3)
        self.recurrent = nn.GRU(32, hidden, batch_first=True)
        self.out = nn.Linear(2 * hidden, width)
        self.even = nn.LayerNorm(width)

    def forward(self, text: Tensor) -> Tensor:
        """N L bytes (0 after the end) -> N width. An empty text gives the vector of "nothing was said"."""
        if self.training:  # In training what no text of the batch reaches is left out; when sampling, rows stay alone.
            text = text[:, : max(1, int((text != 0).any(dim=0).sum()))]
        with torch.autocast(text.device.type, enabled=False):
            rows = self.bytes(text).float()
            for length, table in zip(RUNS, self.runs, strict=True):
                rows = rows + table(run_rows(text, length)).float()
            states, _ = self.recurrent(rows)
            there = (text != 0).unsqueeze(-1).to(states.dtype)
            count = there.sum(dim=1).clamp_min(1)
            mean = (states * there).sum(dim=1) / count
            last = torch.where(there > 0, states, torch.full_like(states, -1)).amax(dim=1)
            return torch.as_tensor(self.even(self.out(torch.cat([mean, last], dim=1))))


def run_rows(text: Tensor, length: int) -> Tensor:
    """N L bytes -> N L: which row the run of so many bytes that ends at each place has. Fits 32-bit whole numbers."""
    padded = F.pad(text, (length - 1, 0))
    rows = torch.zeros_like(text)
    for at in range(length):
        rows = (rows * 1_997 + padded[:, at : at + text.shape[1]]) % 1_000_003
    return rows % ROWS
