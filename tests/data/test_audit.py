"""The audit: every check finds what it is for and nothing else, and says how bad it is."""

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageFilter

from maquette.core.errors import UsageError
from maquette.core.event import Progress, Result
from maquette.core.settings import from_json
from maquette.data.audit import check as checks
from maquette.data.audit.audit import audit, parse_changes
from maquette.data.audit.page import page
from maquette.data.drawn.drawings import Dice
from maquette.data.drawn.scans import scans as drawn_scan
from maquette.data.origin import ORIGIN, Trait


def load(name):
    """A neighbour of this file, which is no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


planted = load("planted")
GOOD = 40


def look(data, **given):
    *_, result = audit(data, **given)
    assert isinstance(result, Result)
    return result.value


def pil(image):
    return Pillow.fromarray(image)


def jpeg(image, quality):
    stream = io.BytesIO()
    pil(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Pillow.open(stream).convert("RGB"))


def bars(image):
    return np.concatenate([np.zeros((5, 32, 3), np.uint8), image[5:27], np.zeros((5, 32, 3), np.uint8)])


def press(image, low, high):
    return np.rint(low + image / 255 * (high - low)).astype(np.uint8)


def small(image, side, back):
    return np.asarray(pil(image).resize((side, side), Pillow.Resampling.BOX).resize((32, 32), back))


def luminance(image):
    return np.repeat(np.rint(image @ [0.2126, 0.7152, 0.0722])[..., None], 3, 2).astype(np.uint8)


SPOILT = {
    "blurred": lambda image: np.asarray(pil(image).filter(ImageFilter.GaussianBlur(1.8))),
    "too-dark": lambda image: press(image, 0, 30),
    "too-bright": lambda image: press(image, 230, 255),
    "low-contrast": lambda image: press(image, 120, 141),
    "low-information": lambda image: np.full_like(image, image[0, 0]),
    "upscaled": lambda image: small(image, 16, Pillow.Resampling.NEAREST),
    "borders": bars,
    "grey-among-colour": luminance,
}
"""Every way to spoil a picture, by the check that is to notice."""
COPIES = {
    "JPEG quality 50": lambda image: jpeg(image, 50),
    "half size": lambda image: small(image, 16, Pillow.Resampling.BICUBIC),
    "blur": lambda image: np.asarray(pil(image).filter(ImageFilter.GaussianBlur(0.7))),
    "mirror": lambda image: image[:, ::-1],
    "crop": lambda image: np.asarray(pil(image).resize((32, 32), Pillow.Resampling.BICUBIC, (1, 0, 31, 30))),
}


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """Two pictures of every fault among forty good ones, and the audit of it."""
    images = [planted.scene(k) for k in range(GOOD)]
    truth = {}
    for number, (kind, spoil) in enumerate(SPOILT.items()):
        truth[kind] = {len(images), len(images) + 1}
        images += [spoil(planted.scene(100 + 2 * number + k)) for k in range(2)]
    data = planted.build(tmp_path_factory.mktemp("spoilt") / "a.mq", images)
    return truth, look(data)


@pytest.mark.parametrize("kind", SPOILT)
def test_each_fault_is_found_by_its_check_and_by_no_other(spoilt, kind):
    truth, result = spoilt
    assert set(result[kind].finding.all_items.tolist()) == truth[kind]


def test_every_check_says_what_it_does_to_a_generator():
    for name in checks.names():
        check = checks.get(name)
        assert check.name == name
        assert check.effect.endswith(".") and check.advice.endswith(".") and len(check.effect) > 40
        for setting in check.described:
            assert setting.help and setting.bounds, f"{name}.{setting.name} must be explained and bounded"
            assert setting.default is not None


@pytest.mark.parametrize("name", checks.names())
def test_every_check_copes_with_little(tmp_path, name):
    """One image, two equal ones, blank ones: nothing breaks, whatever the mode."""
    for mode, shape, dtype in (
        ("rgb", (8, 16, 3), np.uint8),
        ("rgba", (8, 8, 4), np.uint8),
        ("grey", (16, 8, 1), np.uint8),
        ("grey16", (8, 8, 1), np.uint16),
    ):
        images = [np.zeros(shape, dtype), np.zeros(shape, dtype), np.full(shape, np.iinfo(dtype).max, dtype)]
        for count in (1, 3):
            data = planted.build(
                tmp_path / f"{mode}{count}.mq", images[:count], mode=mode, labels=["a", "b", None][:count]
            )
            result = look(data, only=[name])
            assert result[name].finding.count <= count + 1
            assert result.facts()["grade"]


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_found_and_different_pictures_are_not(tmp_path, kind):
    images = [planted.scene(k) for k in range(60)]
    images += [COPIES[kind](images[k]).copy() for k in range(10)]
    result = look(planted.build(tmp_path / "a.mq", images), only=["near-duplicates", "exact-duplicates"])
    groups = {tuple(sorted(group.tolist())) for group in result["near-duplicates"].finding.groups}
    assert groups == {(k, 60 + k) for k in range(10)}
    assert not result["exact-duplicates"].finding


def test_the_best_of_a_group_comes_first(tmp_path):
    sharp = planted.scene(0)
    images = [planted.scene(k) for k in range(1, 30)]
    images += [COPIES["blur"](sharp), sharp, jpeg(sharp, 60)]
    origins = np.zeros(len(images), ORIGIN)
    origins["width"] = origins["height"] = 64
    origins["quality"][31] = 60
    result = look(planted.build(tmp_path / "a.mq", images, origins=origins), only=["near-duplicates"])
    (group,) = result["near-duplicates"].finding.groups
    assert group.tolist() == [30, 29, 31]


def test_equal_images_are_one_group_and_no_near_duplicates(tmp_path):
    images = [planted.scene(k % 20) for k in range(50)]
    result = look(planted.build(tmp_path / "a.mq", images))
    groups = result["exact-duplicates"].finding.groups
    assert [group.tolist() for group in groups[:2]] == [[0, 20, 40], [1, 21, 41]]
    assert len(groups) == 20
    assert not result["near-duplicates"].finding


def test_a_digest_that_two_images_share_does_not_make_them_equal(tmp_path):
    from maquette.data.audit.surveyed import Survey

    survey = Survey(planted.build(tmp_path / "a.mq", [planted.scene(k) for k in range(6)]))
    list(survey.measure([]))
    survey._columns["digest"][:] = 7  # as if somebody had made them collide
    assert survey.exact == []


def test_leakage_names_the_held_out_ones(tmp_path):
    images = [planted.scene(k) for k in range(30)]
    images += [images[0].copy(), jpeg(images[1], 70), planted.scene(90)]
    result = look(planted.build(tmp_path / "a.mq", images, held_out=(30, 31, 32)))
    assert result["leakage"].finding.items.tolist() == [30, 31]
    assert "2 held-out images" in result["leakage"].sentence


def test_conflicting_labels_are_harmful_and_captions_doubtful(tmp_path):
    images = [planted.scene(k) for k in range(30)] + [planted.scene(0)]
    labels = ["a"] * 15 + ["b"] * 16
    result = look(planted.build(tmp_path / "a.mq", images, labels=labels))
    one = result["conflicting-labels"]
    assert [group.tolist() for group in one.finding.groups] == [[0, 30]] and one.severity == "harmful"
    texts = ["a dog"] * 30 + ["a cat"]
    one = look(planted.build(tmp_path / "b.mq", images, texts=texts))["conflicting-labels"]
    assert one.severity == "doubtful" and one.finding.why == {0: "a dog", 30: "a cat"}


def test_wrong_labels_are_found_beside_their_neighbours(tmp_path):
    rng = np.random.default_rng(0)

    def kind(label):
        noise = rng.normal(128, 40, (32, 32, 3))
        if label == "smooth":
            noise = np.asarray(pil(np.clip(noise, 0, 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(3)))
        return np.clip(noise, 0, 255).astype(np.uint8)

    truth = ["smooth", "rough"] * 60
    said = list(truth)
    for k in (3, 40, 77):
        said[k] = "rough" if truth[k] == "smooth" else "smooth"
    result = look(
        planted.build(tmp_path / "a.mq", [kind(label) for label in truth], labels=said), only=["wrong-labels"]
    )
    finding = result["wrong-labels"].finding
    found = set(finding.items.tolist())
    assert found <= {3, 40, 77} and len(found) >= 2
    assert all(said[j] == truth[k] for k, near in finding.beside.items() for j in near)


def test_labels_that_cannot_be_told_from_the_images_are_not_doubted(tmp_path):
    images = [planted.scene(k) for k in range(80)]
    labels = [str(np.random.default_rng(k).integers(2)) for k in range(80)]
    result = look(planted.build(tmp_path / "a.mq", images, labels=labels), only=["wrong-labels"])
    assert "too little to doubt" in result["wrong-labels"].finding.skipped


def test_label_counts_speak_of_rare_missing_and_misspelt_labels(tmp_path):
    labels = ["cat"] * 40 + ["Cat "] * 30 + ["dog"] * 3 + [None] * 2
    result = look(planted.build(tmp_path / "a.mq", [planted.scene(k) for k in range(75)], labels=labels))
    one = result["label-counts"]
    assert set(one.finding.items.tolist()) == set(range(70, 75))
    assert "dog with few images" in one.sentence and "2 images without a label" in one.sentence
    assert "cat, Cat  are probably one label" in one.sentence


def test_what_is_known_of_the_files_counts(tmp_path):
    origins = np.zeros(30, ORIGIN)
    origins["width"], origins["height"], origins["bytes"] = 64, 64, 5000
    origins["width"][3], origins["height"][3] = 640, 100
    origins["width"][4], origins["height"][4] = 600, 600
    origins["quality"][5], origins["format"][5] = 12, b"JPEG"
    origins["quality"][6], origins["format"][6] = 90, b"JPEG"
    origins["width"][7], origins["height"][7], origins["traits"][7] = 20, 20, Trait.ENLARGED
    result = look(planted.build(tmp_path / "a.mq", [planted.scene(k) for k in range(30)], origins=origins))
    found = {
        name: result[name].finding.all_items.tolist() for name in ("odd-aspect", "odd-size", "compressed", "upscaled")
    }
    assert found == {"odd-aspect": [3], "odd-size": [4], "compressed": [5], "upscaled": [7]}
    assert result["compressed"].finding.why == {5: "JPEG quality 12"}


def test_blocks_are_seen_where_nothing_is_known_of_the_file(tmp_path):
    images = [planted.scene(k, 64) for k in range(20)] + [jpeg(planted.scene(50 + k, 64), 4) for k in range(2)]
    result = look(planted.build(tmp_path / "a.mq", images), only=["compressed"])
    assert result["compressed"].finding.all_items.tolist() == [20, 21]


def test_recoloured_variants_are_no_copies(tmp_path):
    images = [planted.scene(k) for k in range(30)]
    grey = luminance(images[0]).astype(int)
    images.append(np.clip(2 * grey - images[0], 0, 255).astype(np.uint8))  # the same light, the opposite colours
    result = look(planted.build(tmp_path / "a.mq", images))
    assert not result["near-duplicates"].finding
    assert [sorted(group.tolist()) for group in result["recoloured-duplicates"].finding.groups] == [[0, 30]]


def test_odd_pictures_are_outliers(tmp_path):
    images = [planted.scene(k) for k in range(80)]
    images.append(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    result = look(planted.build(tmp_path / "a.mq", images), only=["outliers"])
    assert result["outliers"].finding.items[:1].tolist() == [80]
    assert len(result["outliers"].finding.items) <= 4


def test_too_few_depends_on_the_family_and_copies_do_not_count(tmp_path):
    images = [planted.scene(k % 60) for k in range(600)]
    data = planted.build(tmp_path / "a.mq", images)
    assert "60 different images" in look(data, family="gan", only=["too-few"])["too-few"].sentence
    assert not look(data, family="texture", only=["too-few"])["too-few"].finding


def test_letters_on_a_picture_are_noticed(tmp_path):
    from PIL import ImageDraw, ImageFont

    def written(seed):
        picture = pil(np.full((64, 64, 3), 90 + seed % 40, np.uint8) + planted.scene(seed, 64) // 8)
        ImageDraw.Draw(picture).text((2, 20), "12 MAR 26", (255, 255, 255), ImageFont.load_default(size=12))
        return np.asarray(picture)

    images = [planted.scene(k, 64) for k in range(30)] + [written(k) for k in range(4)]
    result = look(planted.build(tmp_path / "a.mq", images), only=["overlays"])
    assert set(range(30, 34)) <= set(result["overlays"].finding.items.tolist())


def test_letters_are_not_looked_for_where_they_cannot_be_told(tmp_path):
    small = look(planted.build(tmp_path / "a.mq", [planted.scene(k) for k in range(10)]), only=["overlays"])
    assert "too small" in small["overlays"].finding.skipped

    def strokes(rows):
        image = np.zeros((64, 64, 3), np.uint8)
        image[20 : 20 + rows, 4:60:7] = image[20 : 20 + rows, 5:61:7] = 250
        return image

    for weak, found in ((2, 1), (8, 0)):  # where many images have weaker strokes, strokes are the motif
        images = [
            strokes(9),
            *(strokes(3) + np.uint8(k) for k in range(weak)),
            *(planted.scene(k, 64) for k in range(12)),
        ]
        result = look(planted.build(tmp_path / f"{weak}.mq", images), only=["overlays"])
        assert len(result["overlays"].finding.items) == found


def test_files_that_were_no_images_are_listed(tmp_path):
    result = look(planted.build(tmp_path / "a.mq", [planted.scene(0)]), only=["unreadable"])
    assert list(result["unreadable"].finding.files) == [("broken.png", "it is not an image")]
    assert result.facts()["findings"][0]["items"] == ["broken.png"]


def test_thresholds_can_be_set_and_wrong_ones_are_refused(tmp_path):
    data = planted.build(tmp_path / "a.mq", [planted.scene(k) for k in range(10)])
    assert look(data, only=["too-dark"], changes=parse_changes(["too-dark.most=255"]))["too-dark"].finding.count == 10
    for pairs in (["too-dark.most=300"], ["too-dark.least=3"], ["too-drak.most=3"], ["too-dark.most=x"]):
        with pytest.raises(UsageError):
            look(data, changes=parse_changes(pairs))
    for text in ("too-dark", "most=3", "too-dark.most"):
        with pytest.raises(UsageError, match=r"CHECK\.SETTING=VALUE"):
            parse_changes([text])
    with pytest.raises(UsageError, match="did you mean too-dark"):
        look(data, only=["to-dark"])


def test_a_good_dataset_is_called_good_and_a_bad_one_poor(tmp_path, spoilt):
    data = planted.build(tmp_path / "a.mq", [planted.scene(k) for k in range(600)])
    result = look(data)
    assert result.grade == "Very good" and result.share("harmful") == 0
    assert spoilt[1].grade == "Poor"
    steps = spoilt[1].steps()
    assert len(steps) == 3 and steps[0].command.endswith("--repair")


def test_progress_tells_how_far_it_is(tmp_path):
    data = planted.build(tmp_path / "a.mq", [planted.scene(k) for k in range(50)])
    told = [event for event in audit(data) if isinstance(event, Progress)]
    assert {event.unit for event in told} == {"images", "images compared", "images described"}
    assert all(event.done <= event.total == 50 for event in told)


def test_the_page_shows_every_finding_and_no_name_becomes_markup(tmp_path):
    images = [planted.scene(k) for k in range(30)] + [planted.scene(0), np.zeros((32, 32, 3), np.uint8)]
    names = [f"<b>{k}</b>.png" for k in range(32)]
    data = planted.build(tmp_path / "a.mq", images, labels=["x"] * 15 + ["<i>y</i>"] * 17, names=names)
    result = look(data)
    text = page(result).html()
    for one in result.present:
        assert one.check.title in text
    assert "<b>0</b>" not in text and "&lt;b&gt;0&lt;/b&gt;.png" in text and "<i>y" not in text
    assert "data:image/png;base64," in text and "<script" not in text
    for step in result.steps():
        assert step.command == "" or step.command.replace("&", "&amp;") in text


def test_settings_are_read_strictly():
    for name in checks.names():
        settings = checks.get(name).settings
        assert from_json(settings, {}, what=name) == settings()


def test_in_a_crowd_only_the_closest_are_copies(tmp_path):
    """Scans of one body are all alike; copies among them are found, and nothing else is taken for one."""
    dice = [Dice(7, f"scan {number}") for number in range(160)]
    scans = [np.repeat((drawn_scan(d, 32, 32).image >> 8).astype(np.uint8), 3, axis=2) for d in dice]
    kinds = [*COPIES.values()]
    images = [*scans, *(kinds[k % len(kinds)](scans[k]).copy() for k in range(10))]
    result = look(planted.build(tmp_path / "a.mq", images), only=["near-duplicates", "recoloured-duplicates"])
    finding = result["near-duplicates"].finding
    groups = {tuple(sorted(group.tolist())) for group in finding.groups}
    assert groups <= {(k, 160 + k) for k in range(10)}
    assert len(groups) >= 8
    assert "so alike that" in finding.text
    assert not result["recoloured-duplicates"].finding


def test_many_copies_are_no_crowd(tmp_path):
    images = [planted.scene(k) for k in range(40)]
    images += [jpeg(image, 70) for image in images[:20] for _ in range(3)]
    images = [image + np.uint8(k % 2) * (image < 255) for k, image in enumerate(images)]
    result = look(planted.build(tmp_path / "a.mq", images), only=["near-duplicates"])
    assert len(result["near-duplicates"].finding.groups) == 20
