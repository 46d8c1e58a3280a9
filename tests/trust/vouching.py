"""Images that count as made by a model: only the engine can vouch for them, and tests borrow its stamp."""

import numpy as np

from maquette.engine import sample as sampling

MODEL = "ab" * 32
FORMATS = ("png", "jpeg", "webp", "avif", "tiff")
SOFTWARE = {"maquette": "0.1.0", "device": "cpu", "threads": "1"}


def picture(seed=0, height=48, width=64, channels=3, dtype=np.uint8):
    """Smooth colours with a little noise, so that every format has something to do."""
    rng = np.random.default_rng(seed)
    top = 65535 if dtype == np.uint16 else 255
    coarse = rng.uniform(0.2, 0.8, (6, 8, channels)).repeat(height // 6, 0).repeat(width // 8, 1)
    return np.clip((coarse + rng.normal(0, 0.02, coarse.shape)) * top, 0, top).astype(dtype)


def vouched(image, seed=0, guided=False, model=MODEL):
    """What sampling hands to the press. Only the engine holds the stamp; tests borrow it."""
    return sampling._stamp(image, seed=seed, model=model, guided=guided)
