"""Small, plain files: the short way gives the pixels that the long way gives, and leaves all others to it."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from maquette.data.decoding import picture
from maquette.data.decoding.limits import Limits, Refused
from maquette.data.decoding.plain import look
from maquette.data.decoding.shape import Form

RNG = np.random.default_rng(0)


def saved(image: Pillow.Image, format: str, **more: object) -> bytes:
    """The image as a file."""
    stream = io.BytesIO()
    image.save(stream, format, **more)  # type: ignore[arg-type]
    return stream.getvalue()


def noise(width: int, height: int, mode: str = "RGB") -> Pillow.Image:
    """Smooth noise, which every filter of PNG and every coefficient of JPEG has something to do with."""
    small = Pillow.fromarray(RNG.integers(0, 256, (5, 5, 3), np.uint8))
    return small.resize((width, height), Pillow.Resampling.BICUBIC).convert(mode)


def shot(content: bytes, form: Form, *, short: bool) -> picture.Shot:
    """What becomes of a file, the short way if that can be gone, or the long one."""
    return next(picture.read(content, form, Limits(), look(content) if short else None))


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 300), st.integers(1, 300), st.sampled_from(["RGB", "L"]), st.sampled_from(["PNG", "JPEG"]),
    st.integers(1, 100), st.sampled_from([0, 1, 2]),
    st.sampled_from([(32, 32, "crop"), (24, 40, "pad"), (16, 16, "stretch")]), st.sampled_from(["rgb", "grey", "auto"]),
)  # fmt: skip
def test_both_ways_lead_to_the_same_pixels_and_facts(
    width: int, height: int, mode: str, format: str, quality: int, sampling: int, size: tuple[int, int, str],
    wanted: str,
) -> None:  # fmt: skip
    """Any size, quality, sampling and form, reduced or not: pixels and facts are those of Pillow's way."""
    more = {"quality": quality, "subsampling": sampling} if format == "JPEG" else {}
    content = saved(noise(width, height, mode), format, **more)
    form = Form(width=size[0], height=size[1], fit=size[2], mode=wanted, small="enlarge")  # type: ignore[arg-type]
    assert (look(content) is None) == (format == "PNG" and width * height > 256 * 256)
    long = shot(content, form, short=False)
    for _ in range(6):  # a size that comes often is resized in another way
        short = shot(content, form, short=True)
        assert np.array_equal(short.image, long.image) and short.facts == long.facts


def not_plain() -> dict[str, bytes]:
    """Files in which there is something to understand."""
    image, text = noise(20, 30), PngInfo()
    text.add_text("Comment", "hello")
    exif = Pillow.Exif()
    exif[0x0112] = 6
    return {
        "palette": saved(image.convert("P"), "PNG"), "alpha": saved(image.convert("RGBA"), "PNG"),
        "see-through colour": saved(image, "PNG", transparency=(1, 2, 3)), "bits": saved(image.convert("1"), "PNG"),
        "16 bits": saved(Pillow.fromarray(np.full((20, 30), 40_000, np.uint16)), "PNG"),
        "PNG with EXIF": saved(image, "PNG", exif=exif), "PNG with text": saved(image, "PNG", pnginfo=text),
        "PNG with a profile": saved(image, "PNG", icc_profile=b"no profile"),
        "JPEG with EXIF": saved(image, "JPEG", exif=exif), "CMYK": saved(image.convert("CMYK"), "JPEG"),
        "JPEG with a profile": saved(image, "JPEG", icc_profile=b"no profile"), "GIF": saved(image, "GIF"),
        "progressive": saved(image, "JPEG", progressive=True),
        "large": saved(Pillow.new("RGB", (300, 300)), "PNG"), "with more behind it": saved(image, "PNG") + b"more",
        "empty": b"",
    }  # fmt: skip


@pytest.mark.parametrize("name", not_plain())
def test_whatever_has_to_be_understood_goes_the_long_way(name: str) -> None:
    """Transparency, profiles, orientation, depth and size are not for the short way."""
    assert look(not_plain()[name]) is None


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG"]), st.integers(0, 2**31), st.booleans())
def test_damaged_files_have_the_outcome_of_the_long_way(format: str, seed: int, cut: bool) -> None:
    """A changed or cut file is refused or read as Pillow refuses or reads it; nothing is made up."""
    dice = np.random.default_rng(seed)
    content = bytearray(saved(noise(24, 24), format))
    for _ in range(int(dice.integers(0 if cut else 1, 4))):
        content[int(dice.integers(len(content)))] = int(dice.integers(256))
    if cut:
        del content[int(dice.integers(len(content))) :]
    results = []
    for short in (True, False):
        try:
            results.append(shot(bytes(content), Form(width=16, height=16), short=short).image.tobytes())
        except (Refused, OSError, SyntaxError, ValueError):
            results.append(b"")
    assert results[0] == results[1]


def test_a_reduced_picture_is_bounded_by_the_pixels_of_the_whole() -> None:
    """What is too large is refused by its head, however small its reduced pixels would be."""
    content = saved(Pillow.new("L", (1024, 1024)), "JPEG")
    with pytest.raises(Refused, match="1024 x 1024 pixels, more than"):
        next(picture.read(content, Form(width=16, height=16), Limits(pixels=1_000_000), look(content)))
