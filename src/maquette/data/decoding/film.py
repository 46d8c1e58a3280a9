"""Films: frames by rate, by scene, or all, decoded one after the other and never held together.

The container format is named by the first bytes and the reader is told which one to use, from a stream of bytes and
not from a name: so playlists and other files that name further files or addresses are never followed.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import Image as Pillow

from maquette.data.decoding.kinds import HEAD, film_format
from maquette.data.decoding.limits import Limits, Refused
from maquette.data.decoding.moving import CUT, difference, glance
from maquette.data.decoding.shape import Form

_BLOCK = 64
"""Frames of one scene that count as one group; a film of a single scene can be held out in part."""
_SETTLED = 0.4
"""Seconds after a cut at which a scene's picture is taken: fades and flashes are over."""
_TURNS = {90: Pillow.Transpose.ROTATE_90, 180: Pillow.Transpose.ROTATE_180, 270: Pillow.Transpose.ROTATE_270}


@dataclass(frozen=True)
class Frame:
    """One frame: its pixels as a Pillow image, its number in the film, and its scene."""

    picture: Any
    number: int
    scene: int


def film_frames(content: bytes | BinaryIO, form: Form, limits: Limits) -> Iterator[Frame]:
    """The frames that the form asks for."""
    try:
        import av
    except ImportError:
        raise Refused("it is a film; install maquette[video] to read those") from None
    stream = io.BytesIO(content) if isinstance(content, bytes) else io.BufferedReader(content, 1 << 20)  # type: ignore[type-var]
    head = stream.read(HEAD)
    stream.seek(0)
    # No protocol may be opened besides the stream itself, whatever the file asks for.
    options = {"protocol_whitelist": "none", "format_whitelist": _named(film_format(head))}
    try:
        with av.open(stream, "r", format=film_format(head), options=options) as film:
            if not film.streams.video:
                raise Refused("it holds no moving pictures")
            yield from _taken(_all(film, limits), form, limits)
    except av.error.FFmpegError as error:
        raise Refused(f"the film is damaged ({str(error.strerror or error).lower()[:80]})") from None


def _named(format: str) -> str:
    """All names under which FFmpeg knows a format."""
    return {"matroska": "matroska,webm", "mov": "mov,mp4,m4a,3gp,3g2,mj2"}.get(format, format)


def _all(film: Any, limits: Limits) -> Iterator[tuple[float, Any]]:
    """Every frame with its time in seconds."""
    stream = film.streams.video[0]
    stream.thread_type = "NONE"  # One worker a processor decodes films side by side.
    if stream.codec_context.width * stream.codec_context.height > limits.pixels:
        raise Refused(f"its frames have more than {limits.pixels / 1e6:g} million pixels, which are not read")
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    for number, frame in enumerate(film.decode(stream)):
        if frame.width * frame.height > limits.pixels:
            raise Refused(f"its frames have more than {limits.pixels / 1e6:g} million pixels, which are not read")
        yield frame.time if frame.time is not None else number / max(rate, 1e-3), frame


def _taken(frames: Iterator[tuple[float, Any]], form: Form, limits: Limits) -> Iterator[Frame]:
    if form.frames == "scenes":
        yield from _one_a_scene(frames)
        return
    last, scene, block, due = None, 0, 0, -math.inf
    for number, (time, frame) in enumerate(frames):
        if form.rate > 0 and time < due - 1e-6:
            continue
        if form.rate > 0:  # After a gap in the film, the beat begins anew.
            due = max(due + 1 / form.rate, time + 0.51 / form.rate) if due > -math.inf else time + 1 / form.rate
        picture = _picture(frame)
        look = glance(picture)
        block += 1
        if last is not None and (difference(last, look) >= CUT or block >= _BLOCK):
            scene, block = scene + 1, 0
        last = look
        yield Frame(picture, number, scene)
        if form.frames == "first":
            return


def _one_a_scene(frames: Iterator[tuple[float, Any]]) -> Iterator[Frame]:
    last, scene, due, waiting = None, 0, 0.0, None
    for number, (time, frame) in enumerate(frames):
        look = glance(frame.reformat(48, 48, "rgb24").to_image())
        if last is None or difference(last, look) >= CUT:
            scene += last is not None
            due, waiting = time + _SETTLED, frame
        last = look
        if waiting is not None:
            waiting = frame
            if time >= due:
                yield Frame(_picture(frame), number, scene)
                waiting = None
    if waiting is not None:
        yield Frame(_picture(waiting), number, scene)


def _picture(frame: Any) -> Any:
    """A frame as it is meant to be seen: colours, shape of its pixels, and turned upright."""
    alpha = any(component.is_alpha for component in frame.format.components)
    # Unmarked films follow the custom: large ones BT.709, small ones BT.601.
    space = {1: "ITU709", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M"}.get(int(frame.colorspace))
    space = space or ("ITU709" if frame.height >= 720 else "ITU601")
    mode = "rgba" if alpha else "rgb24"
    picture = frame.reformat(format=mode, src_colorspace=space).to_image()
    if alpha and picture.mode != "RGBA":
        picture = Pillow.fromarray(frame.reformat(format="rgba").to_ndarray())
    ratio = frame.sample_aspect_ratio if hasattr(frame, "sample_aspect_ratio") else None
    if ratio and ratio > 0 and not 0.98 < float(ratio) < 1.02 and 0.1 < float(ratio) < 10:
        picture = picture.resize((max(1, round(picture.width * float(ratio))), picture.height))
    turn = int(getattr(frame, "rotation", 0)) % 360
    return picture.transpose(_TURNS[turn]) if turn in _TURNS else picture
