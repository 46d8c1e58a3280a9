"""Frames to go on from: read in the order of their numbers, and never with a gap, a leap or a change of size."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from maquette.core.errors import DataError
from maquette.core.film import encode_film
from maquette.data.ingest.sequence import frame_files, read_frames


def grey(value, side=16):
    return np.full((side, side, 1), value, np.uint8)


def write(folder, names, side=16):
    folder.mkdir(exist_ok=True)
    for place, name in enumerate(names):
        Pillow.fromarray(grey(10 * place + 10, side)[..., 0]).save(folder / name)
    return folder


def values(frames):
    return frames[:, 0, 0, 0].tolist()


def get(where, count=3, mode="grey", side=16):
    return read_frames(where, count, width=side, height=side, mode=mode)


def test_a_folder_is_read_in_the_order_of_its_numbers_and_the_last_frames_are_taken(tmp_path):
    folder = write(tmp_path / "a", [f"shot-{number}.png" for number in (8, 9, 10, 11, 12)])
    (folder / "notes.txt").write_text("nothing")
    (folder / ".hidden").write_text("nothing")
    assert values(get(folder)) == [30, 40, 50]
    assert values(get(folder, 5)) == [10, 20, 30, 40, 50]
    assert get(folder, 2, "rgb", 8).shape == (2, 8, 8, 3)
    assert next(file.name for file in frame_files(folder)) == "shot-8.png"


def test_every_second_frame_is_as_good(tmp_path):
    assert values(get(write(tmp_path / "a", ["2.png", "4.png", "6.png"]))) == [10, 20, 30]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1.png", "2.png", "4.png"], r"there is a gap between 2\.png and 4\.png; add frame 3, or leave out"),
        (["01.png", "1.png", "2.png"], r"01\.png and 1\.png have one number"),
        (["1.png", "2.png", "last.png"], r"the name last\.png has no number"),
        (["1.png", "2.png"], "it holds 2 frames, and the model goes on from 3; give at least 3"),
        (["1.png"], "it holds 1 frame, and the model goes on from 3"),
        ([], "there is no image in it"),
    ],
)
def test_frames_that_do_not_follow_each_other_are_refused(tmp_path, names, words):
    with pytest.raises(DataError, match=words):
        get(write(tmp_path / "a", names))


def test_frames_of_other_sizes_and_files_that_are_no_images_are_refused_by_name(tmp_path):
    folder = write(tmp_path / "a", ["1.png", "2.png"])
    Pillow.fromarray(grey(1, 24)[..., 0]).save(folder / "3.png")
    with pytest.raises(DataError, match=r"frames differ in size: 1\.png has 16x16, 3\.png 24x24"):
        get(folder)
    (folder / "3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"3\.png"):
        get(folder)
    (folder / "3.png").write_bytes(encode_film([grey(1), grey(9)], "gif"))
    with pytest.raises(DataError, match=r"3\.png: it holds several images"):
        get(folder)
    with pytest.raises(DataError, match="there is no such film or folder"):
        get(tmp_path / "nowhere")


@pytest.mark.parametrize("format", ["webp", "gif", "mp4"])
def test_films_and_animations_are_read_to_their_end(tmp_path, format):
    if format == "mp4":
        pytest.importorskip("av")
    film = tmp_path / f"film.{format}"
    film.write_bytes(encode_film([grey(value, 32) for value in (70, 80, 90, 100, 110)], format))
    found = get(film, side=32)
    assert found.shape == (3, 32, 32, 1)
    assert np.abs(np.array(values(found)) - [90, 100, 110]).max() <= 4
    with pytest.raises(DataError, match="it holds 5 frames, and the model goes on from 9"):
        get(film, 9, side=32)


def test_a_film_that_is_cut_shortly_before_its_end_is_refused(tmp_path):
    av = pytest.importorskip("av")
    randoms = np.random.default_rng(0)
    scenes = [np.zeros((64, 64, 3), np.uint8), randoms.integers(0, 256, (64, 64, 3)).astype(np.uint8)]
    scenes[0][:, 32:] = (200, 40, 10)
    scenes[1] = np.kron(scenes[1][::16, ::16], np.ones((16, 16, 1), np.uint8))
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as film:
        track = film.add_stream("mpeg4", rate=5)
        track.width, track.height, track.pix_fmt = 64, 64, "yuv420p"
        for picture in [scenes[0]] * 6 + [scenes[1]] * 2:
            film.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(track.encode())
    path = tmp_path / "cut.mp4"
    path.write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="its scene changes 2 frames before the end, and the model goes on from 3"):
        get(path, side=64)
    assert len(get(path, 2, side=64)) == 2
