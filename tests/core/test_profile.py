"""The profile that says sRGB is one, is the same every time, and every format carries it."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from maquette.core.image import FORMATS, encode
from maquette.core.profile import srgb


@pytest.mark.parametrize("space", ["colour", "grey"])
def test_a_profile_is_read_by_the_usual_library(space):
    profile = ImageCms.ImageCmsProfile(io.BytesIO(srgb(space))).profile
    assert profile.profile_description == {"colour": "sRGB", "grey": "sRGB grey"}[space]
    assert profile.xcolor_space == {"colour": "RGB ", "grey": "GRAY"}[space]
    assert len(srgb(space)) < 700
    assert srgb.__wrapped__(space) == srgb(space)


def test_colours_under_it_are_those_of_srgb():
    steps = np.linspace(0, 255, 18).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=3).reshape(18, -1, 3)
    ours, theirs = ImageCms.ImageCmsProfile(io.BytesIO(srgb())), ImageCms.createProfile("sRGB")
    for pair in ((ours, theirs), (theirs, ours)):
        moved = ImageCms.profileToProfile(Pillow.fromarray(colours), *pair)
        assert np.abs(np.asarray(moved).astype(int) - colours).max() <= 1


def test_greys_under_it_are_those_of_srgb():
    ramp = Pillow.fromarray(np.arange(256, dtype=np.uint8)[None].repeat(4, axis=0))
    grey, theirs = ImageCms.ImageCmsProfile(io.BytesIO(srgb("grey"))), ImageCms.createProfile("sRGB")
    moved = np.asarray(ImageCms.profileToProfile(ramp, grey, theirs, outputMode="RGB")).astype(int)
    assert np.abs(moved - np.arange(256)[None, :, None]).max() <= 1


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_carries_it(format, channels):
    if (format, channels) == ("jpeg", 4):
        pytest.skip("JPEG has no alpha")
    image = np.full((8, 8, channels), 90, np.uint8)
    content = encode(image, format)
    assert content == encode(image, format)
    with Pillow.open(io.BytesIO(content)) as picture:
        found = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"])).profile
        assert found.xcolor_space == ("GRAY" if picture.mode == "L" else "RGB ")
        assert found.profile_description.startswith("sRGB")
