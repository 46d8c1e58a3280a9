"""Colours of 16 bits come out of files as they went in."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from maquette.core import deep
from maquette.core.errors import DataError, UsageError
from maquette.core.image import encode, load
from maquette.data.decoding.shape import WHOLE
from maquette.data.ingest.decode import Decoder, Task


def pixels(height, width, channels, seed=0):
    return np.random.default_rng(seed).integers(0, 65536, (height, width, channels), dtype=np.uint16)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([3, 4]), st.integers(0, 9))
def test_png_there_and_back(height, width, channels, seed):
    image = pixels(height, width, channels, seed)
    content = deep.encode(image)
    assert deep.is_deep(content)
    assert np.array_equal(deep.decode(content), image)
    with Pillow.open(io.BytesIO(content)) as picture:  # another reader, which keeps the upper 8 bits
        assert np.abs(np.asarray(picture).astype(int) - image // 257).max() <= 1


def test_what_is_said_goes_in(tmp_path):
    exif = Pillow.Exif()
    exif[0x8298] = "(c) Ada"
    image = pixels(5, 7, 3)
    (tmp_path / "a.png").write_bytes(encode(image, "png", exif=exif.tobytes(), dpi=(300, 300)))
    with Pillow.open(tmp_path / "a.png") as picture:
        assert picture.getexif()[0x8298] == "(c) Ada"
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert np.array_equal(load(tmp_path / "a.png"), image)


def test_other_formats_are_refused_and_other_arrays():
    with pytest.raises(UsageError, match="tiff files cannot hold colours of 16 bits here; use png"):
        encode(pixels(4, 4, 3), "tiff")
    with pytest.raises(DataError):
        deep.encode(pixels(4, 4, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_files_are_read_whole_with_all_bits_and_upright(tmp_path, ending, orientation):
    image = pixels(6, 9, 3)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    if ending == ".png":
        content = encode(image, "png", exif=exif.tobytes())
    else:
        content = cv2.imencode(ending, np.ascontiguousarray(image[..., ::-1]))[1].tobytes()
        if orientation > 1:
            pytest.skip("OpenCV writes no orientation")
    (tmp_path / f"a{ending}").write_bytes(content)
    eight = tmp_path / "eight.png"
    Pillow.fromarray((image // 257).astype(np.uint8)).save(eight, exif=exif)
    with Decoder(1) as decoder:
        tasks = [Task(content=path, form=WHOLE) for path in (tmp_path / f"a{ending}", eight)]
        whole, usual = (outcome.image for outcome in decoder.decode(tasks))
    assert whole.dtype == np.uint16
    assert whole.shape == usual.shape
    assert np.abs(whole // 257 - usual.astype(int)).max() <= 1


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(16, 160))
def test_damage_raises_nothing_unknown(noise, at):
    content = bytearray(deep.encode(pixels(6, 5, 3)))
    content[at : at + len(noise)] = noise
    if (
        deep.is_deep(bytes(content))
        and int.from_bytes(content[16:20], "big") * int.from_bytes(content[20:24], "big") < 1e6
    ):
        found = deep.decode(bytes(content))
        assert found is None or found.dtype == np.uint16
