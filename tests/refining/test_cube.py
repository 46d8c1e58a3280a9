"""Look-up tables: what is read is what was written, greys stay clean, and broken files cost one clear sentence."""

import os

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageFilter

from maquette.core.errors import DataError, UsageError
from maquette.refining import registry
from maquette.refining.colour import cube
from maquette.refining.colour.cube import Cube, parse

LUT = registry.get("lut")


@pytest.fixture(scope="module")
def photograph():
    return np.ascontiguousarray(skimage.data.astronaut()[:200, 100:330])


def look(image):
    """A warm look with an S-curve, pixel by pixel."""
    return registry.get("contrast")(registry.get("temperature")(image, amount=0.5), amount=0.4)


@pytest.mark.parametrize("size", [2, 5, 33])
def test_a_cube_that_was_written_is_read_again(tmp_path, size):
    made = Cube.of(look, size, title='Warm "one"')
    read = cube.read(made.write(tmp_path / "look.cube"))
    assert np.allclose(read.lattice, made.lattice, atol=1e-6)
    assert read.title == "Warm one"


def test_curves_and_lattice_in_one_file_are_read_again(tmp_path):
    curves = np.linspace(0, 1, 11, dtype=np.float32)[:, None].repeat(3, axis=1) ** 2
    made = Cube(curves=curves, lattice=Cube.of(look, 5).lattice, curve_domain=((0,) * 3, (2,) * 3))
    read = parse(made.to_text().encode())
    assert np.allclose(read.curves, curves, atol=1e-6)
    assert read.curve_domain == made.curve_domain
    assert read.lattice_domain == made.lattice_domain


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("method", ["tetrahedral", "trilinear"])
def test_a_cube_does_what_it_was_made_of(photograph, dtype, method):
    image = {
        np.uint8: photograph,
        np.uint16: photograph.astype(np.uint16) * 257,
        np.float32: photograph / np.float32(255),
    }
    white = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    made = Cube.of(look, 33)(image[dtype], method)
    assert made.dtype == dtype
    error = np.abs(made.astype(float) - look(image[dtype]).astype(float)) / white * 255
    assert error.mean() < 0.4
    assert np.quantile(error, 0.999) < 4


