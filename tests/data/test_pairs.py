"""Pairs of images, texts beside images, crops, and other things that belong together."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

sys.path.insert(0, str(Path(__file__).parent))
from makers import paths, png, reasons, run, said, saved, values

from maquette.core.errors import UsageError
from maquette.data.decoding.limits import Limits
from maquette.data.decoding.picture import read
from maquette.data.decoding.shape import Form, saliency, windows
from maquette.data.ingest.listing import Listing


@pytest.mark.parametrize(("name", "kind"), [("sketches", "image"), ("masks", "map"), ("A", "image")])
def test_two_folders_with_equal_names(tmp_path: Path, name: str, kind: str) -> None:
    """Each image has the file of its name in the other folder as its input, whatever the endings; others lack one."""
    for k in range(6):
        for folder in ("photos/x", f"{name}/x"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / "x" / f"{k}.png").write_bytes(png(k))
        Pillow.new("L", (16, 16), k).save(tmp_path / name / "x" / f"{k}.bmp")
    (tmp_path / "photos" / "alone.png").write_bytes(png(9))
    data, _ = run(tmp_path / "photos", tmp_path / "out.mq", input=str(tmp_path / name), labels="none")
    (spec,) = data.spec.conditions
    assert (spec.name, spec.kind) == ("input" if name == "A" else name, kind) and len(data) == 6
    found = data.conditions(np.arange(6))[spec.name]
    assert [int(value.flat[0]) for value in found] == list(range(6))
    assert reasons(data) == {"alone.png": f"it has no {spec.name}"}


@pytest.mark.parametrize("half", ["left", "right"])
def test_pictures_side_by_side(tmp_path: Path, half: str) -> None:
    """One half of each picture is the input, the other the image."""
    (tmp_path / "in").mkdir()
    for k in range(4):
        picture = np.zeros((20, 40, 3), np.uint8)
        picture[:, :20], picture[:, 20:] = 10 + k, 200 + k
        Pillow.fromarray(picture).save(tmp_path / "in" / f"{k}.png")
    data, _ = run(tmp_path / "in", tmp_path / "out.mq", half=half, mode="rgb")
    inputs, outputs = (10, 200) if half == "left" else (200, 10)
    assert (data.images([3]) == outputs + 3).all() and (data.conditions([3])["input"] == inputs + 3).all()


def test_columns_of_pairs(tmp_path: Path) -> None:
    """Of two columns of pictures, what is called input is the input, wherever it stands."""
    rows = [{"bytes": png(k), "path": None} for k in range(5)]
    others = [{"bytes": png(k + 50), "path": None} for k in range(5)]
    pq.write_table(pa.table({"input_image": rows, "edited_image": others}), tmp_path / "x.parquet")
    data, _ = run(tmp_path / "x.parquet", tmp_path / "out.mq")
    (spec,) = data.spec.conditions
    assert (spec.name, spec.kind) == ("input", "image")
    expected = np.random.default_rng(52).integers(0, 256, (16, 16, 3), np.uint8)
    assert np.array_equal(data.images([2])[0], expected)


def test_pairs_of_another_shape_are_counted(tmp_path: Path) -> None:
    """A warning counts images whose input is wider or higher than they are; crops of pairs stay in the middle."""
    for k in range(4):
        for folder in ("out", "in"):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / "out" / f"{k}.png").write_bytes(png(k))
        Pillow.new("RGB", (16, 24 if k else 16)).save(tmp_path / "in" / f"{k}.png")
    _, events = run(tmp_path / "out", tmp_path / "a.mq", input=str(tmp_path / "in"))
    assert "3 images have another shape than their pictures" in said(events)
    with pytest.raises(UsageError, match="cut in the middle"):
        run(tmp_path / "out", tmp_path / "b.mq", input=str(tmp_path / "in"), position="salient")


def test_texts_beside_images(tmp_path: Path) -> None:
    """photo.txt speaks of photo.jpg; a text without an image is set aside; other encodings are said."""
    (tmp_path / "in").mkdir()
    for k in range(5):
        (tmp_path / "in" / f"p.{k}.png").write_bytes(png(k))
        (tmp_path / "in" / f"p.{k}.txt").write_bytes(f"caf\u00e9 {k}\n".encode("latin-1" if k == 2 else "utf-8"))
    (tmp_path / "in" / "orphan.txt").write_text("of nobody")
    data, events = run(tmp_path / "in", tmp_path / "out.mq")
    assert values(data, "text") == [f"caf\u00e9 {k}" for k in range(5)] and set(reasons(data)) == {"orphan.txt"}
    assert "text beside the images is not UTF-8" in said(events)


def test_labels_below_a_single_folder(tmp_path: Path) -> None:
    """Where the first level of folders is one and the same, the next one is the label; none on request."""
    for k in range(8):
        path = tmp_path / "in" / "photos" / ("ab"[k % 2]) / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(k))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq")
    assert set(values(data, "label")) == {"a", "b"}
    assert run(tmp_path / "in", tmp_path / "none.mq", labels="none")[0].spec.conditions == ()


def test_sources_with_one_name(tmp_path: Path) -> None:
    """Two folders of one name, with files of one name: all are kept, and their paths differ."""
    for place in ("a", "b"):
        (tmp_path / place / "photos").mkdir(parents=True)
        (tmp_path / place / "photos" / "0.png").write_bytes(png(ord(place)))
    data, _ = run([tmp_path / "a" / "photos", tmp_path / "b" / "photos"], tmp_path / "out.mq")
    assert paths(data) == ["photos/0.png", "photos-2/0.png"]


def test_numbers_of_labels_mean_what_their_source_says(tmp_path: Path) -> None:
    """Two Parquet files that number the same labels differently agree in the dataset."""
    import json

    for name, words in (("a", ["cat", "dog"]), ("b", ["dog", "cat", "fox"])):
        rows = [{"bytes": png(ord(name) + k), "path": None} for k in range(6)]
        table = pa.table({"image": rows, "label": [k % 2 for k in range(6)]})
        features = {"info": {"features": {"label": {"names": words, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({b"huggingface": json.dumps(features).encode()})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    data, _ = run([tmp_path / "a.parquet", tmp_path / "b.parquet"], tmp_path / "out.mq")
    assert data.spec.condition("label").classes == ("cat", "dog", "fox")
    assert values(data, "label") == ["cat", "dog"] * 3 + ["dog", "cat"] * 3


def scene(at: tuple[int, int], size: tuple[int, int] = (160, 60)) -> Pillow.Image:
    """A coloured, detailed thing on an even ground."""
    picture = Pillow.new("RGB", size, (120, 130, 140))
    thing = Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8))
    picture.paste(thing, at)
    return picture


@pytest.mark.parametrize("at", [(4, 18), (60, 18), (130, 18)])
def test_salient_crops_find_the_thing(at: tuple[int, int]) -> None:
    """The crop keeps what stands out, where the middle of the picture would lose it; also lying on its side."""
    form = Form(width=16, height=16, position="salient")
    (place,) = windows(scene(at), form, False)
    left, _, right, _ = place.box
    assert left <= at[0] and at[0] + 24 <= right
    (place,) = windows(scene(at).transpose(Pillow.Transpose.ROTATE_90), form, False)
    assert place.box[1] <= 160 - at[0] - 24 and 160 - at[0] <= place.box[3]
    assert abs(saliency(scene(at)).sum() - 1) < 1e-9


def test_an_even_picture_is_cut_in_the_middle() -> None:
    """Where nothing stands out, the middle is taken."""
    (place,) = windows(Pillow.new("RGB", (160, 60), (9, 9, 9)), Form(width=16, height=16, position="salient"), False)
    assert abs(place.box[0] - 50) < 3


def test_several_crops(tmp_path: Path) -> None:
    """Different parts of one picture, never enlarged, in one group; a picture of exactly the size gives one."""
    content = saved(scene((60, 18)), "PNG")
    shots = list(read(content, Form(width=16, height=16, crops=5), Limits()))
    assert len(shots) == 5 and len({shot.image.tobytes() for shot in shots}) == 5
    for place in windows(scene((60, 18)), Form(width=16, height=16, crops=5), False):
        assert place.box[2] - place.box[0] >= 16 and place.box[0] >= 0 and place.box[2] <= 160 and place.box[3] <= 60
    assert len(list(read(png(1), Form(width=16, height=16, crops=5), Limits()))) == 1
    (tmp_path / "in").mkdir()
    for k in range(12):
        (tmp_path / "in" / f"{k}.png").write_bytes(png(k, 40))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq", crops=3, held_out=0.25)
    assert len(data) == 36 and len(set(data.groups.tolist())) == 12 and len(data.indices("held-out")) == 9
    assert paths(data)[:3] == ["0.png, frame 0", "0.png, part 1", "0.png, part 2"]


def test_names_in_a_folder(tmp_path: Path) -> None:
    """Sorted by their bytes, with their kinds, in little memory; odd names are found as well."""
    names = [f"{k * 7919 % 20011:05d}.x" for k in range(20_000)] + ["\u00e9", "raw\udcff", "a b", "-"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    listing = Listing(tmp_path)
    found = list(listing)
    assert len(listing) == len(found) == 20_006 and {n for n, _ in found} == {*names, "folder", "link"}
    assert dict(found)["folder"] == "d" and dict(found)["link"] == "l" and dict(found)["a b"] == "f"
    assert "raw\udcff" in listing and "00000.x" in listing and "nobody" not in listing and "x" * 300 not in listing
    assert len(Listing(tmp_path / "folder")) == 0 and "x" not in Listing(tmp_path / "folder")
