"""Golden pixels: whatever a file says about turning, colour, palettes, transparency and depth is honoured."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageCms

from maquette.data.decoding.limits import Limits, Refused
from maquette.data.decoding.picture import FORMATS, decode
from maquette.data.decoding.shape import FITS, Fit, Form

LIMITS = Limits()


def skimage_data() -> Any:
    """The photographs that come with scikit-image."""
    from skimage import data

    return data


def corners(width: int = 24, height: int = 16) -> np.ndarray[Any, Any]:
    """An upright image whose four quarters differ: red, green, blue and white."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (220, 30, 30)
    image[: height // 2, width // 2 :] = (30, 200, 30)
    image[height // 2 :, : width // 2] = (30, 30, 220)
    image[height // 2 :, width // 2 :] = 250
    return image


def saved(picture: Pillow.Image, format: str, **settings: Any) -> bytes:
    """The picture as the bytes of a file."""
    stream = io.BytesIO()
    picture.save(stream, format, **settings)
    return stream.getvalue()


def read(content: bytes, width: int = 24, height: int = 16, mode: Any = "rgb", **form: Any) -> np.ndarray[Any, Any]:
    """Decode at a size."""
    return decode(content, Form(width=width, height=height, mode=mode, **form), LIMITS)


BACK = {
    1: None, 2: Pillow.Transpose.FLIP_LEFT_RIGHT, 3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM, 5: Pillow.Transpose.TRANSPOSE, 6: Pillow.Transpose.ROTATE_90,
    7: Pillow.Transpose.TRANSVERSE, 8: Pillow.Transpose.ROTATE_270,
}  # fmt: skip
"""How a camera stores an upright image under each orientation."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation(format: str, orientation: int) -> None:
    """All eight EXIF orientations come out upright, in four formats."""
    turn = BACK[orientation]
    upright = Pillow.fromarray(corners())
    stored = upright if turn is None else upright.transpose(turn)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    how: dict[str, Any] = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(format, {})
    content = saved(stored, format, exif=exif, **how)
    assert np.abs(read(content).astype(int) - corners()).max() <= (6 if format == "JPEG" else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", FITS)
def test_orientation_and_fit(orientation: int, fit: Fit) -> None:
    """Cropping, padding and stretching see the upright image."""
    rng = np.random.default_rng(0)
    image = np.asarray(Pillow.fromarray(rng.integers(0, 256, (7, 11, 3), np.uint8)).resize((110, 70)))
    turn = BACK[orientation]
    stored = Pillow.fromarray(image) if turn is None else Pillow.fromarray(image).transpose(turn)
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    plain = read(saved(Pillow.fromarray(image), "PNG"), 32, 40, fit=fit)
    turned = read(saved(stored, "PNG", exif=exif), 32, 40, fit=fit)
    assert plain.shape == (40, 32, 3) and np.abs(plain.astype(int) - turned).max() <= 2


def test_a_damaged_orientation_counts_as_upright() -> None:
    """Nonsense in the EXIF part changes nothing."""
    for exif in (b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\0\0\0\0"):
        assert np.array_equal(read(saved(Pillow.fromarray(corners()), "PNG", exif=exif)), corners())


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits(format: str) -> None:
    """16-bit grey is kept to the last bit for grey16, and scaled (not cut) for the others."""
    values = np.linspace(0, 65535, 16 * 24).astype(np.uint16).reshape(16, 24)
    content = saved(Pillow.fromarray(values), format)
    assert np.array_equal(read(content, mode="grey16")[..., 0], values)
    assert np.array_equal(read(content, mode="auto")[..., 0], values)
    wanted = np.rint(values / 65535 * 255)
    assert np.abs(read(content, mode="grey")[..., 0] - wanted).max() <= 1
    rgb = read(content, mode="rgb")
    assert np.abs(rgb - wanted[..., None]).max() <= 1
    smaller = read(content, 12, 8, mode="grey16")
    assert smaller.dtype == np.uint16 and abs(float(smaller.mean()) - float(values.mean())) < 300


def test_eight_bits_in_a_16_bit_dataset() -> None:
    """255 becomes 65535."""
    grey = np.array([[0, 128, 255] * 8] * 16, np.uint8)
    assert np.array_equal(
        read(saved(Pillow.fromarray(grey), "PNG"), mode="grey16")[..., 0], grey.astype(np.uint16) * 257
    )


def test_grey_of_one_bit() -> None:
    """Black and white pictures of one bit a pixel are grey."""
    values = np.indices((16, 24)).sum(0) % 2 == 0
    image = read(saved(Pillow.fromarray(values), "PNG"), mode="auto")
    assert np.array_equal(image[..., 0], values * 255)


def _profile(mode: str) -> Any:
    return ImageCms.createProfile("LAB" if mode == "LAB" else "sRGB")


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk(format: str) -> None:
    """Ink colours come out as the light they mean, also in JPEG, where they are stored inverted."""
    inks = np.zeros((16, 24, 4), np.uint8)
    inks[:, :8] = (0, 255, 255, 0)
    inks[:, 8:16] = (255, 0, 0, 0)
    inks[:, 16:] = (0, 0, 0, 255)
    how: dict[str, Any] = {"quality": 100, "subsampling": 0} if format == "JPEG" else {}
    image = read(saved(Pillow.fromarray(inks, "CMYK"), format, **how))
    for column, colour in ((3, (255, 0, 0)), (12, (0, 255, 255)), (20, (0, 0, 0))):
        assert np.abs(image[8, column].astype(int) - colour).max() <= 12


def test_lab() -> None:
    """L*a*b* files come out in sRGB."""
    to_lab = ImageCms.buildTransform(_profile("sRGB"), _profile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(Pillow.fromarray(corners()), to_lab)
    assert lab is not None
    assert np.abs(read(saved(lab, "TIFF")).astype(int) - corners()).max() <= 12


def wide_gamut() -> bytes:
    """A matrix profile whose red, green and blue columns are those of sRGB in another order: unmistakable."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    tags = {bytes(profile[132 + 12 * k : 136 + 12 * k]): 132 + 12 * k for k in range(count)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        bytes(profile[green + 4 : green + 12]), bytes(profile[red + 4 : red + 12])
    )  # fmt: skip
    # The description must not claim sRGB, or the profile is skipped as one that changes nothing.
    start = int.from_bytes(profile[tags[b"desc"] + 4 : tags[b"desc"] + 8], "big")
    size = int.from_bytes(profile[tags[b"desc"] + 8 : tags[b"desc"] + 12], "big")
    text = bytes(profile[start : start + size]).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    profile[start : start + size] = text.replace(b"sRGB", b"swap")
    return bytes(profile)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_an_embedded_profile_is_honoured(format: str) -> None:
    """A profile that swaps red and green swaps red and green, alpha or not; sRGB's own changes nothing."""
    how: dict[str, Any] = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(format, {})
    swapped = read(saved(Pillow.fromarray(corners()), format, icc_profile=wide_gamut(), **how)).astype(int)
    assert np.abs(swapped - corners()[..., [1, 0, 2]]).max() <= 10
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    same = read(saved(Pillow.fromarray(corners()), format, icc_profile=own, **how)).astype(int)
    assert np.abs(same - corners()).max() <= (6 if format == "JPEG" else 0)
    if format != "JPEG":
        clear = Pillow.fromarray(corners()).convert("RGBA")
        clear.putalpha(200)
        image = read(saved(clear, format, icc_profile=wide_gamut(), **how), mode="rgba").astype(int)
        assert np.abs(image[..., :3] - corners()[..., [1, 0, 2]]).max() <= 10 and (image[..., 3] == 200).all()


def test_a_damaged_profile_says_nothing() -> None:
    """Pixels under a profile that cannot be read, or is of another colour space, count as sRGB."""
    for profile in (b"nonsense", wide_gamut()[:300]):
        assert np.array_equal(read(saved(Pillow.fromarray(corners()), "PNG", icc_profile=profile)), corners())
    grey = Pillow.fromarray(corners()[..., 0])
    assert np.array_equal(read(saved(grey, "PNG", icc_profile=wide_gamut()), mode="grey")[..., 0], corners()[..., 0])


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_palettes(format: str) -> None:
    """Palette images have their colours, and the transparent entry is transparent."""
    numbers = np.repeat(np.array([0, 1, 2], np.uint8), 8)[None].repeat(16, 0)
    picture = Pillow.fromarray(numbers, "P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image = read(saved(picture, format))
    assert np.array_equal(image[5, [2, 12, 20]], [[255, 0, 0], [0, 255, 0], [0, 0, 255]])
    clear = read(saved(picture, format, transparency=1), mode="auto")
    assert clear.shape[2] == 4 and np.array_equal(clear[5, [2, 12, 20], 3], [255, 0, 255])
    assert np.array_equal(clear[5, [2, 20], :3], [[255, 0, 0], [0, 0, 255]])
    on_white = read(saved(picture, format, transparency=1), mode="rgb")
    assert np.array_equal(on_white[5, 12], [255, 255, 255])


def test_a_palette_with_many_alphas() -> None:
    """A PNG palette may give each entry its own alpha."""
    picture = Pillow.fromarray(np.repeat(np.array([0, 1, 2], np.uint8), 8)[None].repeat(16, 0), "P")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image = read(saved(picture, "PNG", transparency=bytes([255, 128, 0])), mode="rgba")
    assert np.array_equal(image[3, [2, 12, 20], 3], [255, 128, 0])
    assert np.array_equal(image[3, 12, :3], [40, 50, 60])


@pytest.mark.parametrize(("mode", "key"), [("L", 30), ("RGB", (30, 200, 30))])
def test_a_transparent_colour(mode: Any, key: Any) -> None:
    """tRNS in grey and colour files: the one colour is clear, the others are solid."""
    picture = Pillow.fromarray(corners()[..., 1] if mode == "L" else corners())
    image = read(saved(picture, "PNG", transparency=key), mode="auto")
    clear = np.all(corners() == key, 2) if mode == "RGB" else corners()[..., 1] == key
    assert clear.any() and np.array_equal(image[..., 3] == 0, clear)


def test_a_transparent_colour_of_sixteen_bits() -> None:
    """tRNS in 16-bit grey."""
    values = np.full((16, 24), 40000, np.uint16)
    values[:8] = 1000
    image = read(saved(Pillow.fromarray(values), "PNG", transparency=1000), mode="rgba")
    assert (image[:8, :, 3] == 0).all() and (image[8:, :, 3] == 255).all()


def test_grey_with_alpha() -> None:
    """LA becomes RGBA with equal channels, or grey on white."""
    grey, alpha = np.full((16, 24), 90, np.uint8), np.full((16, 24), 255, np.uint8)
    alpha[:8] = 0
    content = saved(Pillow.merge("LA", (Pillow.fromarray(grey), Pillow.fromarray(alpha))), "PNG")
    image = read(content, mode="rgba")
    assert np.array_equal(image[..., 3], alpha) and (image[8:, :, :3] == 90).all()
    flat = read(content, mode="grey")[..., 0]
    assert (flat[:8] == 255).all() and (flat[8:] == 90).all()


@pytest.mark.parametrize("kind", ["RGBA", "LA"])
def test_edges_do_not_fringe(kind: str) -> None:
    """A white disc whose invisible surroundings are black stays white up to its edge when it is reduced."""
    rows, columns = np.indices((128, 128)) - 63.5
    inside = rows**2 + columns**2 < 50**2
    image = np.where(inside[..., None], np.array([255, 255, 255, 255], np.uint8), 0).astype(np.uint8)
    picture = Pillow.fromarray(image).convert(kind)
    small = read(saved(picture, "PNG"), 16, 16, mode="rgba")
    edge = (small[..., 3] > 8) & (small[..., 3] < 250)
    assert edge.sum() > 8 and small[edge][:, :3].min() >= 250


def test_reducing_is_smooth() -> None:
    """A fine checker becomes even grey: there is no aliasing; also by way of JPEG's reduced decoding."""
    checker = np.indices((256, 256)).sum(0) % 2 * 255
    picture = Pillow.fromarray(checker.astype(np.uint8))
    for content in (saved(picture, "PNG"), saved(picture, "JPEG", quality=100)):
        small = read(content, 16, 16, mode="grey").astype(int)
        assert np.abs(small - 128).max() <= 4


def test_jpeg_reduced_decoding_changes_nothing_one_can_see() -> None:
    """A large JPEG decoded at a reduced scale is like the same pixels reduced from PNG."""
    rng = np.random.default_rng(1)
    big = Pillow.fromarray(rng.integers(0, 256, (12, 20, 3), np.uint8)).resize((1000, 600), Pillow.Resampling.BICUBIC)
    jpeg = saved(big, "JPEG", quality=98, subsampling=0)
    with Pillow.open(io.BytesIO(jpeg)) as whole:
        png = saved(whole.convert("RGB"), "PNG")
    assert np.abs(read(jpeg, 32, 32).astype(int) - read(png, 32, 32)).max() <= 6


@pytest.mark.parametrize("name", ["retina", "astronaut", "chelsea"])
@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("size", [16, 32, 64])
def test_reduced_decoding_of_photographs(name: str, turn: int, size: int) -> None:
    """Photographs of any size (retina's 1411 pixels are no multiple of 8), upright or turned, stay in their place."""
    photograph = Pillow.fromarray(getattr(skimage_data(), name)())
    exif = Pillow.Exif()
    exif[0x0112] = turn
    jpeg = saved(photograph, "JPEG", quality=90, exif=exif)
    with Pillow.open(io.BytesIO(jpeg)) as whole:
        png = saved(whole.convert("RGB"), "PNG", exif=exif)
    error = read(jpeg, size, size).astype(float) - read(png, size, size)
    assert 10 * np.log10(255**2 / np.square(error).mean()) > 40  # Decibels; without its place retina has 36.


@given(st.integers(8, 90), st.integers(8, 90), st.sampled_from(FITS), st.sampled_from([(8, 8), (16, 8), (8, 24)]))
@settings(max_examples=80, deadline=None)
def test_every_fit_gives_the_size(width: int, height: int, fit: Fit, size: tuple[int, int]) -> None:
    """Any picture fits any form; crop and stretch fill it, pad keeps the whole picture and its shape."""
    content = saved(Pillow.new("RGB", (width, height), (10, 20, 30)), "PNG")
    image = read(content, *size, fit=fit, small="enlarge")
    assert image.shape == (size[1], size[0], 3)
    inside = (np.abs(image.astype(int) - (10, 20, 30)) <= 1).all(2)
    if fit != "pad":
        assert inside.all()
    else:
        assert (image[~inside] == 255).all()
        scale = min(size[0] / width, size[1] / height)
        assert abs(inside.any(0).sum() - width * scale) <= 1 and abs(inside.any(1).sum() - height * scale) <= 1


def test_crop_takes_the_middle() -> None:
    """A wide picture loses as much on the left as on the right."""
    image = np.zeros((16, 48, 3), np.uint8)
    image[:, 16:32] = 200
    assert (read(saved(Pillow.fromarray(image), "PNG"), 16, 16) == 200).all()


def test_too_small() -> None:
    """What would have to be enlarged is refused with both sizes, unless enlarging is asked for."""
    content = saved(Pillow.fromarray(corners()), "PNG")
    with pytest.raises(Refused, match="24x16 is smaller than 32x32"):
        read(content, 32, 32)
    assert read(content, 32, 32, small="enlarge").shape == (32, 32, 3)


def test_padding_is_clear_or_white() -> None:
    """RGBA is padded with nothing, other modes with white."""
    content = saved(Pillow.fromarray(corners()), "PNG")
    clear = read(content, 24, 24, mode="rgba", fit="pad")
    assert (clear[:4, :, 3] == 0).all() and (clear[4:20, :, 3] == 255).all()
    assert (read(content, 24, 24, mode="grey16", fit="pad")[:4] == 65535).all()


def test_maps_keep_their_numbers() -> None:
    """A map of classes is never mixed: palette numbers and grey values survive turning and reducing."""
    numbers = np.repeat(np.repeat(np.array([[0, 7], [200, 3]], np.uint8), 16, 0), 16, 1)
    palette = Pillow.fromarray(numbers, "P")
    palette.putpalette(list(range(256)) * 3)
    for content in (saved(Pillow.fromarray(numbers), "PNG"), saved(palette, "PNG")):
        small = read(content, 8, 8, mode="map")
        assert small.shape == (8, 8) and np.array_equal(small[::4, ::4], [[0, 7], [200, 3]])
    with pytest.raises(Refused, match="grey or palette"):
        read(saved(Pillow.fromarray(corners()), "PNG"), 8, 8, mode="map")
    with pytest.raises(Refused, match="256 classes"):
        read(saved(Pillow.fromarray(numbers.astype(np.uint16) * 5), "PNG"), 8, 8, mode="map")


@pytest.mark.parametrize("format", FORMATS)
def test_formats_are_known_by_content(format: str) -> None:
    """Every format of the list is read from its bytes alone."""
    image = read(saved(Pillow.fromarray(corners()), format, **({"quality": 100} if format == "AVIF" else {})))
    assert np.abs(image.astype(int) - corners()).mean() < 12


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello, I am text " * 100, "not an image of a known format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "drawing or text"),
        (b"\0\0\0\x18ftypheic" + bytes(100), "HEIC"),
        (b"\xff\xd8\xff", "begins like an image"),
        (saved(Pillow.new("F", (8, 8)), "TIFF"), "floating-point"),
        (saved(Pillow.fromarray(np.full((8, 8), 10**6, np.int32)), "TIFF"), "32-bit"),
    ],
)
def test_what_is_refused(content: bytes, words: str) -> None:
    """Each kind of file that cannot be used has its reason."""
    with pytest.raises(Refused, match=words):
        read(content, 8, 8)


def test_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The header's size is checked before anything is decoded."""
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", None)  # As in a worker.
    bomb = saved(Pillow.new("1", (20_000, 20_000)), "PNG")
    assert len(bomb) < 100_000
    with pytest.raises(Refused, match="20000 x 20000 pixels"):
        read(bomb, 8, 8)


def test_an_animation_gives_its_first_frame() -> None:
    """Only the first image of a GIF is taken, however many there are."""
    frames = [Pillow.new("RGB", (16, 16), (value, 0, 0)) for value in range(0, 250, 25)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (read(content, 16, 16) == 0).all()
