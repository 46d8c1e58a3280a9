"""What every op keeps to, whoever wrote it: parametrised over the registry, so that a new op inherits all of it."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from maquette.refining import pixels, registry
from maquette.refining.op import Context

OPS = registry.every()


def unchanged(image):
    """A model that keeps everything; models know premultiplied colours."""
    return pixels.premultiplied(image) if image.shape[2] == 4 else pixels.to_float(image)


GIVEN = {
    "lut": lambda: {"file": Path(__file__).with_name("invert.cube")},
    "restore": lambda: {"model": unchanged},
    "brand-colours": lambda: {"colours": "#0a7d4b:#f2b705:#c8102e"},
}
"""What ops that cannot do without a file or a model are given here, by name: a function that returns dials."""
PICTURES = [name for name, op in OPS.items() if op.schema.kind not in ("select",)]
SAME = [name for name, op in OPS.items() if op.schema.shape == "same"]
DTYPES = ("uint8", "uint16", "float32")
WHITE = {"uint8": 255, "uint16": 65535, "float32": 1.0}
TOLERANCE = {"uint8": 2.01, "uint16": 160, "float32": 0.004}


def picture(height, width, channels, dtype="uint8", seed=0):
    """A smooth picture with a disc in it and a little noise; alpha, where there is one, is soft, empty and full."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [0.5 + 0.3 * np.sin(2 * np.pi * ((k + 1) * columns / width + rows / height + k / 3)) for k in range(3)]
    colour = np.stack(waves[: 1 if channels == 1 else 3], axis=2)
    disc = np.hypot(rows - height * 0.5, columns - width * 0.45) < min(height, width) / 4
    colour[disc] = [0.85, 0.3, 0.15][: colour.shape[2]]
    colour += np.random.default_rng(seed).normal(0, 0.01, colour.shape)
    image = np.clip(colour, 0, 1)
    if channels == 4:
        alpha = np.clip(1.6 - 3.2 * np.hypot(rows / height - 0.5, columns / width - 0.5), 0, 1)
        image = np.concatenate([image, alpha[..., None]], axis=2)
    return np.rint(image * WHITE[dtype]).astype(dtype) if dtype != "float32" else image.astype(np.float32)


def run(name, image, context=None):
    """The op with its defaults, and with what it needs."""
    given = GIVEN[name]() if name in GIVEN else {}
    for dial in OPS[name].schema.dials:
        if dial.needed and dial.kind == "image":
            given.setdefault(dial.parameter, picture(30, 34, 3, seed=9))
        if dial.name == "otherwise":  # what there is not to be found is refused; `test_cutting.py` has the words
            given.setdefault("otherwise", "nothing")
    return OPS[name](image, context, **given)


def checked(result, image, op):
    assert result.dtype == image.dtype
    assert result.ndim == 3 and result.shape[2] in (1, 3, 4)
    assert result.flags.c_contiguous
    if op.schema.shape == "same":
        assert result.shape[:2] == image.shape[:2]
    if op.schema.kind == "select":
        assert result.shape[2] == 1
    if result.dtype == np.float32:
        assert np.isfinite(result).all()
        assert result.min() >= 0 and result.max() <= 1
    return result


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPS)
def test_an_op_takes_every_mode_and_depth_and_is_deterministic(name, dtype):
    for channels in (1, 3, 4):
        op, image = OPS[name], picture(39, 46, channels, dtype)
        before = image.copy()
        image.setflags(write=False)
        first = checked(run(name, image, Context(seed=5)), image, op)
        assert np.array_equal(image, before)
        assert np.array_equal(first, run(name, image, Context(seed=5)))


@pytest.mark.parametrize("name", OPS)
def test_an_op_takes_the_smallest_images(name):
    for size in ((1, 1), (1, 7), (5, 1), (3, 2)):
        for channels in (1, 3, 4):
            image = picture(*size, channels)
            checked(run(name, image), image, OPS[name])


