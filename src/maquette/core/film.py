"""Films of finished images: animated WebP and GIF, and MP4 and WebM where PyAV is installed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from maquette.core.errors import UsageError
from maquette.core.image import Image, convert, mode_of, to_pil

FILMS = {"webp": ".webp", "gif": ".gif", "mp4": ".mp4", "webm": ".webm"}
"""Kinds of films, and how their names end."""
VIDEOS = {"mp4": ("libx264", {"crf": "14"}), "webm": ("libvpx-vp9", {"crf": "20", "b": "0", "row-mt": "1"})}
"""What is written frame by frame, at any length: the codec, and how carefully it works."""
LARGEST = 1 << 28
"""Bytes of pixels of a film of another kind, whose frames are all held at once."""
FASTEST = 50.0
"""Frames a second; viewers slow animations down that are faster."""


def encode_film(frames: Sequence[Image], format: str = "webp", *, rate: float = 10.0, **said: Any) -> bytes:
    """Images of one size and mode as the bytes of a film, `rate` frames a second.

    WebP keeps every pixel; GIF has 256 colours and pixels that are transparent or not; MP4 (H.264) and WebM (VP9) are
    for showing, have losses, and no transparency (it is laid on white). 16-bit grey becomes 8-bit grey. `said` is what
    a WebP file says beside its pixels, as Pillow's writer takes it.
    """
    if format not in FILMS:
        raise UsageError(f"there is no kind of film {format!r}", do=f"there are: {', '.join(FILMS)}")
    if not frames or any(frame.shape != frames[0].shape for frame in frames):
        raise UsageError("a film needs images of one size", do="leave out the film")
    if not 0 < rate <= FASTEST:
        raise UsageError(f"{rate:g} frames a second are not possible", do=f"give more than 0 and at most {FASTEST:g}")
    if format in VIDEOS:
        return _video(frames, format, rate)
    mode = mode_of(frames[0])
    first, *rest = [to_pil(convert(frame, "grey") if mode == "grey16" else frame) for frame in frames]
    stream = io.BytesIO()
    shared: dict[str, Any] = {"save_all": True, "append_images": rest, "duration": round(1000 / rate), "loop": 0}
    if format == "webp":
        first.save(stream, "WEBP", lossless=True, **shared, **said)
    else:
        first.save(stream, "GIF", disposal=2 if mode == "rgba" else 1, optimize=False, **shared)
    return stream.getvalue()


class FilmFile:
    """A film that is written frame by frame. Videos go to the file as they come, so that memory does not grow with
    their length; of other kinds all frames must fit into it."""

    def __init__(self, stream: BinaryIO, format: str, *, rate: float) -> None:
        if format not in FILMS:
            raise UsageError(f"there is no kind of film {format!r}", do=f"there are: {', '.join(FILMS)}")
        if not 0 < rate <= FASTEST:
            raise UsageError(f"{rate:g} frames a second are not possible", do=f"give more than 0, at most {FASTEST:g}")
        self._stream, self._format, self._rate = stream, format, rate
        self._video: Any = None
        self._held: list[Image] = []
        self._bytes = 0
        if format in VIDEOS:
            try:
                import av
            except ImportError:
                raise UsageError(f"{format} needs PyAV", do="install maquette[video], or choose webp or gif") from None
            self._video = av.open(stream, "w", format=format)

    def add(self, frame: Image) -> None:
        """The next frame."""
        if self._video is None:
            self._bytes += frame.nbytes
            if self._bytes > LARGEST:
                raise UsageError(
                    f"a {self._format} film of more than {len(self._held):,} frames of this size is too long",
                    do="choose mp4 or webm, which can be of any length",
                )
            self._held.append(frame)
            return
        import av

        if not self._video.streams:
            codec, options = VIDEOS[self._format]
            track = self._video.add_stream(codec, rate=Fraction(self._rate).limit_denominator(1000))
            track.height, track.width = frame.shape[:2]
            track.pix_fmt, track.options = "yuv420p", options
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(convert(frame, "rgb")), format="rgb24")
        self._video.mux(self._video.streams.video[0].encode(picture))

    def close(self) -> None:
        """After the last frame."""
        if self._video is None:
            self._stream.write(encode_film(self._held, self._format, rate=self._rate))
            return
        if self._video.streams:
            self._video.mux(self._video.streams.video[0].encode())
        self._video.close()


def _video(frames: Sequence[Image], format: str, rate: float) -> bytes:
    stream = io.BytesIO()
    film = FilmFile(stream, format, rate=rate)
    for frame in frames:
        film.add(frame)
    film.close()
    return stream.getvalue()
