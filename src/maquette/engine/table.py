"""The rows of conditions that a run keeps, from which what is not asked for when sampling is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.condition import FLAT, NO_LABEL
from maquette.core.errors import MaquetteError, RunError
from maquette.core.spec import DataSpec
from maquette.data.loader import Loader
from maquette.store import weights
from maquette.store.run import Run

FILE = "conditions.safetensors"
ROWS = 512
LARGE_ROWS = 32
"""Rows kept where a row is an image."""


def keep_table(run: Run, loader: Loader, spec: DataSpec) -> None:
    """Write the first rows of the training order, unless they are there."""
    if not spec.conditions or (run.path / FILE).exists():
        return
    large = any(condition.kind not in FLAT for condition in spec.conditions)
    rows = min(LARGE_ROWS if large else ROWS, len(loader))
    table = loader.dataset.conditions(loader.indices(0, rows), [condition.name for condition in spec.conditions])
    weights.write(run.path / FILE, table, {"rows": rows}, finite=False)


def condition_table(run: Run, spec: DataSpec) -> dict[str, NDArray[Any]]:
    """The rows of conditions kept with the run."""
    if not spec.conditions:
        return {}
    try:
        table, _ = weights.read(run.path / FILE, None, finite=False)
    except MaquetteError as error:
        raise RunError(f"its table of conditions cannot be read ({error})", where=run.path, do=_DO) from None
    for condition in spec.conditions:
        values = table.get(condition.name)
        if values is None or values.shape[1:] != condition.shape(spec.height, spec.width) or not len(values):
            raise RunError(f"its table of conditions lacks {condition.name!r}", where=run.path, do=_DO)
        least = NO_LABEL if condition.kind == "label" else 0
        whole = condition.kind in ("label", "map")
        if (
            values.dtype != np.dtype(condition.dtype)
            or len(values) != len(table[spec.conditions[0].name])
            or (whole and not least <= int(values.min()) <= int(values.max()) < len(condition.classes))
        ):
            raise RunError(f"its table of conditions is damaged ({condition.name})", where=run.path, do=_DO)
    return {condition.name: table[condition.name] for condition in spec.conditions}


_DO = f"remove {FILE} from it and train it with the same arguments: it is made again"
