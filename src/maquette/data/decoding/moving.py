"""Files with several images: which of them are taken, where scenes change, and sequences for forecasting."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from maquette.data.decoding.limits import Limits, Refused
from maquette.data.decoding.shape import Form

if TYPE_CHECKING:
    from maquette.data.decoding.picture import Shot

CUT = 0.35
"""From this difference on (0 to 1), two frames belong to different scenes."""


def animated(picture: Any, form: Form, limits: Limits) -> Iterator[Any]:
    """The images of an animation or of a file with several pages, one after the other in one Pillow image."""
    check_count(picture, limits)
    if getattr(picture, "n_frames", 1) == 1 and form.frames == "sequences":
        raise Refused(f"it holds one image; a sequence needs {form.past + 1} (make a film or an animation of them)")
    if getattr(picture, "n_frames", 1) == 1:
        yield picture
        return
    last = None
    for number in range(picture.n_frames):
        picture.seek(number)
        # A frame is drawn over the one before it, so each is handed on as a copy of the whole.
        frame = picture.copy()
        frame.format, frame.info = picture.format, dict(picture.info)
        frame.is_animated = picture.is_animated
        if form.frames == "scenes":
            look = glance(frame)
            if last is not None and difference(last, look) < CUT:
                last = look
                continue
            last = look
        yield frame


def check_count(picture: Any, limits: Limits) -> None:
    """Refuse a file with too many images, whichever of them are wanted."""
    count = getattr(picture, "n_frames", 1)
    if count > limits.frames:
        raise Refused(f"it holds {count:,} images, more than {limits.frames:,} are not read")


def sequences(shots: Iterator[Shot], past: int) -> Iterator[Shot]:
    """Each image with the ones before it, where there are enough in one scene; half of the images overlap."""
    before: deque[Shot] = deque(maxlen=past)
    step = max(1, (past + 1) // 2)
    made, wait = 0, 0
    for shot in shots:
        if before and before[-1].scene != shot.scene:
            before.clear()
            wait = 0
        if len(before) == past:
            if wait == 0:
                made += 1
                yield replace(shot, frames=np.stack([earlier.image for earlier in before]))
                wait = step
            wait -= 1
        before.append(shot)
    if not made:
        raise Refused(f"no scene of it is long enough; a sequence needs {past + 1} frames")


def glance(picture: Any) -> NDArray[np.float32]:
    """A picture so small that only what is where is left: 12 x 12 x 3, from 0 to 1."""
    small = picture.convert("RGB").resize((12, 12), Pillow.Resampling.BOX, None, 2.0)
    return np.asarray(small, np.float32) / np.float32(255)


def difference(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    """How different two glances are, 0 to 1: by what is where, and by which colours there are at all.

    A pan changes the first and a flicker both a little; a cut changes both at once.
    """
    moved = float(np.abs(one - two).mean())
    bins = [np.histogramdd(g.reshape(-1, 3), bins=(4, 4, 4), range=((0, 1.001),) * 3)[0] / 144 for g in (one, two)]
    return 0.5 * min(1.0, 3 * moved) + 0.5 * float(np.abs(bins[0] - bins[1]).sum()) / 2
