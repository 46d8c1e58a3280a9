"""One batch that several processes compute together, each its own rows, so that it counts as the batch of one process.

A loss is a mean over rows, so that the gradients of all shares add up to those of the whole. Three things are said of
the whole batch all the same, and are right here without a loss knowing of processes:

- random numbers: what is drawn for all rows is drawn for the whole batch, and each process takes its own rows of it;
- batch normalisation: means and variances are those of the whole batch, forwards and backwards;
- what a loss itself says of all rows: `joint_mean`, `joint_sum` and `joint_rows`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from maquette.core.errors import UsageError


class Group(Protocol):
    """The processes that compute together."""

    rank: int
    world: int

    def add_up(self, values: Tensor) -> None:
        """Replace the values, of one shape in all processes, by their sum over all of them."""

    def summed(self, count: int, device: torch.device, fill: Callable[[Tensor], None]) -> Tensor:
        """The sum over all processes of so many numbers that `fill` writes, all of them; theirs until the next sum."""
        ...


@dataclass(frozen=True)
class Share:
    """The rows of the batch that are this process's own."""

    group: Group
    rows: int
    """Rows of the whole batch."""

    @property
    def bounds(self) -> tuple[int, int]:
        """The first of the own rows, and the one behind the last."""
        return bounds(self.rows, self.group.rank, self.group.world)

    @property
    def own(self) -> int:
        """How many rows are its own."""
        start, end = self.bounds
        return end - start


_SHARE: ContextVar[Share | None] = ContextVar("share", default=None)


def bounds(rows: int, rank: int, world: int) -> tuple[int, int]:
    """Which of so many rows are those of one process: all are somebody's, and the shares differ by one at most."""
    return rank * rows // world, (rank + 1) * rows // world


@contextlib.contextmanager
def together(share: Share | None, generator: torch.Generator) -> Iterator[None]:
    """While it is active, a loss of the own rows is computed as a part of the whole batch's; None for one process."""
    if share is None:
        yield
        return
    token = _SHARE.set(share)
    try:
        with _Together(share, generator):
            yield
    finally:
        _SHARE.reset(token)


# For losses


def joint_mean(values: Tensor) -> Tensor:
    """The mean over all rows of the batch and whatever else there is; no gradient flows through it."""
    share = _SHARE.get()
    mean = values.detach().float().mean()
    if share is None:
        return mean
    total = mean * (share.own / share.rows)
    share.group.add_up(total)
    return total


def joint_sum(values: Tensor) -> Tensor:
    """The sum of such values over all processes; gradients flow to all of them."""
    share = _SHARE.get()
    return values if share is None else torch.as_tensor(_Sum.apply(values, share))  # type: ignore[no-untyped-call]


def joint_rows(values: Tensor) -> Tensor:
    """All rows of the batch, in their order, of which the own ones are given; gradients flow to all processes."""
    share = _SHARE.get()
    if share is None:
        return values
    start, end = share.bounds
    return joint_sum(F.pad(values, (*(0, 0) * (values.dim() - 1), start, share.rows - end)))  # 0 where others stand


def rows_before(values: Tensor) -> Tensor:
    """Of each own row the one before it in the batch."""
    return own_rows(joint_rows(values).roll(1, 0))


def own_rows(values: Tensor) -> Tensor:
    """Of all rows of the batch those of this process."""
    share = _SHARE.get()
    return values if share is None else values[slice(*share.bounds)]


def _once() -> None:
    """Refuse a loss that differentiates what flows back: it would silently miss what flows through the sums."""
    if torch.is_grad_enabled():
        raise UsageError(
            "with these settings what all images share is differentiated twice, which several processes cannot do",
            do="train with one process, or choose other settings",
        )


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, share: Share) -> Tensor:
        context.share = share
        total = values.contiguous().clone()
        share.group.add_up(total)
        return total

    @staticmethod
    def backward(context: Any, slope: Tensor) -> tuple[Tensor, None]:
        _once()
        slope = slope.contiguous().clone()
        context.share.group.add_up(slope)
        return slope, None


# Below the losses


