"""Films and animations: frames by rate, by scene, all, or as sequences; nothing but the film itself is ever opened."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

sys.path.insert(0, str(Path(__file__).parent))
from makers import film, paths, png, reasons, run, saved, scenes

from maquette.data.decoding.limits import Limits, Refused
from maquette.data.decoding.moving import difference, glance
from maquette.data.decoding.picture import Shot, read
from maquette.data.decoding.shape import Form

RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)
KINDS = [
    ("mp4", "libx264"), ("matroska", "libvpx-vp9"), ("webm", "libvpx"), ("avi", "mpeg4"), ("mpegts", "mpeg2video"),
    ("flv", "flv"),
]  # fmt: skip


def shots(content: bytes, **form: Any) -> list[Shot]:
    """All images at 16 px."""
    return list(read(content, Form(**{"width": 16, "height": 16, "small": "enlarge", **form}), Limits()))


@pytest.mark.parametrize(("format", "codec"), KINDS)
def test_frames_by_rate(format: str, codec: str) -> None:
    """One frame a second by default, all with rate 0, and the colours that were filmed."""
    pytest.importorskip("av")
    content = film(scenes([RED, GREEN, BLUE], 20), format, codec)
    found = shots(content)
    assert [shot.facts[3] for shot in found] == [0, 10, 20, 30, 40, 50]
    for shot, colour in zip(found, [RED, RED, GREEN, GREEN, BLUE, BLUE], strict=True):
        assert np.abs(shot.image[-1, -1].astype(int) - colour).max() < 14, format
    assert len(shots(content, rate=0.0)) == 60 and len(shots(content, rate=5.0)) == 30
    assert len(shots(content, frames="first")) == 1


def test_one_picture_a_scene() -> None:
    """`scenes` gives one settled frame after each cut."""
    pytest.importorskip("av")
    found = shots(film(scenes([RED, GREEN, BLUE, RED], 15)), frames="scenes")
    assert [shot.scene for shot in found] == [0, 1, 2, 3] and [shot.facts[3] for shot in found] == [4, 19, 34, 49]


def test_sequences_stay_inside_their_scene() -> None:
    """Each image has the frames right before it, in order, and none from before a cut."""
    pytest.importorskip("av")
    found = shots(film(scenes([RED, GREEN], 12)), frames="sequences", rate=0.0, past=3)
    assert [shot.facts[3] for shot in found] == [3, 5, 7, 9, 11, 15, 17, 19, 21, 23]
    for shot in found:
        assert shot.frames is not None and shot.frames.shape == (3, 16, 16, 3)
        ground = RED if shot.facts[3] < 12 else GREEN
        assert np.abs(shot.frames[:, -1, -1].astype(int) - ground).max() < 14
    with pytest.raises(Refused, match="long enough"):
        shots(film(scenes([RED, GREEN], 3)), frames="sequences", rate=0.0, past=8)


def test_large_films_are_bt709() -> None:
    """An unmarked film of 720 lines has the colours of BT.709, a small one those of BT.601."""
    av = pytest.importorskip("av")
    for height, space in ((720, "ITU709"), (144, "ITU601")):
        values = np.empty((height, height, 3), np.uint8)
        values[:] = (40, 200, 60)
        stream = io.BytesIO()
        with av.open(stream, "w", format="mp4") as container:
            track = container.add_stream("libx264", rate=10)
            track.width = track.height = height
            track.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(values, format="rgb24").reformat(format="yuv420p", dst_colorspace=space)
            for packet in [*track.encode(frame), *track.encode()]:
                container.mux(packet)
        assert np.abs(shots(stream.getvalue())[0].image[8, 8].astype(int) - (40, 200, 60)).max() <= 4


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", b"<MPD><BaseURL>http://127.0.0.1/</BaseURL></MPD>",
        b"RIFF\x10\0\0\0WAVEfmt ", b"#!AMR\n", b"subfile,,start,0,end,0,,:/etc/passwd",
    ],
)  # fmt: skip
def test_playlists_are_never_followed(tmp_path: Path, content: bytes) -> None:
    """Files that name other files or addresses are set aside, whatever they are called."""
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "b.m3u8", "c.mkv"):
        (tmp_path / "in" / name).write_bytes(content)
    (tmp_path / "in" / "good.png").write_bytes(png(1))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq")
    assert paths(data) == ["good.png"] and set(reasons(data)) == {"a.mp4", "b.m3u8", "c.mkv"}


def test_a_damaged_film_keeps_what_came_before(tmp_path: Path) -> None:
    """A film that is cut short gives its whole frames and one reason; sound without pictures is refused."""
    pytest.importorskip("av")
    whole = film(scenes([RED, GREEN, BLUE], 20), "matroska", "libvpx-vp9")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cut.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / "in" / "junk.mp4").write_bytes(film(scenes([RED], 5))[:40] + b"\xff" * 500)
    data, _ = run(tmp_path / "in", tmp_path / "out.mq", rate=0.0)
    assert 5 < len(data) < 60 and "junk.mp4" in reasons(data)


def test_films_in_a_dataset(tmp_path: Path) -> None:
    """Frames are named after their film; scenes are never split between the parts; several films mix with images."""
    pytest.importorskip("av")
    (tmp_path / "in" / "sea").mkdir(parents=True)
    (tmp_path / "in" / "land").mkdir()
    (tmp_path / "in" / "sea" / "a.mp4").write_bytes(film(scenes([RED, GREEN, BLUE], 20)))
    (tmp_path / "in" / "land" / "b.webm").write_bytes(film(scenes([BLUE, RED], 20), "webm", "libvpx"))
    (tmp_path / "in" / "land" / "c.png").write_bytes(png(3))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq", rate=2.0, held_out=0.3)
    names = paths(data)
    assert len(names) == 21 and "sea/a.mp4, frame 20" in names and "land/c.png" in names
    assert len(set(data.groups.tolist())) == 6
    held = {int(data.groups[k]) for k in data.indices("held-out")}
    assert held and not held & {int(data.groups[k]) for k in data.indices("train")}
    assert set(data.origins()["format"].tolist()) == {b"film", b"PNG"}


def test_sequences_in_a_dataset(tmp_path: Path) -> None:
    """Films become images with the condition `frames`; what holds one image is set aside."""
    pytest.importorskip("av")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(film(scenes([RED, GREEN, BLUE], 12)))
    (tmp_path / "in" / "b.png").write_bytes(png(3))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq", frames="sequences", past=3)
    (spec,) = data.spec.conditions
    assert (spec.name, spec.kind, spec.length) == ("frames", "frames", 3) and len(data) == 15
    frames = data.conditions([0])["frames"][0]
    assert frames.shape == (3, 16, 16, 3) and np.abs(frames[-1].astype(int) - data.images([0])[0]).mean() < 30
    assert "a sequence needs 4" in reasons(data)["b.png"]


def noise(count: int) -> list[Any]:
    """Pictures that a format cannot merge into one."""
    return [Pillow.fromarray(np.random.default_rng(k).integers(0, 256, (16, 16, 3), np.uint8)) for k in range(count)]


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_animations(format: str, tmp_path: Path) -> None:
    """The first frame by default, all on request, or sequences; each frame as it is seen, over those before it."""
    frames = noise(7)
    how: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    content = saved(frames[0], format, save_all=True, append_images=frames[1:], duration=100, **how)
    assert len(shots(content)) == 1
    found = shots(content, frames="all")
    assert len(found) == 7
    for shot, frame in zip(found, frames, strict=True):
        assert np.abs(shot.image.astype(int) - np.asarray(frame)).mean() < (30 if format == "GIF" else 1)
    assert [shot.facts[3] for shot in found] == list(range(7))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.gif").write_bytes(content)
    data, _ = run(tmp_path / "in", tmp_path / "out.mq", frames="all")
    assert len(data) == 7 and len(set(data.groups.tolist())) == 1


def test_too_many_frames() -> None:
    """An animation with more images than the limit is refused, even where only its first is wanted."""
    frames = [Pillow.new("L", (1, 1), k % 251) for k in range(300)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    for wanted in ("auto", "all"):
        with pytest.raises(Refused, match="300 images, more than 100"):
            list(read(content, Form(width=8, height=8, small="enlarge", frames=wanted), Limits(frames=100)))  # type: ignore[arg-type]


def test_what_counts_as_a_cut() -> None:
    """Another picture is a cut; a small shift, a flicker or a moving thing is not."""
    rng = np.random.default_rng(0)
    still = Pillow.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((96, 96), Pillow.Resampling.BICUBIC)
    other = Pillow.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((96, 96), Pillow.Resampling.BICUBIC)
    look = glance(still)
    shifted = glance(still.transform(still.size, Pillow.Transform.AFFINE, (1, 0, 4, 0, 1, 2)))
    brighter = glance(still.point(lambda v: min(255, round(v * 1.08))))
    assert difference(look, look) == 0
    assert difference(look, shifted) < 0.35 and difference(look, brighter) < 0.35 < difference(look, glance(other))
