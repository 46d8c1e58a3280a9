"""Making an image again from its manifest: the same model, seed, wishes and dials, in passes of the same size."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maquette.core.errors import ConditionError, TrustError
from maquette.core.noise import Mix
from maquette.core.settings import from_json
from maquette.core.spec import DataSpec
from maquette.engine.load import load, rebuild_within
from maquette.engine.sample import software, vouched
from maquette.families.family import Family
from maquette.store.run import Run
from maquette.trust.manifest import Manifest
from maquette.trust.origin import Generated

MOST_BATCH = 4096


def form_of(run: Run, manifest: Manifest) -> DataSpec:
    """The form of what the run's model makes with the dials of the manifest, and what it can be given for it."""
    with torch.device("meta"):
        model = rebuild_within(run.facts.get("model_recipe"), run.path)
    return model.made(_options(model, run, manifest))


def _options(model: Family, run: Run, manifest: Manifest) -> Any:
    return from_json(model.Options, manifest.dials, what=f"the dials of {run.facts.get('family')}")


def again(
    run: Run, manifest: Manifest, given: Mapping[str, NDArray[Any]], device: str = "cpu"
) -> tuple[Generated, dict[str, str]]:
    """The image, and on what it was computed now. `given` holds the pixels of images that it was made from."""
    if manifest.seed is None:
        raise TrustError("its manifest names no seed, so it cannot be made again")
    model = load(run, device=device)
    family = str(run.facts.get("family"))
    if manifest.family and manifest.family != family:
        raise TrustError(
            f"the image was made by a model of the family {manifest.family}, and this one is {family}",
            where=run.path, do="give the run that made it",
        )  # fmt: skip
    options = _options(model, run, manifest)
    spec, rows = model.made(options), {}
    for condition in spec.conditions:
        if condition not in model.spec.conditions and condition.name not in {*given, *manifest.conditions}:
            continue  # it was left out
        value = given.get(condition.name, manifest.conditions.get(condition.name))
        if condition.name not in given and isinstance(value, str) and value.startswith("sha256:"):
            raise ConditionError(
                f"the image was made from another one ({condition.name})", do=f"give --given {condition.name}=FILE"
            )
        rows[condition.name] = condition.encode(value, spec.height, spec.width)[None]
    batch = manifest.batch if 0 < manifest.batch <= MOST_BATCH else model.together
    with _threads(manifest.software.get("threads", "")):
        seed = Mix(tuple(manifest.seeds), tuple(manifest.weights)) if manifest.weights else manifest.seed
        (made,) = next(vouched(model, str(run.facts["model"]), [seed], rows, options, micro=batch))
        return made, software(model)


@contextlib.contextmanager
def _threads(text: str) -> Iterator[None]:
    """Compute with as many threads as then: the order in which sums are taken depends on it."""
    before = torch.get_num_threads()
    wanted = int(text) if text.isdecimal() and 0 < int(text) <= 256 else before
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def difference(one: NDArray[Any], other: NDArray[Any]) -> dict[str, float]:
    """How far two images of one form are apart: share of pixels, largest and mean step, and the ratio in decibels."""
    apart = np.abs(one.astype(np.int64) - other.astype(np.int64))
    top = float(np.iinfo(one.dtype).max)
    square = float((apart.astype(np.float64) ** 2).mean())
    found = {
        "pixels": float((apart.max(axis=-1) > 0).mean()), "largest": float(apart.max()),
        "mean": float(apart.mean()),
    }  # fmt: skip
    return found if not square else {**found, "psnr": round(10 * float(np.log10(top**2 / square)), 2)}
