"""The plate, a clip that was filmed: read from what was given, or put together from a photograph when nothing was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np

from maquette.core.errors import DataError
from maquette.core.image import Image, convert, load
from maquette.core.noise import normal, uniform

MOST = 240
"""Frames of a plate that are looked at."""
SIDE = 384
"""The longer side of its frames, in pixels, at most."""


def read(path: Path) -> list[Image]:
    """The frames of a film, an animation or a folder of numbered images, made smaller where they are large."""
    from maquette.data.decoding.shape import WHOLE
    from maquette.data.ingest.decode import Decoder, Task
    from maquette.data.ingest.sequence import frame_files
    from maquette.engine.files.refine import LIMITS

    if not path.exists():
        raise DataError("there is no such film or folder", where=path, do="check the path")
    files = frame_files(path) if path.is_dir() else [path]
    form = dataclasses.replace(WHOLE, frames="all", rate=0)
    frames: list[Image] = []
    with Decoder(1, LIMITS) as decoder:
        for outcome in decoder.decode([Task(content=file, form=form) for file in files[:MOST]]):
            if outcome.image is None:
                raise DataError(outcome.reason, where=path, do="give a film, an animation or a folder of images")
            frame = _smaller(convert(outcome.image, "rgb"))
            if frames and frame.shape != frames[0].shape:
                raise DataError("frames differ in size", where=path, do="give frames of one size")
            frames.append(frame)
            if len(frames) == MOST:
                break
    if len(frames) < 2:
        raise DataError("it holds a single frame", where=path, do="give a clip of at least two")
    return frames


def _smaller(frame: Image) -> Image:
    height, width = frame.shape[:2]
    share = min(1.0, SIDE / max(height, width))
    # Multiples of two, for films are written so.
    size = (max(2, round(width * share) // 2 * 2), max(2, round(height * share) // 2 * 2))
    if size == (width, height):
        return frame
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA if share < 1 else cv2.INTER_LINEAR))


def staged(photograph: Path, count: int, seed: int, width: int = 192, height: int = 128) -> list[Image]:
    """A clip with real pixels and known motion: a ball bounces before a photograph, under a lamp that swings a little,
    seen by a camera with some noise."""
    wall = convert(load(photograph), "rgb")
    share = max(width / wall.shape[1], height / wall.shape[0])
    wall = np.asarray(cv2.resize(wall, None, fx=share, fy=share, interpolation=cv2.INTER_AREA))[:height, :width]
    ground = cv2.GaussianBlur(wall, (0, 0), 0.7).astype(np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    radius = height / 7
    start = uniform(seed, "ball", 2)
    noise = normal(seed, "camera", count * height * width).reshape(count, height, width, 1)
    frames = []
    for moment in range(count):
        across = _folded(start[0] * width + 2.3 * moment, width - 2 * radius) + radius
        beat = (moment / 13 + start[1]) % 1
        up = 4 * beat * (1 - beat) * (height - 2 * radius) * 0.75
        down = height - radius - up
        far = np.hypot(x - across, y - down) / radius
        lamp = 1 + 0.12 * np.sin(2 * np.pi * moment / 40) * (x / width - 0.5)
        shade = np.clip(1 - 0.4 * np.hypot(x - across + radius / 3, y - down + radius / 3) / radius, 0.25, 1)
        ball = shade[..., None] * np.array([226, 92, 52], np.float32)
        cover = np.clip((1 - far) * radius + 0.5, 0, 1)[..., None]
        shadow = 0.35 * np.exp(-(((x - across) / radius) ** 2 + ((y - height + 4) / 7) ** 2))[..., None]
        picture = (ground * (1 - shadow) * (1 - cover) + ball * cover) * lamp[..., None] + 1.2 * noise[moment]
        frames.append(np.rint(np.clip(picture, 0, 255)).astype(np.uint8))
    return frames


def _folded(place: float, limit: float) -> float:
    """A way back and forth between 0 and the limit."""
    folded = place % (2 * limit)
    return float(min(folded, 2 * limit - folded))
