"""The plain loop that people write, and decoding alone, each in two processes: what `ingest.py` is compared with.

    python benchmarks/ingest_loop.py loop FOLDER SIZE FILE.npy      prints files a second
    python benchmarks/ingest_loop.py decode FOLDER

A process of its own that imports nothing but NumPy and Pillow, so that neither starting nor anything of Maquette counts
against the loop. Its clock runs from the list of files to the saved array.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image as Pillow


def loaded(size: int, files: list[Path]) -> np.ndarray:
    """What a loader's worker does: open, convert, resize the shorter side, crop the middle, stack."""
    found = []
    for file in files:
        with Pillow.open(file) as picture:
            whole = picture.convert("RGB")
            scale = size / min(whole.size)
            whole = whole.resize([max(size, round(side * scale)) for side in whole.size], Pillow.Resampling.BILINEAR)
            left, top = (whole.width - size) // 2, (whole.height - size) // 2
            found.append(np.asarray(whole.crop((left, top, left + size, top + size))))
    return np.stack(found)


def decoded(files: list[Path]) -> int:
    """Decoding alone."""
    for file in files:
        with Pillow.open(file) as picture:
            picture.load()
    return len(files)


def rate(files: list[Path], work: Callable[[list[Path]], object], to: Path | None = None) -> float:
    """Files a second over batches in two processes; what comes back is kept and saved where it is wanted."""
    batches = [files[k : k + 64] for k in range(0, len(files), 64)]
    began = time.perf_counter()
    with multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn").Pool(2) as pool:
        found = list(pool.imap(work, batches))
    if to is not None:
        np.save(to, np.concatenate(found))  # type: ignore[arg-type]
    return len(files) / (time.perf_counter() - began)


if __name__ == "__main__":
    everything = sorted(file for file in Path(sys.argv[2]).rglob("*") if file.is_file())
    if sys.argv[1] == "loop":
        print(rate(everything, partial(loaded, int(sys.argv[3])), Path(sys.argv[4])))
    else:
        print(rate(everything, decoded))
