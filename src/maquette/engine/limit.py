"""Building a model that somebody else described: within the memory that its file can fill, and without waste."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

SLACK = 2**28
"""Bytes that a model may take beside its weights, such as tables that it can compute again."""
_FILLS = frozenset({
    "kaiming_normal_", "kaiming_uniform_", "normal_", "orthogonal_", "trunc_normal_", "uniform_", "xavier_normal_",
    "xavier_uniform_",
})  # fmt: skip
_MAKERS = frozenset({torch.empty, torch.eye, torch.full, torch.ones, torch.rand, torch.randn, torch.zeros})


class Allowance(TorchFunctionMode):
    """While it is active, tensors that are made may take so many bytes together; one more is a ValueError.

    Random numbers for first weights are not drawn, because the weights are to be overwritten at once. (To build on
    the device "meta" would need no allowance, but torch loads its compiler for that, which takes two seconds.)
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called by torch for every one of its functions."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _FILLS:
            return args[0] if args else kwargs["tensor"]
        if func in _MAKERS:
            self.left -= _bytes(func, args, kwargs)
            if self.left < 0:
                raise ValueError("it asks for more memory than its file can fill")
        return func(*args, **kwargs)


def _bytes(func: Any, args: Any, kwargs: Any) -> int:
    if func is torch.eye:
        count = args[0] * (args[1] if len(args) > 1 else args[0])
    else:
        size = kwargs["size"] if "size" in kwargs else args[0] if args and not isinstance(args[0], int) else args
        count = math.prod(size)
    return int(count) * int((kwargs.get("dtype") or torch.get_default_dtype()).itemsize)