@pytest.mark.parametrize("name", OPS)
def test_an_op_takes_images_of_one_value(name):
    for value in (0, 128, 255):
        for channels in (1, 3, 4):
            image = np.full((24, 17, channels), value, np.uint8)
            checked(run(name, image), image, OPS[name])


@pytest.mark.parametrize("name", OPS)
def test_depths_agree(name):
    """What 8 bits give is what floats give, up to rounding: the fast path does the same as the exact one."""
    image = picture(48, 56, 3)
    eight = run(name, image, Context(seed=3)).astype(np.float64)
    exact = run(name, (image / np.float32(255)).astype(np.float32), Context(seed=3)).astype(np.float64) * 255
    assert eight.shape == exact.shape
    assert np.mean(np.abs(eight - exact) > 4) < 0.05


@pytest.mark.parametrize("name", [n for n in SAME if OPS[n].alpha in ("keep", "weigh")])
def test_alpha_is_unharmed(name):
    image = picture(32, 40, 4)
    result = run(name, image)
    if result.shape[2] == 4:
        assert np.array_equal(result[..., 3], image[..., 3])


@pytest.mark.parametrize("name", [n for n in PICTURES if OPS[n].alpha in ("premultiply", "weigh")])
def test_invisible_colours_never_show(name):
    """Alpha is never fringed: what colour lies where nothing is seen changes nothing that is."""
    image = picture(40, 40, 4)
    other = image.copy()
    other[image[..., 3] == 0] = [255, 0, 255, 0]
    first, second = (run(name, one, Context(seed=1)).astype(int) for one in (image, other))
    seen = (first[..., 3] > 0) if first.shape[2] == 4 else np.ones(first.shape[:2], bool)
    assert np.abs(first[seen] - second[seen]).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [n for n in SAME if OPS[n].tiles])
def test_a_tile_stays_a_tile(name, channels):
    """The op on a tile is the middle of the op on the tile laid out three by three."""
    op, image = OPS[name], picture(40, 48, channels)
    if op.takes or any(dial.name == "seed" for dial in op.schema.dials):
        pytest.skip("it knows of tiles itself, or is random: its own tests say what it keeps")
    tiled = run(name, image, Context(tile="xy")).astype(int)
    middle = run(name, np.tile(image, (3, 3, 1)))[40:80, 48:96].astype(int)
    assert np.mean(np.abs(tiled - middle) > 3) < 0.02


@pytest.mark.parametrize("name", OPS)
def test_an_op_says_what_it_is_for(name):
    schema = OPS[name].schema
    assert schema.summary.endswith(".") and 12 < len(schema.summary) < 110
    assert schema.name == schema.name.lower() and "_" not in schema.name
    for dial in schema.dials:
        assert len(dial.help) > 3, dial.name
        assert not dial.help.endswith("."), dial.name
        if dial.kind in ("number", "integer") and dial.name != "seed":
            assert set(dial.bounds) & {"ge", "gt"} and set(dial.bounds) & {"le", "lt"}, f"{dial.name} has no bounds"


@pytest.mark.parametrize("name", OPS)
def test_the_schema_is_the_signature(name):
    op = OPS[name]
    parameters = dict(list(inspect.signature(op.function).parameters.items())[1:])
    assert {dial.parameter for dial in op.schema.dials} | op.takes == {word.rstrip("_") for word in parameters}
    for dial in op.schema.dials:
        assert parameters[dial.parameter].default == dial.default


def test_the_cache_is_true():
    """Else run: make fix."""
    assert json.loads(registry.CACHE.read_text("utf-8")) == [op.schema.to_json() for op in OPS.values()]


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if not any(dial.needed for dial in op.schema.dials)])
def test_an_op_can_be_called_directly(name):
    image = picture(20, 22, 3)
    assert OPS[name].function(image).dtype == image.dtype


@pytest.mark.parametrize("name", OPS)
def test_not_a_number_is_refused(name):
    image = picture(8, 8, 3, "float32")
    image[2, 3] = np.nan
    with pytest.raises(Exception, match="not numbers"):
        run(name, image)
