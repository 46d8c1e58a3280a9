"""A distribution that is fitted after training: what the latents of images look like, and new ones drawn from it.

Normal distributions, one or several for each combination of labels. Nothing is trained: means are counted, covariances
are estimated and shrunk towards simpler ones by as much as their own uncertainty asks for (Ledoit and Wolf, 2004).
Along axes that tile the distribution is stationary: what is drawn goes on over its edge as it does in its middle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from maquette.core.condition import ConditionSpec
from maquette.core.errors import DataError
from maquette.core.noise import Noise
from maquette.core.spec import Tile

LARGEST = 4096
"""Latents of one image at most: the covariance has the square of it."""
ROOTS = 2**24
"""Numbers in all covariances together; where more would be needed, all normal distributions share one."""
LEAST = 12
"""Images that a normal distribution of its own needs."""
DOUBT = 2.0
"""Each mean is drawn towards the simpler one as if so many images had said so."""


class Mixture(nn.Module):
    """Latents N L h w of given labels, as a mixture of normal distributions."""

    weights: Tensor
    means: Tensor
    roots: Tensor

    def __init__(
        self, shape: tuple[int, int, int], labels: Sequence[ConditionSpec], components: int, tile: Tile = ""
    ) -> None:
        super().__init__()
        size = math.prod(shape)
        if size > LARGEST:
            raise DataError(
                f"images of this form have {size:,} latents, and a distribution is kept for at most {LARGEST:,}",
                do="choose sides that are more alike, or that can be halved more often",
            )
        self.shape, self.labels, self.tile = shape, [spec for spec in labels if spec.kind == "label"], tile
        self.cells = math.prod(len(spec.classes) for spec in self.labels)
        self.each = max(1, components // self.cells)
        count = self.cells * self.each
        own = count if count * size**2 <= ROOTS else 1
        self.register_buffer("weights", torch.full((count,), 1.0 / count))
        self.register_buffer("means", torch.zeros(count, size))
        self.register_buffer("roots", torch.eye(size).repeat(own, 1, 1))  # symmetric square roots of the covariances

    # Drawing

    def draw(self, noise: Noise, condition: Mapping[str, Tensor], temperature: float = 1.0) -> Tensor:
        """New latents N L h w; row k depends on seed k and row k of the condition alone."""
        device = self.means.device
        chosen = self._choose(torch.as_tensor(noise.uniform("component")).to(device), condition)
        normal = torch.as_tensor(noise.normal("latents", *self.shape)).to(device).flatten(1) * temperature
        roots = chosen if len(self.roots) > 1 else torch.zeros_like(chosen)
        if torch.compiler.is_exporting():  # a graph has no loop over rows whose number it does not know
            together = torch.bmm(normal[:, None], self.roots[roots])[:, 0]
            return torch.unflatten(self.means[chosen] + together, 1, self.shape)
        spread = [row @ self.roots[root] for row, root in zip(normal, roots.tolist(), strict=True)]
        return torch.unflatten(self.means[chosen] + torch.stack(spread), 1, self.shape)

    def _choose(self, places: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        """The component of each row: N places in [0, 1) -> N indices that fit the labels which are given."""
        fits = torch.ones(places.shape[0], self.cells, dtype=torch.bool, device=places.device)
        for spec, code in zip(self.labels, self._codes(), strict=True):
            given = condition[spec.name][:, None]
            fits &= (code == given) | (given == len(spec.classes))
        shares = self.weights * fits.repeat_interleave(self.each, dim=1)
        # Labels that never came together have no weight: then all components that fit are as likely.
        unseen = shares.sum(dim=1, keepdim=True) == 0
        shares = torch.where(unseen, fits.repeat_interleave(self.each, dim=1).float(), shares).double().cumsum(dim=1)
        return torch.as_tensor((places[:, None].double() * shares[:, -1:] >= shares).sum(dim=1))

    def _codes(self) -> list[Tensor]:
        """For each label condition, which of its classes every cell belongs to."""
        device = self.means.device
        classes = [torch.arange(len(spec.classes), device=device) for spec in self.labels]
        return [grid.flatten() for grid in torch.meshgrid(*classes, indexing="ij")] if classes else []

    # Fitting

    @torch.no_grad()
    def fit(self, latents: Tensor, condition: Mapping[str, Tensor]) -> None:
        """Take over the distribution of these latents N L h w. The same latents give the same distribution."""
        values = latents.detach().double().flatten(1)
        member = torch.full((len(values),), -1, device=values.device)  # the component of each image; -1: label unknown
        targets = self._targets(values, condition)
        for cell, rows in enumerate(self._rows(condition, len(values))):
            groups = min(self.each, max(1, len(rows) // LEAST))
            member[rows] = cell * self.each + _cluster(self._level(values[rows]), groups)
        count = torch.bincount(member[member >= 0], minlength=len(self.weights)).double()
        total = torch.zeros_like(self.means, dtype=torch.float64)
        total.index_add_(0, member[member >= 0], self._level(values[member >= 0]))
        self.means.copy_((total + DOUBT * targets.repeat_interleave(self.each, dim=0)) / (count + DOUBT)[:, None])
        self.weights.copy_(count / count.sum().clamp_min(1))
        # The last row is for images whose labels are not known (member -1): for them, everyone's mean.
        average = torch.cat([total / count.clamp_min(1)[:, None], self._level(values).mean(dim=0, keepdim=True)])
        unbiased = torch.cat([(count / (count - 1).clamp_min(1)).sqrt(), count.new_ones(1)])
        self._fit_roots((values - average[member]) * unbiased[member, None], member)

    def _fit_roots(self, residuals: Tensor, member: Tensor) -> None:
        variance = residuals.square().mean(dim=0)
        if self.tile:
            variance = self._level(variance[None])[0]
        common = self._shrunk(residuals, torch.diag(variance))
        self.roots.copy_(_root(common))
        if len(self.roots) == 1:
            return
        for component in range(len(self.roots)):
            own = residuals[member == component]
            if len(own) >= LEAST:
                self.roots[component] = _root(self._shrunk(own, common))

    def _shrunk(self, residuals: Tensor, target: Tensor) -> Tensor:
        """The covariance of residuals N size, drawn towards the target by as much as chance may have made of it."""
        count = len(residuals)
        found = residuals.T @ residuals / count
        chance = (residuals.square().sum(dim=1).square().mean() - found.square().sum()) / max(1, count - 1)
        share = (chance / (found - target).square().sum().clamp_min(1e-12)).clamp(0, 1)
        if self.tile:
            found = self._stationary(found)
        return found + share * (target - found)

    def _rows(self, condition: Mapping[str, Tensor], count: int) -> list[Tensor]:
        """For each cell, the images whose labels are all known and are those of the cell."""
        at = torch.zeros(count, dtype=torch.long, device=self.means.device)
        known = torch.ones_like(at, dtype=torch.bool)
        for spec in self.labels:
            at = at * len(spec.classes) + condition[spec.name]
            known &= condition[spec.name] < len(spec.classes)
        return [torch.nonzero(known & (at == cell)).flatten() for cell in range(self.cells)]

    def _targets(self, values: Tensor, condition: Mapping[str, Tensor]) -> Tensor:
        """Cells size: the mean of all images, moved by what each label by itself changes."""
        level = self._level(values)
        everything = level.mean(dim=0)
        target = everything.repeat(self.cells, 1)
        for spec, code in zip(self.labels, self._codes(), strict=True):
            for label in range(len(spec.classes)):
                rows = condition[spec.name] == label
                if bool(rows.any()):
                    target[code == label] += level[rows].mean(dim=0) - everything
        return target

    def _level(self, values: Tensor) -> Tensor:
        """N size -> N size, the same everywhere along axes that tile."""
        if not self.tile:
            return values
        grid = torch.unflatten(values, 1, self.shape)
        for axis, name in ((3, "x"), (2, "y")):
            if name in self.tile:
                inside = grid[(slice(None),) * axis + (_inside(grid.shape[axis]),)]
                grid = inside.mean(dim=axis, keepdim=True).expand_as(grid)
        return grid.flatten(1)

    def _stationary(self, covariance: Tensor) -> Tensor:
        """The covariance if it depended, along axes that tile, on the distance (the shorter way round) alone."""
        grid = covariance.reshape(*self.shape, *self.shape)
        for axis, name in ((2, "x"), (1, "y")):
            if name not in self.tile:
                continue
            side = grid.shape[axis]
            place = torch.arange(side, device=grid.device)
            lag = (place[None, :] - place[:, None]) % side
            inside = torch.zeros(side, dtype=torch.bool, device=grid.device)
            inside[_inside(side)] = True
            # Pairs across the edge say nothing: most images do not go on there.
            near = ((place[None, :] - place[:, None]).abs() <= side // 2) & inside[None, :] & inside[:, None]
            pairs = grid.movedim((axis, axis + 3), (0, 1))
            by_lag = torch.stack([pairs[(lag == step) & near].mean(dim=0) for step in range(side)])
            grid = by_lag[lag].movedim((0, 1), (axis, axis + 3))
        matrix = grid.reshape_as(covariance)
        return (matrix + matrix.T) / 2


def _inside(side: int) -> slice:
    """Places along an axis that are not at the edge, where the encoder saw the seam (if enough are left)."""
    return slice(1, side - 1) if side >= 6 else slice(0, side)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root; what is negative by estimation counts as zero."""
    powers, axes = torch.linalg.eigh(covariance)
    return torch.as_tensor((axes * powers.clamp_min(0).sqrt()) @ axes.T)


def _cluster(values: Tensor, count: int, rounds: int = 20) -> Tensor:
    """N size -> N indices of groups (k-means). The first centres are far from each other: no chance is involved."""
    if count == 1:
        return torch.zeros(len(values), dtype=torch.long, device=values.device)
    distance = (values - values.mean(dim=0)).square().sum(dim=1)
    order = distance.argsort(stable=True)
    picks = order[torch.linspace(0, len(values) - 1, count, device=values.device).round().long()]
    centres = values[picks].clone()
    for _ in range(rounds):
        member = torch.cdist(values, centres).argmin(dim=1)
        total = torch.zeros_like(centres).index_add_(0, member, values)
        sizes = torch.bincount(member, minlength=count)[:, None]
        centres = torch.where(sizes > 0, total / sizes.clamp_min(1), centres)
    return member
