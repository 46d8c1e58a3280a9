"""The rows of conditions that a run keeps, from which what is not asked for when sampling is drawn."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.condition import FLAT, NO_LABEL
from maquette.core.errors import MaquetteError, RunError
from maquette.core.spec import DataSpec
from maquette.data.loader import Loader
from maquette.families.family import Family
from maquette.nn.pixels import from_tensor, to_tensor
from maquette.store import weights
from maquette.store.run import Run

FILE = "conditions.safetensors"
ROWS = 512
LARGE_ROWS = 32
"""Rows kept where a row is an image."""


def keep_table(run: Run, loader: Loader, family: Family) -> None:
    """Write the first rows of the training order, unless they are there."""
    spec, form = family.spec, family.made(family.Options())
    if not form.conditions or (run.path / FILE).exists():
        return
    large = any(condition.kind not in FLAT for condition in form.conditions)
    chosen = loader.indices(0, min(LARGE_ROWS if large else ROWS, len(loader)))
    table = dict(loader.dataset.conditions(chosen, [condition.name for condition in spec.conditions]))
    if large and len(spec.conditions) < len(form.conditions):
        with torch.inference_mode():
            derived = family.derive(
                to_tensor(loader.dataset.images(chosen), spec.mode).to(next(family.parameters()).device)
            )
        table |= {name: from_tensor(value, form.condition(name).mode) for name, value in derived.items()}
    for condition in spec.conditions:
        if condition.kind == "frames":  # a model may be given fewer than it learned from: the first of them
            table[condition.name] = table[condition.name][:, : condition.length]
    if table:
        weights.write(run.path / FILE, table, {"rows": len(chosen)}, finite=False)


def condition_table(run: Run, spec: DataSpec, optional: Collection[str] = ()) -> dict[str, NDArray[Any]]:
    """The rows of conditions kept with the run; those that are `optional` where there are any."""
    if not spec.conditions:
        return {}
    if all(c.name in optional for c in spec.conditions) and not (run.path / FILE).exists():
        return {}
    try:
        table, _ = weights.read(run.path / FILE, None, finite=False)
    except MaquetteError as error:
        raise RunError(f"its table of conditions cannot be read ({error})", where=run.path, do=_DO) from None
    wanted = [c for c in spec.conditions if c.name in table or c.name not in optional]
    for condition in wanted:
        values = table.get(condition.name)
        if values is None or values.shape[1:] != condition.shape(spec.height, spec.width) or not len(values):
            raise RunError(f"its table of conditions lacks {condition.name!r}", where=run.path, do=_DO)
        least = NO_LABEL if condition.kind == "label" else 0
        whole = condition.kind in ("label", "map")
        if (
            values.dtype != np.dtype(condition.dtype)
            or len(values) != len(table[wanted[0].name])
            or (whole and not least <= int(values.min()) <= int(values.max()) < len(condition.classes))
        ):
            raise RunError(f"its table of conditions is damaged ({condition.name})", where=run.path, do=_DO)
    return {condition.name: table[condition.name] for condition in wanted}


_DO = f"remove {FILE} from it and train it with the same arguments: it is made again"
