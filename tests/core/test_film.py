"""Films written and read back: every pixel where the format keeps it, and clear words where it cannot."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from maquette.core import film as films
from maquette.core.errors import UsageError
from maquette.core.film import FILMS, FilmFile, encode_film
from maquette.core.image import CHANNELS, convert, from_pil


def frames_of(mode, count=4, width=24, height=16):
    randoms = np.random.default_rng(0)
    top, kind = (65535, np.uint16) if mode == "grey16" else (255, np.uint8)
    return [randoms.integers(0, top + 1, (height, width, CHANNELS[mode])).astype(kind) for _ in range(count)]


def read(content):
    with Pillow.open(io.BytesIO(content)) as picture:
        found, times = [], []
        for number in range(picture.n_frames):
            picture.seek(number)
            found.append(from_pil(picture.copy()))
            picture.load()
            times.append(picture.info["duration"])
    return found, times


@pytest.mark.parametrize("mode", ["grey", "rgb", "rgba", "grey16"])
def test_webp_keeps_every_pixel_and_the_pace(mode):
    frames = frames_of(mode)
    if mode == "rgba":  # what is invisible has no colour
        for frame in frames:
            frame[..., 3] = 255 * (frame[..., 3] > 100)
            frame[frame[..., 3] == 0] = 0
    found, times = read(encode_film(frames, "webp", rate=8))
    assert len(found) == 4 and set(times) == {125}
    shown = "rgba" if mode == "rgba" else "rgb"
    for frame, back in zip(frames, found, strict=True):
        eight = convert(frame, "grey") if mode == "grey16" else frame
        assert np.array_equal(convert(convert(back, "rgba"), shown), convert(eight, shown))


def test_gif_keeps_grey_pixels():
    frames = frames_of("grey")
    found, _ = read(encode_film(frames, "gif"))
    assert [np.array_equal(convert(back, "grey"), frame) for frame, back in zip(frames, found, strict=True)] == [
        True
    ] * 4


@pytest.mark.parametrize("mode", ["grey", "rgb", "rgba"])
def test_mp4_is_near_and_can_be_read_by_the_reader_of_films(mode):
    av = pytest.importorskip("av")
    smooth = np.linspace(20, 230, 32)[None, :, None].repeat(32, 0).repeat(CHANNELS[mode], 2)
    frames = [np.rint(smooth * (0.5 + 0.1 * k)).clip(0, 255).astype(np.uint8) for k in range(5)]
    if mode == "rgba":
        frames = [np.concatenate([f[..., :3], np.full_like(f[..., :1], 255)], axis=2) for f in frames]
    with av.open(io.BytesIO(encode_film(frames, "mp4", rate=5))) as film:
        assert float(film.streams.video[0].average_rate) == 5
        found = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(found) == 5
    for frame, back in zip(frames, found, strict=True):
        assert np.abs(convert(frame, "rgb").astype(int) - back).mean() < 6


def test_what_is_no_film_is_said():
    frames = frames_of("grey")
    with pytest.raises(UsageError, match="no kind of film 'avi'; there are: webp, gif, mp4, webm"):
        encode_film(frames, "avi")
    for wrong in ([], [frames[0], frames[0][:8]]):
        with pytest.raises(UsageError, match="images of one size"):
            encode_film(wrong)
    for rate in (0, 51, -1):
        with pytest.raises(UsageError, match="frames a second are not possible"):
            encode_film(frames, rate=rate)
    assert set(FILMS.values()) == {".webp", ".gif", ".mp4", ".webm"}


def written(frames, format, **more):
    stream = io.BytesIO()
    film = FilmFile(stream, format, rate=12, **more)
    for frame in frames:
        film.add(frame)
    film.close()
    return stream.getvalue()


@pytest.mark.parametrize("format", ["mp4", "webm"])
def test_a_video_is_written_frame_by_frame(format):
    av = pytest.importorskip("av")
    ramp = (np.full((16, 24, 3), level, np.uint8) for level in range(40, 240, 5))
    with av.open(io.BytesIO(written(ramp, format))) as film:
        found = [frame.to_ndarray(format="rgb24").mean() for frame in film.decode(video=0)]
    assert len(found) == 40 and np.allclose(found, range(40, 240, 5), atol=6)


def test_other_films_written_frame_by_frame_are_the_same_files():
    frames = frames_of("rgb")
    for format in ("webp", "gif"):
        assert written(frames, format) == encode_film(frames, format, rate=12)


def test_a_film_that_must_fit_into_memory_has_an_end(monkeypatch):
    monkeypatch.setattr(films, "LARGEST", 3 * 24 * 16 * 3)
    with pytest.raises(UsageError, match=r"more than 3 frames.*mp4 or webm"):
        written(frames_of("rgb"), "gif")
    for wrong in ({"format": "avi"}, {"format": "webp", "rate": 99}):
        with pytest.raises(UsageError):
            FilmFile(io.BytesIO(), **{"rate": 10, **wrong})
