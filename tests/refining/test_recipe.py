"""Recipes as text and as JSON: what is written is what is read, and what is wrong is said at its place."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.core.errors import DataError, MaquetteError, UsageError
from maquette.refining import named, registry
from maquette.refining.op import Context, op
from maquette.refining.recipe import Group, Mask, Nested, On, Recipe, Step, from_json, shrunk, to_json
from maquette.refining.run import refine
from maquette.refining.text import parse

SCHEMAS = registry.schemas()
WORDS = st.text("abcXYZ019 _./\\\"'#:=,()äß-", min_size=1, max_size=12)


def value(dial):
    """Any value that the dial can have."""
    low = dial.bounds.get("ge", dial.bounds.get("gt", -1e6))
    high = dial.bounds.get("le", dial.bounds.get("lt", 1e6))
    inner = st.floats(low, high, exclude_min="gt" in dial.bounds, exclude_max="lt" in dial.bounds)
    colour = st.integers(0, 2**24 - 1).map(lambda number: f"#{number:06x}")
    count = {"min_size": dial.count or 1, "max_size": dial.count or 4}
    return {
        "number": inner, "integer": st.integers(int(np.ceil(low)), int(high) - ("lt" in dial.bounds)),
        "switch": st.booleans(), "choice": st.sampled_from(dial.choices or ("",)), "text": WORDS, "colour": colour,
        "colours": st.lists(colour, **count).map(tuple), "numbers": st.lists(inner, **count).map(tuple),
        "file": WORDS, "image": WORDS, "model": WORDS,
    }[dial.kind]  # fmt: skip


@st.composite
def dials(draw, schema):
    needed = [dial for dial in schema.dials if dial.needed]
    free = [dial for dial in schema.dials if not dial.needed]
    chosen = draw(st.lists(st.sampled_from(free), unique_by=lambda dial: dial.name)) if free else []
    return {dial.parameter: draw(value(dial)) for dial in [*needed, *chosen]}


EDGES = st.sampled_from([0.0, 0.5, 3.0, 17.25])
STRENGTHS = st.sampled_from([1.0, 0.0, 0.25, 1 / 3])


@st.composite
def ops(draw):
    schema = draw(st.sampled_from(list(SCHEMAS.values())))
    strength = draw(STRENGTHS if schema.shape == "same" else st.sampled_from([0.0, 1.0]))
    return Step(op=schema.name, dials=draw(dials(schema)), strength=strength)


@st.composite
def finders(draw):
    schema = draw(st.sampled_from([s for s in SCHEMAS.values() if s.kind == "select"]))
    return Mask(kind="select", name=schema.name, dials=draw(dials(schema)), grow=draw(EDGES), feather=draw(EDGES))


files = st.builds(Mask, kind=st.just("file"), name=WORDS, grow=EDGES, feather=EDGES)
given_masks = st.builds(Mask, kind=st.just("given"), name=st.just("handed-over"), grow=EDGES, feather=EDGES)
one_mask = st.one_of(files, given_masks, *([finders()] if any(s.kind == "select" for s in SCHEMAS.values()) else []))
masks = st.recursive(
    one_mask,
    lambda inner: st.one_of(
        st.builds(Mask, kind=st.just("not"), parts=st.tuples(inner), grow=EDGES, feather=EDGES),
        st.builds(
            Mask, kind=st.sampled_from(["and", "or"]), parts=st.lists(inner, min_size=2, max_size=3).map(tuple),
            grow=EDGES, feather=EDGES,
        ),
    ),
    max_leaves=5,
)  # fmt: skip
nested = st.builds(Nested, recipe=WORDS.map(lambda word: word + ".recipe"), strength=STRENGTHS)
items = st.recursive(
    st.one_of(ops(), nested),
    lambda inner: st.one_of(
        st.builds(Group, items=st.lists(inner, min_size=1, max_size=3).map(tuple), strength=STRENGTHS),
        st.builds(On, mask=masks, item=inner),
    ),
    max_leaves=6,
)
all_recipes = st.builds(
    Recipe,
    items=st.lists(items, min_size=1, max_size=4).map(tuple),
    about=st.sampled_from(["", "For scans of drawings, with # and , in it"]),
    precise=st.booleans(),
    seed=st.none() | st.integers(0, 2**63 - 1),
)


@settings(max_examples=150, deadline=None)
@given(all_recipes)
def test_text_is_read_as_what_was_written(recipe):
    assert parse(str(recipe), masks=["handed-over"]) == recipe


@settings(max_examples=100, deadline=None)
@given(all_recipes)
def test_json_is_read_as_what_was_written(recipe):
    assert from_json(json.loads(json.dumps(to_json(recipe))), masks=["handed-over"]) == recipe


@settings(max_examples=300, deadline=None)
@given(st.text('onsharpe amut=().,:"\\#0159-\n\t', max_size=40) | st.text(max_size=20))
def test_any_text_is_a_recipe_or_an_error_of_ours(text):
    try:
        assert named.parsed(text).items
    except MaquetteError as error:
        assert len(str(error)) > 10


def test_lines_commas_comments_and_parentheses():
    text = """
    # Softer,
    # then sharper
    sharpen amount=1,   # not about
    (sharpen radius=2
     sharpen) strength=0.5

    precise
    """
    recipe = parse(text)
    assert recipe.about == "Softer, then sharper"
    assert recipe.precise
    group = Group(items=(Step(op="sharpen", dials={"radius": 2.0}), Step(op="sharpen")), strength=0.5)
    assert recipe.items == (Step(op="sharpen", dials={"amount": 1.0}), group)


def test_masks_bind_as_in_words():
    a, b, c = (Mask(kind="given", name=name) for name in "abc")

    def read(text):
        return parse(f"on {text}: sharpen", masks="abc").items[0].mask

    assert read("not a and b or c") == Mask(
        kind="or", parts=(Mask(kind="and", parts=(Mask(kind="not", parts=(a,)), b)), c)
    )
    assert read("a and (b or c)") == Mask(kind="and", parts=(a, Mask(kind="or", parts=(b, c))))
    grown = Mask(kind="given", name="a", grow=3.0, feather=2.0)
    assert read("not a grow=3 feather=2") == Mask(kind="not", parts=(grown,))
    assert read("(not a) grow=-3") == Mask(kind="not", parts=(a,), grow=-3.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sharpn amount=2", "character 1 (sharpn amount=2): there is no op or recipe 'sharpn'; did you mean sharpen"),
        ("sharpen, sharpen amout=2", "character 18 (amout=2): sharpen has no dial 'amout'; did you mean amount"),
        ("sharpen\nsharpen amount=99", "line 2, character 9 (amount=99): sharpen: amount = 99 is not possible"),
        ("sharpen amount=much", "give a number"),
        ("sharpen amount=nan", "give a number"),
        ("sharpen amount 3", "'amount' is not expected here; write a comma between steps"),
        ("sharpen amount = 3", "write amount=VALUE"),
        ("sharpen amount=", "amount needs a value"),
        ("sharpen amount=1 amount=2", "amount is given twice"),
        ("sharpen strength=2", "give at most 1"),
        ("sharpen,,sharpen", "nothing between two commas"),
        ("sharpen)", "')' is not expected here"),
        ("(sharpen", "here should be ')'"),
        ("()", "there is nothing in the parentheses"),
        ("", "the recipe is empty"),
        ("on sharpen: sharpen", "sharpen changes images and finds no mask"),
        ("on skyy: sharpen", "there is no mask 'skyy'; did you mean sky"),
        ("on sky sharpen", "here should be ':'"),
        ("on sky grow=many: sharpen", "grow = 'many' is not possible"),
        ('on "a.png" radius=2: sharpen', "'radius' cannot be given here; only grow and feather can"),
        ('on "a.png: sharpen', "the quotation is empty or has no end"),
        ("(" * 5000, "more than 32"),
        ("on " + "not " * 5000 + "sky: sharpen", "more than 32"),
        ("seed=-1, sharpen", "seed = -1 is not possible"),
        ('{"steps": [', "begins like JSON and is none"),
        ('{"stops": []}', "there is no 'stops'; did you mean steps"),
        ("[]", "must be a list of at least one"),
        ('[{"op": "sharpen", "amount": 99}]', "step 1: sharpen: amount = 99 is not possible"),
        ('["sharpen", {"opp": "sharpen"}]', "step 2 is no step (dict with opp)"),
        ('{"steps": ["sharpen"], "precise": 3}', "precise is true or false"),
        ("[" * 100 + "]" * 100, "is no step"),
        ('[{"steps": ' * 100 + '["sharpen"]' + "}]" * 100, "more than"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_place(text, said):
    with pytest.raises(UsageError) as caught:
        named.recipe(text, masks=["sky"])
    assert said in str(caught.value)


# Recipes in recipes


def test_recipes_in_files_nest_from_where_they_lie(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "outer.recipe").write_text("sharpen, inner/one.recipe strength=0.5", "utf-8")
    (tmp_path / "inner" / "one.recipe").write_text("precise, ./two.json", "utf-8")
    (tmp_path / "inner" / "two.json").write_text('["sharpen"]', "utf-8")
    recipe = named.from_file(tmp_path / "outer.recipe")
    assert recipe.precise, "one precise recipe makes the whole precise"
    two = Group(items=(Step(op="sharpen"),), name="./two.json")
    assert recipe.items == (Step(op="sharpen"), Group(items=(two,), strength=0.5, name="inner/one.recipe"))
    assert named.recipe(recipe) == recipe


def test_a_recipe_that_loops_is_refused_with_its_path(tmp_path):
    for name, text in {"a": "sharpen, ./b.recipe", "b": "on m.png: ./c.recipe", "c": "(./a.recipe)"}.items():
        (tmp_path / f"{name}.recipe").write_text(text, "utf-8")
    with pytest.raises(UsageError, match=r"the recipe loops: .*a.recipe -> .*b.recipe -> .*c.recipe -> .*a.recipe"):
        named.from_file(tmp_path / "a.recipe")


def test_recipes_that_double_are_bounded(tmp_path):
    for level in range(20):
        (tmp_path / f"r{level}.recipe").write_text(", ".join([f"./r{level + 1}.recipe"] * 10), "utf-8")
    (tmp_path / "r20.recipe").write_text("sharpen", "utf-8")
    with pytest.raises(UsageError, match="more than 1000 steps"):
        named.from_file(tmp_path / "r0.recipe")


def test_files_that_are_no_recipes(tmp_path):
    path = tmp_path / "a.recipe"
    with pytest.raises(DataError, match="no such file"):
        named.from_file(path)
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="no text"):
        named.from_file(path)
    path.write_bytes(b"# " + b"x" * (1 << 20))
    with pytest.raises(DataError, match="more than 1 MB"):
        named.from_file(path)
    path.write_text("sharpen\nsharpn", "utf-8")
    with pytest.raises(UsageError, match=r"a\.recipe, the recipe, line 2"):
        named.from_file(path)


# What a recipe does


IMAGE = np.random.default_rng(1).integers(0, 256, (32, 40, 3), dtype=np.uint8)


def test_steps_follow_one_another_and_strength_lays_them_over():
    once = refine(IMAGE, "sharpen amount=1")
    assert np.array_equal(refine(IMAGE, "sharpen amount=1, sharpen amount=1"), refine(once, "sharpen amount=1"))
    half = refine(IMAGE, "sharpen amount=1 strength=0.5").astype(int)
    assert np.abs(half - (IMAGE.astype(int) + once) / 2).max() <= 0.5
    assert np.array_equal(refine(IMAGE, "(sharpen, sharpen) strength=0"), IMAGE)


def test_a_mask_keeps_what_is_outside_exactly():
    mask = np.zeros((32, 40), np.float32)
    mask[:, 20:] = 1
    result = refine(IMAGE, "on right: sharpen amount=3", Context(masks={"right": mask}))
    assert np.array_equal(result[:, :20], IMAGE[:, :20])
    assert np.array_equal(result[:, 20:], refine(IMAGE, "sharpen amount=3")[:, 20:])
    other = refine(IMAGE, "on not right: sharpen amount=3", Context(masks={"right": mask}))
    assert np.array_equal(other[:, 20:], IMAGE[:, 20:])


def test_a_mask_grows_shrinks_and_feathers():
    mask = np.zeros((41, 41), np.uint8)
    mask[20, 20] = 255
    white, black = np.full((41, 41, 1), 255, np.uint8), Context(masks={"dot": mask})
    white[:] = 100

    def area(text):
        result = refine(white, f"on {text}: sharpen amount=0", black)
        assert np.array_equal(result, white)
        from maquette.refining.masks import find
        from maquette.refining.text import parse_mask

        return find(parse_mask(text, masks=["dot"]), white, black).sum()

    assert area("dot") == 1
    assert area("dot grow=6") == pytest.approx(np.pi * 36, rel=0.2)
    assert area("dot grow=15") == pytest.approx(np.pi * 225, rel=0.1)
    assert area("(dot grow=15) grow=-5") == pytest.approx(np.pi * 100, rel=0.15)
    assert area("dot grow=15 feather=3") == pytest.approx(np.pi * 225, rel=0.1)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(DataError, match="the mask small has 3x4 pixels and the image 40x32"):
        refine(IMAGE, "on small: sharpen", Context(masks={"small": np.zeros((4, 3), np.uint8)}))


def test_masks_come_from_files_by_the_images_name():
    asked = []

    def read(path):
        asked.append(path)
        return np.zeros((32, 40, 1), np.uint8)

    result = refine(IMAGE, "on masks/{name}.png: sharpen", Context(read=read, name="cat"))
    assert asked == ["masks/cat.png"]
    assert np.array_equal(result, IMAGE)
    with pytest.raises(UsageError, match="cannot be read from here"):
        refine(IMAGE, "on mask.png: sharpen")


def test_flat_arrays_floats_and_precision():
    flat = IMAGE[..., 0]
    assert refine(flat, "sharpen").shape == flat.shape
    assert refine(flat / 255, "sharpen").dtype == np.float32
    precise = refine(IMAGE, "precise, sharpen amount=1").astype(int)
    assert np.abs(precise - refine(IMAGE, "sharpen amount=1").astype(int)).max() <= 3


def test_precise_recipes_do_not_band():
    """A slow gradient through darkening and back: 8 bits leave steps, float32 and noise of one step leave none."""
    ramp = np.repeat(np.linspace(0.40, 0.42, 512, dtype=np.float32)[None, :, None], 64, axis=0)
    rough = np.rint(ramp * 255).astype(np.uint8)
    soft = refine(ramp, "precise, sharpen amount=0")
    assert soft.dtype == np.float32
    from maquette.refining.pixels import dither

    columns = dither(ramp, 3).mean(axis=0)[:, 0] / 255
    assert np.abs(columns - ramp[0, :, 0]).max() < 0.003
    assert np.abs(columns - ramp[0, :, 0]).mean() < np.abs(rough[0, :, 0] / 255 - ramp[0, :, 0]).mean() / 2
    assert np.array_equal(dither(rough / np.float32(255), 3), rough), "what 8 bits can say is not shaken"


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 4, 2), np.uint8), "is not an image"),
        (np.zeros((0, 4, 3), np.uint8), "is not an image"),
        (np.zeros((4, 4, 3), np.int32), "int32 are not known"),
        (np.full((4, 4, 3), np.nan), "NaN or infinity"),
        (np.full((4, 4, 3), 255.0), "float images lie in"),
        (np.broadcast_to(np.uint8(0), (20_000, 20_000, 3)), "20000 x 20000 pixels is not worked on; at most 100 m"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_images_are_refused(array, said):
    with pytest.raises(MaquetteError, match=said):
        refine(array, "sharpen")


def test_a_function_that_is_no_op_is_refused_when_it_is_written():
    with pytest.raises(TypeError, match="docstring"):

        @op
        def nameless(image):
            return image

    with pytest.raises(TypeError, match="must be declared as Annotated"):

        @op
        def loose(image, *, radius: float = 1.0):
            """Do something to an image."""
            return image


# Shown smaller


@pytest.mark.parametrize("share", [1.0, 0.5, 0.013])
def test_lengths_stay_within_their_bounds_where_an_image_is_shown_smaller(share):
    for name, schema in SCHEMAS.items():
        if any(dial.needed for dial in schema.dials):
            continue
        item = On(mask=Mask(kind="select", name=name, feather=3), item=Step(op="invert"))
        recipe = Recipe(items=(item if schema.kind == "select" else Step(op=name),))
        small = shrunk(recipe, share)
        (one,) = small.items
        dials = one.mask.dials if isinstance(one, On) else one.dials
        assert set(dials) == {dial.parameter for dial in schema.dials if dial.pixels}
        for dial in schema.dials:
            if dial.pixels and dials[dial.parameter] is not None:
                assert dial.read(dials[dial.parameter]) <= dial.default, (name, dial.name)
                assert share < 1 or dials[dial.parameter] == dial.default, (name, dial.name)
        assert not isinstance(one, On) or one.mask.feather == 3 * share


def test_a_dial_that_speaks_of_pixels_is_a_length():
    """Whoever writes an op says so, else its preview would show it too strong."""
    lengths = {f"{name} {dial.name}" for name, schema in SCHEMAS.items() for dial in schema.dials if dial.pixels}
    said = {
        f"{name} {dial.name}" for name, schema in SCHEMAS.items() for dial in schema.dials
        if dial.kind in ("number", "integer") and "in pixels" in dial.help
    }  # fmt: skip
    assert said <= lengths and len(lengths) > 30


@pytest.mark.parametrize("words", ["gaussian-blur radius=12", "sharpen radius=8 amount=1", "bloom radius=24 amount=1"])
def test_what_is_shown_at_half_the_size_looks_like_the_whole(words):
    rng = np.random.default_rng(5)
    fine = cv2.resize(rng.integers(0, 255, (20, 30, 3), np.uint8), (480, 320), interpolation=cv2.INTER_CUBIC)
    half = cv2.resize(fine, (240, 160), interpolation=cv2.INTER_AREA)
    recipe = named.recipe(words)
    whole = cv2.resize(refine(fine, recipe), (240, 160), interpolation=cv2.INTER_AREA).astype(int)
    shown, wrong = (refine(half, one).astype(int) for one in (shrunk(recipe, 0.5), recipe))
    assert np.abs(shown - whole).mean() < 1.5 < np.abs(wrong - whole).mean() / 2
