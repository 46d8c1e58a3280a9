"""What files say beside their pixels is handed on where it stays true, and only there."""

import base64
import functools
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from maquette.core.image import FORMATS, encode
from maquette.data.decoding.kept import for_saving, kept
from maquette.data.decoding.shape import WHOLE
from maquette.data.ingest.decode import Decoder, Task

MAKER, ORIENTATION, SOFTWARE, RIGHTS, WIDTH = 0x010F, 0x0112, 0x0131, 0x8298, 0xA002
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6" dc:creator="Ada"/></x:xmpmeta>'


@functools.cache
def file(format):
    picture = Pillow.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = Pillow.Exif()
    exif[MAKER], exif[ORIENTATION], exif[RIGHTS] = "Maker", 6, "(c) Ada"
    exif.get_ifd(0x8769).update({0x9003: "2020:02:02 02:02:02", WIDTH: 30})
    exif.get_ifd(0x8825)[1] = "N"
    stream = io.BytesIO()
    extra = {} if format in ("png", "tiff") else {"xmp": XMP}
    picture.save(stream, FORMATS[format][0], exif=exif, dpi=(300, 300), **extra)
    return stream.getvalue()


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("of", FORMATS)
def test_author_camera_and_place_go_from_any_format_to_any(of, to):
    blocks = kept(file(of))
    content = encode(np.zeros((5, 9, 3), np.uint8), to, **for_saving(blocks, to, "Maquette 9"))
    with Pillow.open(io.BytesIO(content)) as picture:
        exif = picture.getexif()
        assert exif[MAKER] == "Maker" and exif[RIGHTS] == "(c) Ada" and exif[SOFTWARE] == "Maquette 9"
        assert exif.get(ORIENTATION, 1) == 1, "pixels are upright by now"
        if of != "tiff":  # Pillow's reader of TIFF has no inner blocks once the file is closed
            assert exif.get_ifd(0x8769)[0x9003] == "2020:02:02 02:02:02"
            assert exif.get_ifd(0x8825)[1] == "N"
        assert WIDTH not in exif.get_ifd(0x8769), "the size may be another one"
        if to in ("png", "jpeg", "tiff") and of in ("png", "jpeg", "tiff"):
            assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        if of not in ("png", "tiff"):
            said = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp")
            said = said.encode() if isinstance(said, str) else said
            assert b'creator="Ada"' in said and b'Orientation="1"' in said
        assert picture.size == (9, 5)


def test_a_file_that_says_nothing_gives_nothing():
    assert kept(encode(np.zeros((4, 4, 3), np.uint8))) == {}
    assert for_saving({}, "png", "Maquette") == {}


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 300))
def test_damage_costs_the_block_not_the_image(noise, at):
    content = bytearray(file("jpeg"))
    content[at : at + len(noise)] = noise
    answer = kept(bytes(content))
    assert set(answer) <= {"exif", "xmp", "dpi"}
    for name in ("exif", "xmp"):
        assert len(base64.b64decode(answer.get(name, ""))) <= 128 << 10


def test_whole_decoding_keeps_size_mode_and_what_is_said(tmp_path):
    deep = np.arange(12 * 7, dtype=np.uint16).reshape(7, 12, 1) * 700
    (tmp_path / "deep.png").write_bytes(encode(deep))
    (tmp_path / "turned.jpg").write_bytes(file("jpeg"))
    with Decoder(1) as decoder:
        outcomes = list(decoder.decode([Task(content=path, form=WHOLE) for path in sorted(tmp_path.iterdir())]))
    assert np.array_equal(outcomes[0].image, deep)
    assert outcomes[0].kept == {}
    assert outcomes[1].image.shape == (30, 20, 3), "upright"
    assert set(outcomes[1].kept) == {"exif", "xmp", "dpi"}
