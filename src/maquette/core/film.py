"""Films of finished images: animated WebP and GIF, and MP4 where PyAV is installed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from maquette.core.errors import UsageError
from maquette.core.image import Image, convert, mode_of, to_pil

FILMS = {"webp": ".webp", "gif": ".gif", "mp4": ".mp4"}
"""Kinds of films, and how their names end."""
FASTEST = 50.0
"""Frames a second; viewers slow animations down that are faster."""


def encode_film(frames: Sequence[Image], format: str = "webp", *, rate: float = 10.0, **said: Any) -> bytes:
    """Images of one size and mode as the bytes of a film, `rate` frames a second.

    WebP keeps every pixel; GIF has 256 colours and pixels that are transparent or not; MP4 (H.264) is for showing, has
    losses, and no transparency (it is laid on white). 16-bit grey becomes 8-bit grey. `said` is what a WebP file says
    beside its pixels, as Pillow's writer takes it.
    """
    if format not in FILMS:
        raise UsageError(f"there is no kind of film {format!r}", do=f"there are: {', '.join(FILMS)}")
    if not frames or any(frame.shape != frames[0].shape for frame in frames):
        raise UsageError("a film needs images of one size", do="leave out the film")
    if not 0 < rate <= FASTEST:
        raise UsageError(f"{rate:g} frames a second are not possible", do=f"give more than 0 and at most {FASTEST:g}")
    if format == "mp4":
        return _mp4(frames, rate)
    mode = mode_of(frames[0])
    first, *rest = [to_pil(convert(frame, "grey") if mode == "grey16" else frame) for frame in frames]
    stream = io.BytesIO()
    shared: dict[str, Any] = {"save_all": True, "append_images": rest, "duration": round(1000 / rate), "loop": 0}
    if format == "webp":
        first.save(stream, "WEBP", lossless=True, **shared, **said)
    else:
        first.save(stream, "GIF", disposal=2 if mode == "rgba" else 1, optimize=False, **shared)
    return stream.getvalue()


def _mp4(frames: Sequence[Image], rate: float) -> bytes:
    try:
        import av
    except ImportError:
        raise UsageError("MP4 needs PyAV", do="install maquette[video], or choose webp or gif") from None
    from fractions import Fraction

    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as film:
        track = film.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
        track.height, track.width = frames[0].shape[:2]
        track.pix_fmt, track.options = "yuv420p", {"crf": "14"}
        for frame in frames:
            picture = np.ascontiguousarray(convert(frame, "rgb"))
            film.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(track.encode())
    return stream.getvalue()