class _Together(TorchFunctionMode):
    """Sees to it that random numbers and batch statistics are those of the whole batch."""

    def __init__(self, share: Share, generator: torch.Generator) -> None:
        super().__init__()
        self.share, self.generator = share, generator

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function is F.batch_norm:
            return _normalised(self.share, *args, **kwargs)
        if kwargs.get("generator") is self.generator:
            return self._drawn(function, args, dict(kwargs))
        return function(*args, **kwargs)

    def _drawn(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """The own rows of what is drawn for the whole batch. What is not drawn by rows is the same for everybody.

        A first side that is a multiple of the own rows is taken for rows, so many to each image.
        """
        if function in _FILLS:
            whole = self._whole(args[0].shape)
            drawn = function(args[0].new_empty(whole), *args[1:], **kwargs) if whole else None
            return function(*args, **kwargs) if drawn is None else args[0].copy_(self._own(drawn))
        if function not in _MAKERS:
            return function(*args, **kwargs)
        limits, size = (args[:-1], args[-1]) if function is torch.randint else ((), args)
        if "size" in kwargs:
            limits, size = args, kwargs.pop("size")
        if len(size) == 1 and not isinstance(size[0], int):
            size = size[0]
        whole = self._whole(size)
        drawn = function(*limits, whole or tuple(size), **kwargs)
        return self._own(drawn) if whole else drawn

    def _whole(self, size: Sequence[int]) -> tuple[int, ...] | None:
        own = self.share.own
        rows = size[0] if len(size) else 0
        return (rows // own * self.share.rows, *size[1:]) if rows and own and rows % own == 0 else None

    def _own(self, drawn: Tensor) -> Tensor:
        each = len(drawn) // self.share.rows
        start, end = self.share.bounds
        return drawn[start * each : end * each]


_MAKERS = frozenset({torch.rand, torch.randint, torch.randn})
_FILLS = frozenset({
    Tensor.bernoulli_, Tensor.exponential_, Tensor.normal_, Tensor.random_, Tensor.uniform_,
})  # fmt: skip


def _normalised(
    share: Share,
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation by the mean and the variance of the whole batch."""
    if not training:
        return F.batch_norm(images, running_mean, running_var, weight, bias, training, momentum, eps)
    with torch.autocast(images.device.type, enabled=False):
        normal, mean, variance, count = _Normal.apply(images, weight, bias, eps, share)  # type: ignore[no-untyped-call]
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)
    return torch.as_tensor(normal)


class _Normal(torch.autograd.Function):
    """Images N C ... with mean 0 and variance 1 for each channel of the whole batch, times a weight, plus a bias.

    The kernels are those of normalisation by known statistics, which is what they are once they have been summed up;
    what flows back through the statistics themselves is added after the second sum.
    """

    @staticmethod
    def forward(
        context: Any, images: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, share: Share
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        mean, variance = torch.batch_norm_update_stats(images, None, None, 0.0)
        mean, variance = mean.double(), variance.double()
        own = float(images.numel() // images.shape[1])
        # Sums and sums of squares, in double precision, so that nothing is lost where the mean is far from 0.
        sums = torch.cat([mean * own, (variance + mean.square()) * own, mean.new_full((1,), own)])
        share.group.add_up(sums)
        count = float(sums[-1])
        mean, square = (sums[:-1] / count).chunk(2)
        variance = (square - mean.square()).clamp_min(0).float()
        mean = mean.float()
        normal = F.batch_norm(images, mean, variance, weight, bias, False, 0.0, eps)
        context.save_for_backward(images, weight, mean, variance)
        context.share, context.eps, context.count, context.biased = share, eps, count, bias is not None
        context.mark_non_differentiable(mean, variance)
        return normal, mean, variance, count

    @staticmethod
    def backward(context: Any, slope: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        _once()
        images, weight, mean, variance = context.saved_tensors
        found, along, total = torch.ops.aten.native_batch_norm_backward(
            slope, images, weight, mean, variance, None, None, False, context.eps, [True, True, True]
        )
        sums = torch.cat([along, total]).float()
        context.share.group.add_up(sums)
        all_along, all_total = (sums / context.count).chunk(2)
        inverse = (variance + context.eps).rsqrt()
        scale = inverse if weight is None else inverse * weight
        slant = scale * all_along * inverse
        # level - slant * images, by the kernel of normalisation as well: nothing else is as fast for such images
        nothing, one = torch.zeros_like(mean), torch.ones_like(mean)
        found += F.batch_norm(images, nothing, one, -slant, slant * mean - scale * all_total, False, 0.0, 0.0)
        return found, along if weight is not None else None, total if context.biased else None, None, None
