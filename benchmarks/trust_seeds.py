"""How far the same seed is apart across numbers of threads and precisions, for every family that samples.

    python benchmarks/trust_seeds.py [--quick]     (a part of benchmarks/trust.py)

The models learn drawings for a short while first: a fresh one would say nothing of the differences.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from maquette.core.noise import Noise
from maquette.data.drawn.drawn import make_drawn
from maquette.engine.load import load
from maquette.engine.replay import difference
from maquette.engine.sample import wishes
from maquette.engine.table import condition_table
from maquette.families import REGISTRY
from maquette.families.family import Samples
from maquette.nn.pixels import condition_tensors, from_tensor
from maquette.operations import operation as table
from maquette.store.run import Run
from maquette.store.workspace import Workspace


def sampled(model, kind, threads, precision):
    """The images of the first seeds, as 8-bit pixels."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        rows = wishes(model.spec.conditions, kind, {}, range(16), (model.spec.height, model.spec.width))
        tensors = condition_tensors(model.spec.conditions, rows)
        with torch.inference_mode():
            if precision == "bfloat16":
                with torch.autocast("cpu", torch.bfloat16):
                    *_, images = model.sample(Noise(range(16)), tensors, model.Options())
            else:
                *_, images = model.sample(Noise(range(16)), tensors, model.Options())
        return from_tensor(images.float(), model.spec.mode)
    finally:
        torch.set_num_threads(before)


def main() -> int:
    """Print a line for each family and setting; 1 when the same setting gives other pixels."""
    quick, fine = "--quick" in sys.argv, True
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        list(make_drawn("shapes", place / "s.mq", width=32, height=32, count=400))
        print("| family | against one thread, float32 | pixels that differ | largest step | mean step |")
        print("| --- | --- | --- | --- | --- |")
        for name in REGISTRY.names():
            request = {"dataset": str(place / "s.mq"), "to": str(place / name), "family": name, "scale": "micro",
                       "images": 512 if quick else 8192}  # fmt: skip
            list(table.run("train", Workspace(place / "home"), request))
            run = Run.open(place / name)
            model = load(run)
            if not isinstance(model, Samples):
                continue
            rows = condition_table(run, model.spec)
            first = sampled(model, rows, 1, "float32")
            settings = [("the same again", 1, "float32"), ("2 threads", 2, "float32"), ("4 threads", 4, "float32"),
                        ("bfloat16", 1, "bfloat16")]  # fmt: skip
            for what, threads, precision in settings:
                found = difference(first, sampled(model, rows, threads, precision))
                print(
                    f"| {name} | {what} | {found['pixels']:.2%} | {found['largest']:g} | {found['mean']:.3g} |",
                    flush=True,
                )
                fine = fine and (what != "the same again" or found["largest"] == 0)
            assert first.dtype == np.uint8
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
