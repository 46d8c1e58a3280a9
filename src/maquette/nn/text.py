"""Reading text: bytes of any language through a recurrent network to one vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TextEncoder(nn.Module):
    """A gated recurrent network over UTF-8 bytes; the mean of its states is the text's vector."""

    def __init__(self, width: int, hidden: int = 96) -> None:
        super().__init__()
        self.bytes = nn.Embedding(256, 32)
        self.recurrent = nn.GRU(32, hidden, batch_first=True)
        self.out = nn.Linear(2 * hidden, width)

    def forward(self, text: Tensor) -> Tensor:
        """N L bytes (0 after the end) -> N width. An empty text gives the vector of "nothing was said"."""
        if self.training:  # In training what no text of the batch reaches is left out; when sampling, rows stay alone.
            text = text[:, : max(1, int((text != 0).any(dim=0).sum()))]
        with torch.autocast(text.device.type, enabled=False):
            states, _ = self.recurrent(self.bytes(text).float())
            there = (text != 0).unsqueeze(-1).to(states.dtype)
            count = there.sum(dim=1).clamp_min(1)
            mean = (states * there).sum(dim=1) / count
            last = torch.where(there > 0, states, torch.full_like(states, -1)).amax(dim=1)
            return torch.as_tensor(self.out(torch.cat([mean, last], dim=1)))
