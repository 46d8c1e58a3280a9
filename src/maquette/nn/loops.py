"""Loops inside an exported graph: what is done many times stands in it once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

State = tuple[Tensor, ...]


def looped(step: Callable[..., State], state: State, *inputs: Tensor) -> State:
    """The state after a step for every row of the inputs: `step(state, row, row...)`, which changes nothing in place.

    While a graph is exported it becomes one loop; otherwise it is a plain one.
    """
    if not torch.compiler.is_exporting():
        for rows in zip(*inputs, strict=True):
            state = step(state, *rows)
        return state
    from torch._higher_order_ops.scan import scan

    def body(state: State, rows: State) -> tuple[State, Tensor]:
        return step(state, *rows), rows[0].clone()

    last, _ = scan(body, state, tuple(given.clone() for given in inputs))
    return tuple(last)
