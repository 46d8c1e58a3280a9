"""`sample`: image k is the same in any count and start; what is asked for is honoured or refused by name."""

from __future__ import annotations

import errno
import gc
import io
import json
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from maquette.core.errors import DataError, MaquetteError, RunError, UsageError
from maquette.core.event import to_line
from maquette.core.image import load as load_image
from maquette.data.drawn.drawn import make_drawn
from maquette.engine import start as starting
from maquette.engine.probe import Choice
from maquette.operations import _output
from maquette.operations import operation as table
from maquette.operations.sample import Pictures
from maquette.store.run import Run
from maquette.store.workspace import Workspace


def train(home, kind, name, family, **values):
    *_, made = make_drawn(kind, home / f"{name}.mq", width=8, height=8, count=40)
    before = starting.remembered
    starting.remembered = lambda *args: (Choice(rate=800.0, plain=800.0), False)
    try:
        request = {"dataset": str(made.value.path), "to": name, "family": family, "scale": "nano", **values}
        for _ in table.run("train", Workspace(home), request):
            pass
    finally:
        starting.remembered = before


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A workspace with models: `shapes` knows labels, `seas` two numbers, `plain` nothing, `words` labels and text."""
    home = tmp_path_factory.mktemp("home")
    train(home, "shapes", "shapes", "oracle", images=640, set=["batch=16"])
    train(home, "numbers", "seas", "oracle", images=640, set=["batch=16"])
    train(home, "shapes", "plain", "oracle", images=64, set=["batch=16"], given="none")
    train(home, "shapes", "words", "flow", images=16, set=["batch=8", "width=8", "depth=1"])
    return Workspace(home)


@pytest.fixture
def sample(shared, tmp_path):
    """The events of `sample` from one of the models."""

    def sample(run="shapes", to="out", **values):
        return list(table.run("sample", shared, {"run": run, "to": str(tmp_path / to), **values}))

    return sample


def pixels(events):
    return np.stack([np.asarray(picture) for picture in events[-1].value])


def records(folder):
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def test_the_events_and_the_result_hold_what_is_promised(sample, shared, tmp_path):
    events = sample(count=20, seed=3)
    lines = [json.loads(to_line(event)) for event in events]
    result = lines[-1]
    assert result["event"] == "result" and result["verb"] == "sample"
    assert result["seeds"] == list(range(3, 23))
    assert result["images"] == [str(tmp_path / "out" / f"seed-{seed:08d}.png") for seed in range(3, 23)]
    progress = [line for line in lines if line["event"] == "progress"]
    assert {"verb", "done", "total", "unit", "seconds", "eta", "numbers"} <= progress[0].keys()
    assert [line["done"] for line in progress] == [16, 20] and progress[-1]["eta"] == 0
    assert [line["path"] for line in lines if line["event"] == "made"] == [str(tmp_path / "out" / "sheet.png")]
    assert any("nothing was asked for: label as in the training images" in line.get("text", "") for line in lines)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        [*(f"seed-{seed:08d}.png" for seed in range(3, 23)), "samples.jsonl", "sheet.png"]
    )
    head, *rows = records(tmp_path / "out")
    assert head["samples"]["model"] == Run.open(shared.runs / "shapes").facts["model"]
    assert [row["seed"] for row in rows] == list(range(3, 23)) and all(row["conditions"]["label"] for row in rows)


def test_image_k_is_the_same_whatever_the_count_and_the_start(sample):
    whole = pixels(sample(count=40, to="whole"))
    assert len({picture.tobytes() for picture in whole}) == 40
    for number, (seed, count) in enumerate([(0, 1), (7, 1), (5, 20), (39, 1), (16, 16)]):
        found = pixels(sample(count=count, seed=seed, to=str(number)))
        np.testing.assert_array_equal(found, whole[seed : seed + count])


def test_the_best_are_images_of_their_seeds_like_all_others(sample, shared, tmp_path, monkeypatch):
    monkeypatch.setattr("maquette.engine.best.STEPS", 4)
    monkeypatch.setattr("maquette.engine.best.DRAWN", 64)
    events = sample(best=6, of=30, seed=5)
    seeds = events[-1].facts["seeds"]
    assert len(set(seeds)) == 6 and set(seeds) <= set(range(5, 35))
    assert "the best of 30" in events[-1].summary
    head, *rows = records(tmp_path / "out")
    assert head["samples"]["chosen"] == {"of": 30, "from": 5}
    assert [row["seed"] for row in rows] == seeds
    whole = pixels(sample(count=30, seed=5, to="whole"))
    np.testing.assert_array_equal(pixels(events), whole[[seed - 5 for seed in seeds]])
    assert sample(best=6, of=30, seed=5, to="again", workers="2")[-1].facts["seeds"] == seeds
    assert len(sample(best=3, to="few")[-1].facts["seeds"]) == 3


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"of": 9}, "--best"), ({"best": 4, "count": 4}, "leave out --count"),
        ({"best": 9, "of": 8}, "larger --of"), ({"best": 4, "shards": 4}, "leave out --best"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_said(sample, values, words):
    with pytest.raises(UsageError, match=words):
        sample(**values)


def test_pictures_are_read_when_they_are_asked_for(sample, tmp_path):
    pictures = sample(count=5)[-1].value
    assert isinstance(pictures, Pictures) and len(pictures) == 5 and "5 images" in repr(pictures)
    np.testing.assert_array_equal(pictures[2], load_image(tmp_path / "out" / "seed-00000002.png"))
    assert isinstance(pictures[1:3], Pictures) and len(pictures[1:3]) == 2
    np.testing.assert_array_equal(pictures[-1], load_image(tmp_path / "out" / "seed-00000004.png"))
    (tmp_path / "out" / "seed-00000000.png").unlink()
    with pytest.raises(FileNotFoundError):
        pictures[0]
    assert pictures[1].shape == (8, 8, 3)


def test_a_label_is_honoured(sample, tmp_path):
    events = sample(label="circle", count=6)
    assert {row["conditions"]["label"] for row in records(tmp_path / "out")[1:]} == {"circle"}
    assert not any("nothing was asked for" in getattr(event, "text", "") for event in events)
    named = sample(label="label=circle", count=6, to="named")
    np.testing.assert_array_equal(pixels(events), pixels(named))
    assert not np.array_equal(pixels(events), pixels(sample(label="star", count=6, to="star")))


def test_numbers_are_honoured(sample, tmp_path):
    low = pixels(sample("seas", "low", number=["sun_height=0"], count=8, temperature=0)).mean()
    high = pixels(sample("seas", "high", number=["sun-height=1", "sun_side=0.5"], count=8, temperature=0)).mean()
    assert low != high
    assert {row["conditions"]["sun_height"] for row in records(tmp_path / "high")[1:]} == {1.0}


def test_words_are_honoured(sample, tmp_path):
    sample("words", text="a red circle", label="circle", count=2, steps=1)
    assert {row["conditions"]["text"] for row in records(tmp_path / "out")[1:]} == {"a red circle"}


def test_a_dial_changes_the_images(sample):
    plain, calm = pixels(sample(count=8, to="plain")), pixels(sample(count=8, temperature="0.1", to="calm"))
    assert calm.astype(float).std() < plain.astype(float).std()
    assert len({picture.tobytes() for picture in pixels(sample(label="star", count=4, temperature=0, to="mean"))}) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"label": "circel"}, r"no label 'circel'.*did you mean circle\?.*circle, cross, ring, square, star, triangle"),
        ({"label": "kind=circle"}, r"no label 'kind=circle'"),
        ({"text": "a circle"}, r"not trained with a text.*it can be given: label"),
        ({"number": ["size=3"]}, r"no number 'size'"),
        ({"number": ["size"]}, r"'size' is not of the form KEY=VALUE"),
        ({"image": ["a.png"]}, r"cannot be given an image"),
        ({"run": "seas", "label": "circle"}, r"not trained with a label.*sun_height, sun_side"),
        ({"run": "seas", "number": ["sun_hight=1"]}, r"no number 'sun_hight'.*did you mean sun_height\?"),
        ({"run": "seas", "number": ["sun_height=high"]}, r"sun_height = 'high' is not a number"),
        ({"run": "plain", "label": "circle"}, r"not trained with a label.*it can be given: nothing"),
        ({"temprature": 0.5}, r"no setting 'temprature'.*did you mean temperature\?"),
        ({"truncation": 0.5}, r"no setting 'truncation'.*temperature"),
        ({"temperature": 9}, r"temperature = '9' is not possible.*should be at most 2"),
        ({"temperature": "warm"}, r"temperature = 'warm' is not possible"),
        ({"count": 0}, r"count = 0 is not possible"),
        ({"seed": -1}, r"seed = -1 is not possible"),
        ({"seed": 2**63 - 4, "count": 5}, r"the last seed would be 9223372036854775808"),
        ({"format": "gif"}, r"format = 'gif' is not possible.*png"),
        ({"run": "nowhere"}, r"there is no such folder"),
        ({"run": "words", "guidance": 2, "steps": 0}, r"steps = '0' is not possible"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name_and_nothing_is_written(sample, tmp_path, values, words):
    with pytest.raises(MaquetteError, match=words):
        sample(**values)
    assert not (tmp_path / "out").exists()


def test_the_last_seed_there_is(sample):
    assert len(sample(seed=2**63 - 3, count=3)[-1].facts["images"]) == 3


def test_the_same_command_again_changes_nothing(sample, tmp_path):
    sample(count=5)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "out").glob("seed-*")}
    sample(count=5)
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "out").glob("seed-*")}
    assert before == after


def test_another_file_of_that_name_is_never_overwritten(sample, tmp_path):
    (tmp_path / "out").mkdir()
    mine = tmp_path / "out" / "seed-00000003.png"
    mine.write_bytes(b"a drawing of my own")
    with pytest.raises(MaquetteError, match=r"seed-00000003\.png.*a file with other content is there already"):
        sample(count=5)
    assert mine.read_bytes() == b"a drawing of my own"
    assert not [path for path in (tmp_path / "out").iterdir() if "partial" in path.name]


def test_what_is_known_of_other_images_of_the_folder_stays(sample, tmp_path):
    sample(count=3, label="star")
    sample(count=3, seed=10, label="ring")
    sample(count=2, seed=1, label="star")  # again, two of the first
    lines = records(tmp_path / "out")
    assert [line["samples"]["given"]["label"] if "samples" in line else line["seed"] for line in lines] == [
        "star", 0, "ring", 10, 11, 12, "star", 1, 2,
    ]  # fmt: skip
    sample(count=1, label="star")
    lines = records(tmp_path / "out")
    assert [line.get("seed") for line in lines] == [None, 10, 11, 12, None, 1, 2, None, 0]
    (tmp_path / "out" / "samples.jsonl").write_text("notes of my own\n")
    sample(count=1, label="star")
    assert (tmp_path / "out" / "samples.jsonl").read_text().startswith("notes of my own\n{")


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "avif", "tiff"])
def test_every_format_is_a_picture_of_that_kind(sample, tmp_path, format):
    from PIL import Image as Pillow

    (path,) = sample(count=1, format=format, sheet=False)[-1].facts["images"]
    with Pillow.open(path) as picture:
        assert picture.format.lower() == format and picture.size == (8, 8)
    assert not (tmp_path / "out" / "sheet.png").exists()


def test_without_a_place_the_images_go_to_the_workspace(shared):
    events = list(table.run("sample", shared, {"run": "shapes", "count": 1}))
    assert events[-1].facts["images"] == [str(shared.images / "shapes" / "seed-00000000.png")]
    assert [entry for entry in shared.index.list("image") if entry.path.name == "seed-00000000.png"]


def test_a_run_without_a_model_says_so(shared, tmp_path):
    run = Run.create(tmp_path / "empty", {"family": "oracle"})
    with pytest.raises(MaquetteError, match=r"no model yet.*train it first"):
        list(table.run("sample", shared, {"run": str(run.path), "to": str(tmp_path / "out")}))
    with pytest.raises(RunError, match="not a run"):
        list(table.run("sample", shared, {"run": str(tmp_path), "to": str(tmp_path / "out")}))
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there_is_said(sample, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no cuda device here"):
        sample(device="cuda")


@pytest.mark.parametrize(("more", "most"), [({}, 600), ({"shards": 50}, 100)], ids=["files", "tars"])
def test_memory_does_not_grow_with_the_pictures(shared, tmp_path, more, most):
    kept = []
    for number, count in enumerate((112, 112, 400)):  # the last pass of each has 16 images
        tracemalloc.start()
        wish = {"run": "plain", "to": str(tmp_path / str(number)), "count": count, "sheet": False, **more}
        for event in table.run("sample", shared, wish):
            if event.name == "progress" and event.done == count:
                gc.collect()  # what waits to be collected is not kept
                kept.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    # What grows is what the result names: the path and seed of each file; of tar files there are few. What an image was
    # asked to be has 200 bytes, a record or a manifest 700.
    assert kept[2] - kept[1] < 288 * most, kept


def test_a_sheet_is_no_wider_than_its_images_and_is_none_of_them(sample, shared, tmp_path):
    sample(count=3)
    with Pillow.open(tmp_path / "out" / "sheet.png") as sheet:
        width, height = sheet.size
    assert 0 <= 3 * height - width <= 8  # square images side by side, and the gaps around them
    *_, made = table.run(
        "refine", shared, {"source": [str(tmp_path / "out")], "to": str(tmp_path / "finished"), "with": "invert"}
    )
    assert sorted(Path(path).stem for path in made.facts["images"]) == [f"seed-{seed:08d}" for seed in range(3)]


# Workers


@pytest.mark.parametrize("more", [{}, {"refine": "sharpen amount=0.4", "format": "webp"}], ids=["plain", "refined"])
def test_workers_make_the_same_files(sample, tmp_path, more):
    """The same pixels, names and records; manifests differ in time and what computed alone."""
    alone, among = sample(count=40, to="alone", **more), sample(count=40, to="among", workers="2", **more)
    np.testing.assert_array_equal(pixels(alone), pixels(among))
    assert [event.done for event in among if event.name == "progress"] == [16, 32, 40]
    named = [sorted(path.name for path in (tmp_path / to).iterdir()) for to in ("alone", "among")]
    assert named[0] == named[1]
    said = [records(tmp_path / to) for to in ("alone", "among")]
    assert [[row.get("seed"), row.get("conditions")] for row in said[0]] == [
        [row.get("seed"), row.get("conditions")] for row in said[1]
    ]
    for one, other in zip(alone[-1].value.paths, among[-1].value.paths, strict=True):
        first, second = (json.loads(load_manifest(path)) for path in (one, other))
        for fact in ("time", "software"):
            first.pop(fact), second.pop(fact)
        assert first == second


def load_manifest(path):
    from PIL import Image as Pillow

    from maquette.trust import metadata

    with Pillow.open(path) as picture:
        return json.dumps(metadata.read(picture).manifest.to_json())


def test_workers_that_cannot_be_are_refused(sample):
    with pytest.raises(UsageError, match=r"0.* workers are not possible"):
        sample(workers="0")
    with pytest.raises(UsageError, match="one process; leave out --workers"):
        sample(workers="2", release=True)


# Tar files


def test_tar_files_hold_the_same_images_and_can_be_ingested_and_verified(sample, shared, tmp_path):
    sample(to="alone", count=40)
    *_, result = sample(to="tars", count=40, shards=16)
    tars = [tmp_path / "tars" / f"seed-{seed:08d}.tar" for seed in (0, 16, 32)]
    assert result.facts["images"] == [str(path) for path in tars] and result.value == tars
    assert result.facts["seeds"] == [0, 16, 32] and result.facts["count"] == 40
    assert sorted(path.name for path in (tmp_path / "tars").iterdir()) == sorted(
        ["sheet.png", *(path.name for path in tars), *(path.with_suffix(".jsonl").name for path in tars)]
    )
    with tarfile.open(tars[1]) as tar:
        assert tar.getnames()[:4] == [
            "seed-00000016.png",
            "seed-00000016.json",
            "seed-00000017.png",
            "seed-00000017.json",
        ]
        content = tar.extractfile("seed-00000017.png").read()
    with Pillow.open(io.BytesIO(content)) as inside, Pillow.open(tmp_path / "alone" / "seed-00000017.png") as alone:
        np.testing.assert_array_equal(np.asarray(inside), np.asarray(alone))
    lines = [json.loads(line) for line in tars[1].with_suffix(".jsonl").read_text().splitlines()]
    said = [row for row in records(tmp_path / "alone") if row.get("seed") in range(16, 32)]
    assert [row["conditions"] for row in lines[1:]] == [row["conditions"] for row in said]
    assert lines[2]["file"] == "seed-00000016.tar/seed-00000017.png"
    *_, seen = table.run("verify", shared, {"file": [str(tmp_path / "tars")]})
    assert seen.facts["counts"] == {"intact": 41}  # and the sheet
    request = {"source": [str(path) for path in tars], "to": str(tmp_path / "again.mq"), "size": "8", "workers": 1}
    *_, read = table.run("ingest", shared, request)
    assert len(read.value) == 40
    assert [condition.name for condition in read.value.spec.conditions] == ["label"]


def test_the_same_command_goes_on_after_the_tar_files_that_are_whole(sample, tmp_path):
    sample(to="tars", count=40, shards=16)
    before = {path.name: path.read_bytes() for path in (tmp_path / "tars").iterdir()}
    (tmp_path / "tars" / "seed-00000032.tar").unlink()  # as if it had been stopped at the last one
    *events, result = sample(to="tars", count=40, shards=16)
    after = {path.name: path.read_bytes() for path in (tmp_path / "tars").iterdir()}
    assert after.keys() == before.keys() and result.facts["count"] == 40 and len(result.facts["images"]) == 3
    assert all(after[name] == before[name] for name in before if "32" not in name)
    assert [event.done for event in events if event.name == "progress"] == [40]
    with pytest.raises(DataError, match=r"seed-00000000\.tar: images of another kind are there"):
        sample(to="tars", count=40, shards=16, format="jpeg")
    with pytest.raises(UsageError, match="leave out --shards"):
        sample(to="tars", count=40, shards=16, release=True)


def test_nothing_half_written_is_left_of_a_tar_file(sample, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_output, "_put", full)
    with pytest.raises(OSError, match="No space"):
        sample(to="tars", count=4, shards=16)
    assert not any((tmp_path / "tars").iterdir())
