"""Recurrent layers whose gates see the input alone (minGRU; Feng and others, 2024).

    z = sigmoid(Wz x);  h[t] = (1 - z[t]) h[t - 1] + z[t] Wh x[t]

Because the gates do not wait for the state, all matrix products of a sequence are done at once and only an elementwise
recurrence is left. Writing one token more costs the same however many there are.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOGETHER = 16
"""Places whose gates are computed at once: few enough to stay in the cache."""


def recurrence(gates: Tensor) -> Tensor:
    """T N 2D of (gate, new state) before their squash -> the states T N D, float32, from a state of zeros."""
    if gates.device.type == "cpu":
        return torch.as_tensor(_Stepwise.apply(gates))  # type: ignore[no-untyped-call]
    gate, new = gates.float().chunk(2, dim=2)
    update = torch.sigmoid(gate)
    return doubling(1 - update, update * new)


class _Stepwise(torch.autograd.Function):
    """One place after the other, forwards and backwards: a step is one or two small operations in the nearest cache.

    On a processor this is many times faster than looking twice as far each time, which goes through all of memory at
    every doubling (docs/log.md has the numbers).
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor) -> Tensor:
        length, count, width = *gates.shape[:2], gates.shape[2] // 2
        states, updates = torch.empty(length, count, width), torch.empty(length, count, width)
        before = torch.zeros_like(states[0])
        for start in range(0, length, TOGETHER):
            these = slice(start, start + TOGETHER)
            gate, new = gates[these].float().chunk(2, dim=2)
            torch.sigmoid(gate, out=updates[these])
            for place, update, out in zip(new, updates[these], states[these], strict=True):
                before = torch.lerp(before, place, update, out=out)
        ctx.save_for_backward(updates, states)
        ctx.precision = gates.dtype
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (updates, states), (gradient,) = ctx.saved_tensors, gradients
        width = states.shape[2]
        found = torch.empty(*states.shape[:2], 2 * width, dtype=ctx.precision)
        after = torch.zeros_like(states[0])
        for start in reversed(range(0, len(states), TOGETHER)):
            end = min(start + TOGETHER, len(states))
            reached = torch.empty_like(states[start:end])  # what reaches each state: from the loss, and from the next
            passed = torch.empty_like(reached)  # the share of it that goes on to the state before
            for at in reversed(range(end - start)):
                torch.add(gradient[start + at], after, out=reached[at])
                after = torch.addcmul(reached[at], reached[at], updates[start + at], value=-1, out=passed[at])
            # Since h[t] - h[t - 1] = z (new - h[t - 1]), neither the new states nor 1 - z are needed again.
            change = states[start:end].clone()
            change[int(not start) :] -= states[max(start - 1, 0) : end - 1]
            found[start:end, :, :width] = change.mul_(passed)
            found[start:end, :, width:] = reached.sub_(passed)
        return found


def doubling(keep: Tensor, add: Tensor) -> Tensor:
    """h[t] = keep[t] h[t - 1] + add[t] for T N D, all places at once, each time looking twice as far back.

    For devices on which one step costs a long wait.
    """
    states, kept, far = add, keep, 1
    while far < len(add):
        reached = states[far:] + kept[far:] * states[:-far]
        states = torch.cat([states[:far], reached])
        kept = torch.cat([kept[:far], kept[far:] * kept[:-far]])
        far *= 2
    return states


class MinimalGRU(nn.Module):
    """A gated recurrence over a whole sequence, or one place at a time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gates = nn.Linear(width, 2 * width)
        with torch.no_grad():  # At first states are kept for a few places to a few dozen, each channel its own time.
            self.gates.bias[:width] = -torch.linspace(0.0, 4.0, width)

    def forward(self, x: Tensor) -> Tensor:
        """T N D -> T N D, float32 inside."""
        return recurrence(self.gates(x))

    def step(self, x: Tensor, state: Tensor) -> Tensor:
        """N D and the state before -> the state after."""
        gate, new = self.gates(x).float().chunk(2, dim=-1)
        return torch.lerp(state, new, gate.sigmoid())


class Block(nn.Module):
    """Normalise, mix the last four places, recur, gate; then a small network at each place; both beside the input."""

    REACH = 4

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm, self.second_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.mix = nn.Parameter(torch.zeros(self.REACH, width))
        with torch.no_grad():
            self.mix[-1] = 1.0
        self.recur = MinimalGRU(width)
        self.gate = nn.Linear(width, width)
        self.leave = nn.Linear(width, width)
        self.enlarge, self.reduce = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = dropout
        for layer in (self.leave, self.reduce):  # At first every block lets its input pass.
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, steer: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """T N D, and N 2D of scale and shift by what is asked for -> T N D. With a generator, some outputs drop out."""
        inner = _steered(self.norm(x), steer)
        # The last places, each with a weight a channel: a causal convolution, one channel at a time.
        past = F.pad(inner, (0, 0, 0, 0, self.REACH - 1, 0))
        mixed = sum(
            (past[at : at + len(x)] * self.mix[at] for at in range(1, self.REACH)), past[: len(x)] * self.mix[0]
        )
        x = x + self._dropped(self.leave(self.recur(mixed).to(inner.dtype) * F.silu(self.gate(inner))), generator)
        return x + self._dropped(self.reduce(F.silu(self.enlarge(self.second_norm(x)))), generator)

    def start(self, count: int) -> tuple[Tensor, Tensor]:
        """The state before the first place: the last inputs REACH-1 N D, and N D. Its size never grows."""
        width = self.mix.shape[1]
        return self.mix.new_zeros(self.REACH - 1, count, width), self.mix.new_zeros(count, width)

    def step(
        self, x: Tensor, state: tuple[Tensor, Tensor], steer: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One place N D -> N D, and the state after it."""
        inner = _steered(self.norm(x), steer)
        past, before = state
        window = torch.cat([past, inner[None]])
        after = self.recur.step((window * self.mix[:, None]).sum(dim=0), before)
        x = x + self.leave(after * F.silu(self.gate(inner)))
        return x + self.reduce(F.silu(self.enlarge(self.second_norm(x)))), (window[1:], after)

    def _dropped(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if generator is None or self.dropout <= 0:
            return x
        # One row of chances for all places of an image and a channel: cheap, and a stronger lesson than places alone.
        kept = torch.rand(x.shape[1:], generator=generator, device=x.device) >= self.dropout
        return x * (kept / (1 - self.dropout)).to(x.dtype)


def _steered(x: Tensor, steer: Tensor | None) -> Tensor:
    if steer is None:
        return x
    scale, shift = steer.to(x.dtype).chunk(2, dim=-1)
    return x * (1 + scale) + shift