@pytest.mark.parametrize("method", ["tetrahedral", "trilinear"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_identity_changes_nothing(photograph, dtype, method):
    image = {
        np.uint8: photograph,
        np.uint16: photograph.astype(np.uint16) * 257,
        np.float32: photograph / np.float32(255),
    }
    made = Cube.of(lambda colours: colours, 17)
    assert made.is_identity
    assert not Cube.of(look, 17).is_identity
    error = np.abs(made(image[dtype], method).astype(float) - image[dtype].astype(float)).max()
    assert error <= (1 if dtype != np.float32 else 1e-6)


def test_trilinear_is_that_of_pillow(photograph):
    made = Cube.of(look, 17)
    theirs = Pillow.fromarray(photograph).filter(ImageFilter.Color3DLUT(17, made.lattice.ravel().tolist()))
    assert np.abs(made(photograph, "trilinear").astype(int) - np.asarray(theirs)).max() == 0
    wide = made.__class__(lattice=made.lattice, lattice_domain=((0, 0, 0), (1, 1, 1.0000001)))  # not through Pillow
    assert np.abs(wide(photograph, "trilinear").astype(int) - np.asarray(theirs)).max() <= 1


@given(st.integers(2, 9), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_greys_come_from_greys_alone(size, seed):
    """However wild the colours of a table are: where its greys are grey, tetrahedral keeps greys grey."""
    lattice = np.random.default_rng(seed).random((size, size, size, 3)).astype(np.float32)
    at = np.arange(size)
    lattice[at, at, at] = np.sort(np.random.default_rng(seed).random(size))[:, None]
    ramp = np.repeat(np.linspace(0, 1, 300, dtype=np.float32)[None, :, None], 3, axis=2)
    assert np.ptp(Cube(lattice=lattice)(ramp), axis=2).max() < 2e-6


def test_a_domain_is_kept(photograph):
    lattice = Cube.of(lambda colours: colours, 3).lattice
    half = Cube(lattice=lattice, lattice_domain=((0, 0, 0), (0.5, 0.5, 0.5)))
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    expected = np.minimum(ramp.astype(int) * 2, 255)
    for made in (half, parse(half.to_text().encode())):
        assert np.abs(made(ramp).astype(int) - expected).max() <= 1


def text(*head, rows=8, row="0.5 0.5 0.5"):
    return "\n".join([*head, *[row] * rows]).encode()


HOSTILE = {
    "empty": b"",
    "blank": b"\n\n  \n",
    "comment alone": b"# nothing\n",
    "words": b"hello, this is a letter\n" * 40,
    "binary": bytes(range(256)) * 30,
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 90,
    "random text": "Ω≈ç√∫˜µ≤≥÷\n".encode() * 50,
    "no size": text(),
    "size without number": text("LUT_3D_SIZE"),
    "size of one": text("LUT_3D_SIZE 1", rows=1),
    "size of nothing": text("LUT_3D_SIZE 0", rows=0),
    "negative size": text("LUT_3D_SIZE -2"),
    "size with a point": text("LUT_3D_SIZE 2.0"),
    "size in powers": text("LUT_3D_SIZE 1e9"),
    "huge size": text("LUT_3D_SIZE 1000000000"),
    "huge size of curves": text("LUT_1D_SIZE 999999999"),
    "size of many digits": text("LUT_3D_SIZE " + "9" * 5000),
    "size that is not ASCII": text("LUT_3D_SIZE ٢"),
    "size above the limit": text("LUT_3D_SIZE 130"),
    "two sizes": text("LUT_3D_SIZE 2", "LUT_3D_SIZE 2"),
    "size with two numbers": text("LUT_3D_SIZE 2 2"),
    "too few rows": text("LUT_3D_SIZE 2", rows=7),
    "too many rows": text("LUT_3D_SIZE 2", rows=9),
    "no rows": text("LUT_3D_SIZE 33", rows=0),
    "two numbers a row": text("LUT_3D_SIZE 2", row="0.5 0.5"),
    "four numbers a row": text("LUT_3D_SIZE 2", row="0.5 0.5 0.5 1"),
    "rows of different lengths": text("LUT_3D_SIZE 2", rows=7) + b"\n0.1 0.2",
    "NaN": text("LUT_3D_SIZE 2", rows=7) + b"\n0.1 nan 0.2",
    "infinity": text("LUT_3D_SIZE 2", rows=7) + b"\n0.1 inf 0.2",
    "beyond floats": text("LUT_3D_SIZE 2", rows=7) + b"\n0.1 1e999 0.2",
    "far outside": text("LUT_3D_SIZE 2", row="0.5 1e7 0.5"),
    "words among numbers": text("LUT_3D_SIZE 2", rows=7) + b"\n0.1 red 0.2",
    "hexadecimal": text("LUT_3D_SIZE 2", row="0x1 0x1 0x1"),
    "commas": text("LUT_3D_SIZE 2", row="0,5 0,5 0,5"),
    "keyword among numbers": text("LUT_3D_SIZE 2", rows=7) + b"\nTITLE x y",
    "size after the numbers": text(rows=8) + b"\nLUT_3D_SIZE 2",
    "domain the wrong way round": text("LUT_3D_SIZE 2", "DOMAIN_MIN 1 1 1", "DOMAIN_MAX 0 0 0"),
    "domain of nothing": text("LUT_3D_SIZE 2", "DOMAIN_MIN 1 0 0"),
    "domain of words": text("LUT_3D_SIZE 2", "DOMAIN_MIN a b c"),
    "domain of two numbers": text("LUT_3D_SIZE 2", "DOMAIN_MIN 0 0"),
    "domain that is not a number": text("LUT_3D_SIZE 2", "DOMAIN_MAX nan 1 1"),
    "endless domain": text("LUT_3D_SIZE 2", "DOMAIN_MAX inf 1 1"),
    "range of one number": text("LUT_3D_SIZE 2", "LUT_3D_INPUT_RANGE 0"),
    "range that is empty": text("LUT_3D_SIZE 2", "LUT_3D_INPUT_RANGE 1 1"),
    "one long line": b"LUT_3D_SIZE 2\n" + b"0.5 " * 200_000,
    "utf-16": "LUT_3D_SIZE 2\n".encode("utf-16"),
    "xml": b"<?xml version='1.0'?><look/>",
    "3dl": b"Mesh 4 10\n0 341 682 1023\n",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_broken_file_costs_one_sentence(tmp_path, name, photograph):
    path = tmp_path / "broken.cube"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(DataError) as caught:
        LUT(photograph, file=str(path))
    said = str(caught.value)
    assert said.startswith(str(path)) and said.endswith(".") and len(said) < 300 + len(str(path))
    assert "Traceback" not in said and "\n" not in said


def test_a_huge_size_allocates_nothing():
    import tracemalloc

    tracemalloc.start()
    for name in ("huge size", "huge size of curves", "size of many digits", "no rows"):
        with pytest.raises(DataError):
            parse(HOSTILE[name])
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


@given(st.binary(max_size=200), st.integers(0, 400))
@settings(max_examples=300, deadline=None)
def test_a_file_with_anything_in_it_is_read_or_refused(noise, at):
    whole = Cube.of(look, 2).to_text().encode()
    for content in (noise, whole[:at] + noise + whole[at:], whole[:at] + noise):
        try:
            made = parse(content)
        except DataError:
            continue
        for table in (made.curves, made.lattice):
            assert table is None or np.isfinite(table).all()


def test_what_is_no_file_is_refused(tmp_path, photograph):
    with pytest.raises(DataError, match="cannot be read"):
        LUT(photograph, file=str(tmp_path / "none.cube"))
    with pytest.raises(DataError, match="plain file"):
        LUT(photograph, file=str(tmp_path))
    with pytest.raises(UsageError, match="needs its file"):
        LUT(photograph)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.cube")
        with pytest.raises(DataError, match="plain file"):
            LUT(photograph, file=str(tmp_path / "pipe.cube"))


def test_a_file_that_changed_is_read_again(tmp_path, photograph):
    path = Cube.of(lambda colours: colours, 3).write(tmp_path / "look.cube")
    assert np.abs(LUT(photograph, file=str(path)).astype(int) - photograph).max() <= 1
    Cube.of(lambda colours: 1 - colours, 2).write(path)
    assert np.abs(LUT(photograph, file=str(path)).astype(int) - (255 - photograph.astype(int))).max() <= 1


def test_as_programs_write_them():
    """Comments, blank lines, other keywords, signs and exponents, and Windows' line ends."""
    rows = [f"{r} {g:.1f} +{b}e0 # row" for b in (0, 1) for g in (0, 1) for r in (0, 1)]
    head = ["# by a program", 'TITLE "A look"', "", "LUT_3D_SIZE 2", "LUT_IN_VIDEO_RANGE", "DOMAIN_MIN 0 0 0", ""]
    made = parse("\r\n".join([*head, *rows[:4], "", "# half", *rows[4:], "", ""]).encode("utf-8-sig"))
    assert made.title == "A look"
    assert made.is_identity
