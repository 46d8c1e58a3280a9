"""Ingest: every file has one outcome, every bad input its sentence, and nothing half-written is left."""

import io
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from maquette.core.errors import DataError, MaquetteError, UsageError
from maquette.core.event import Event, Note, Progress, Result, Warning
from maquette.data.dataset import Dataset
from maquette.data.ingest.ingest import Settings, ingest, parse_size


def picture(seed: int, width: int = 20, height: int = 20, mode: str = "RGB") -> Pillow.Image:
    """A smooth picture that no other seed makes."""
    rng = np.random.default_rng(seed)
    small = Pillow.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
    return small.resize((width, height), Pillow.Resampling.BICUBIC).convert(mode)


def fill(folder: Path, names: list[str], **form: Any) -> None:
    """Image files of these names."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(zlib.crc32(name.encode()) + number, **form).save(folder / name)


def run(source: Path | list[Path], to: Path, **settings: Any) -> tuple[Dataset, list[Event]]:
    """Ingest at 16 px; the dataset and all events."""
    chosen = Settings(**{"width": 16, "height": 16, "workers": 1, **settings})
    events = list(ingest(source if isinstance(source, list) else [source], to, settings=chosen))
    last = events[-1]
    assert isinstance(last, Result) and isinstance(last.value, Dataset)
    return last.value, events


def said(events: list[Event]) -> str:
    """All notes and warnings."""
    return "\n".join(event.text for event in events if isinstance(event, (Note, Warning)))


def labels(data: Dataset) -> dict[str, str | None]:
    """Path -> label."""
    spec = data.spec.condition("label")
    values = data.conditions(np.arange(len(data)), ["label"])["label"]
    return {data.item(k)["path"]: spec.describe(value) for k, value in enumerate(values)}


def test_a_folder_with_subfolders(tmp_path: Path) -> None:
    """Subfolders are labels, images are found at any depth, hidden files are skipped, and the result says it all."""
    names = [f"cat/{k}.png" for k in range(6)] + [f"dog/deep/er/{k}.jpg" for k in range(6)]
    fill(tmp_path / "in", [*names, ".hidden/x.png", "cat/.y.png"])
    (tmp_path / "in" / "README.txt").write_text("about")
    data, events = run(tmp_path / "in", tmp_path / "out.mq")
    assert labels(data) == {name: name.split("/")[0] for name in names}
    result = events[-1]
    assert isinstance(result, Result)
    facts = result.to_json()
    assert facts["dataset"] == str(tmp_path / "out.mq") and facts["kept"] == 12 and facts["set_aside"] == []
    assert facts["held_out"] == 1 and facts["mode"] == "rgb" and facts["size"] == "16x16"
    assert facts["digest"] == data.digest and facts["conditions"] == ["label"]
    done = [event for event in events if isinstance(event, Progress)]
    assert done[-1].done == done[-1].total == 12 and done[-1].eta == 0
    data.verify()
    expected = np.asarray(picture(zlib.crc32(b"cat/0.png")).resize((16, 16), Pillow.Resampling.LANCZOS))
    index = next(k for k in range(12) if data.item(k)["path"] == "cat/0.png")
    assert np.abs(data.images([index])[0].astype(int) - expected).max() <= 2


def test_one_bad_file_among_good_ones(tmp_path: Path) -> None:
    """A truncated image, a text, an empty file and a small image: each set aside by name and reason; the rest stays."""
    fill(tmp_path / "in", [f"{k}.png" for k in range(5)], width=200, height=150)
    whole = (tmp_path / "in" / "0.png").read_bytes()
    (tmp_path / "in" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in" / "notes.png").write_text("I am not an image")
    (tmp_path / "in" / "empty.jpg").write_bytes(b"")
    fill(tmp_path / "in", ["small.png"], width=12, height=30)
    data, events = run(tmp_path / "in", tmp_path / "out.mq")
    reasons = {item["path"]: item["reason"] for item in data.set_aside()}
    assert len(data) == 5 and set(reasons) == {"cut.png", "notes.png", "empty.jpg", "small.png"}
    assert "damaged" in reasons["cut.png"] and "not an image" in reasons["notes.png"]
    assert "empty" in reasons["empty.jpg"] and reasons["small.png"] == "12x30 is smaller than 16x16"
    assert "4 of 9 files were set aside" in said(events) and "1 such as notes.png: it is not an image" in said(events)
    again, _ = run(tmp_path / "in", tmp_path / "large.mq", small="enlarge")
    assert len(again) == 6


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        (["L", "L"], "grey"),
        (["L", "RGB"], "rgb"),
        (["RGB", "RGBA"], "rgba"),
        (["I;16", "I;16"], "grey16"),
        (["I;16", "L"], "grey"),
        (["P", "CMYK", "L"], "rgb"),
        (["grey RGB", "L"], "grey"),
        (["solid RGBA", "RGB"], "rgb"),
    ],
)
def test_mixed_modes(tmp_path: Path, modes: list[str], expected: str) -> None:
    """The mode follows what the files really hold, and all become that mode."""
    (tmp_path / "in").mkdir()
    for number, mode in enumerate(modes * 2):
        made = picture(number)
        if mode == "I;16":
            made = Pillow.fromarray(np.asarray(made.convert("L")).astype(np.uint16) * 200)
        elif mode == "grey RGB":
            made = made.convert("L").convert("RGB")
        elif mode == "RGBA":
            made = made.convert("RGBA")
            made.putalpha(made.convert("L"))
        else:
            made = made.convert(mode.removeprefix("solid "))
        made.save(tmp_path / "in" / f"{number}.{'tif' if mode == 'CMYK' else 'png'}")
    data, events = run(tmp_path / "in", tmp_path / "out.mq")
    assert data.spec.mode == expected and len(data) == 2 * len(modes)
    assert f"mode {expected}: " in said(events)


@pytest.mark.parametrize("late", ["RGBA", "LA", "PA", "tRNS", "gif", "webp", "solid"])
def test_transparency_that_comes_late(tmp_path: Path, late: str) -> None:
    """Once colours were seen, files are only asked whether they can be transparent; those that are still decide."""
    (tmp_path / "in").mkdir()
    for number in range(40):
        picture(number).save(tmp_path / "in" / f"{number:02d}.{('png', 'jpg')[number % 2]}")
    see_through = picture(99, mode="RGBA")
    see_through.putalpha(255 if late == "solid" else Pillow.linear_gradient("L").resize((20, 20)))
    if late == "tRNS":
        picture(99).save(tmp_path / "in" / "zz.png", transparency=picture(99).getpixel((3, 3)))
    elif late in ("gif", "webp"):
        see_through.putalpha(see_through.getchannel("A").point(lambda value: 255 * (value > 99)))
        see_through.save(tmp_path / "in" / f"zz.{late}", lossless=True)
    elif late == "PA":
        quantized = picture(99).quantize(16)
        quantized.save(tmp_path / "in" / "zz.png", transparency=3)
    else:
        see_through.convert("RGBA" if late == "solid" else late).save(tmp_path / "in" / "zz.png")
    data, events = run(tmp_path / "in", tmp_path / "out.mq")
    assert data.spec.mode == ("rgb" if late == "solid" else "rgba") and len(data) == 41, said(events)


@pytest.mark.parametrize("mode", ["grey", "rgb", "rgba", "grey16"])
def test_a_mode_that_is_given(tmp_path: Path, mode: str) -> None:
    """All files become the mode that was asked for, whatever they are."""
    (tmp_path / "in").mkdir()
    for number, kind in enumerate(["L", "RGB", "RGBA", "P", "1", "LA"]):
        picture(number, mode=kind).save(tmp_path / "in" / f"{kind}.png")
    data, events = run(tmp_path / "in", tmp_path / "out.mq", mode=mode)
    assert data.spec.mode == mode and len(data) == 6 and said(events) == "6 files found"


def test_labels_in_some_rows_only(tmp_path: Path) -> None:
    """Rows without a label are kept with a missing one, and a warning counts them."""
    fill(tmp_path / "in", [f"{k}.png" for k in range(12)])
    rows = [{"file_name": f"{k}.png", "label": "ab"[k % 2]} if k < 8 else {"file_name": f"{k}.png"} for k in range(10)]
    (tmp_path / "in" / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    data, events = run(tmp_path / "in", tmp_path / "out.mq")
    assert len(data) == 12 and data.missing("label") == 4
    assert "4 of 12 images have no label" in said(events)
    assert labels(data)["3.png"] == "b" and labels(data)["11.png"] is None


def test_metadata_with_every_kind_of_condition(tmp_path: Path) -> None:
    """Columns of metadata.csv become label, text, number, map and image conditions of the same items."""
    fill(tmp_path / "in", [f"images/{k}.png" for k in range(12)])
    lines = ["file_name,label,caption,age,depth_file,class_map"]
    for k in range(12):
        walls = np.zeros((20, 20), np.uint8)
        walls[: k + 2] = 3
        (tmp_path / "in" / "more").mkdir(exist_ok=True)
        Pillow.fromarray(walls).save(tmp_path / "in" / "more" / f"w{k}.png")
        Pillow.new("RGB", (20, 20), (k, k, k)).save(tmp_path / "in" / "more" / f"d{k}.png")
        lines.append(f'images/{k}.png,{"xyz"[k % 3]},"a, picture {k}",{k / 2},more/d{k}.png,more/w{k}.png')
    (tmp_path / "in" / "metadata.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    data, _ = run(tmp_path / "in", tmp_path / "out.mq", mode="rgb")
    spec = {c.name: c for c in data.spec.conditions}
    assert {name: c.kind for name, c in spec.items()} == {
        "label": "label", "text": "text", "age": "number", "depth": "image", "class_map": "map"
    }  # fmt: skip
    assert (spec["age"].low, spec["age"].high) == (0.0, 5.5) and spec["class_map"].classes == ("0", "1", "2", "3")
    named = [k for k in range(len(data)) if data.item(k)["path"].startswith("images/")]
    assert len(named) == 12
    values = data.conditions(named)
    for place, index in enumerate(named):
        number = int(Path(data.item(index)["path"]).stem)
        assert spec["text"].describe(values["text"][place]) == f"a, picture {number}"
        assert values["age"][place] == number / 2 and (values["depth"][place] == number).all()
        assert set(np.unique(values["class_map"][place])) <= {0, 3} and values["class_map"][place][0, 0] == 3
    # The pictures that columns name are files too, but no images of their own.
    assert len(data) == 12 and not data.set_aside()


def test_metadata_with_mistakes(tmp_path: Path) -> None:
    """Rows that are broken, repeated, lead outside or name nothing each have their reason."""
    fill(tmp_path / "in", [f"{k}.png" for k in range(20)])
    fill(tmp_path, ["outside.png"])
    lines = [json.dumps({"file_name": f"{k}.png", "age": k}) for k in range(18)]
    lines += [
        "{not json", "[1]", json.dumps({"age": 3}), json.dumps({"file_name": "3.png", "age": 1}),
        json.dumps({"file_name": "../outside.png", "age": 1}), json.dumps({"file_name": "gone.png", "age": 1}),
        json.dumps({"file_name": str(tmp_path / "outside.png"), "age": 1}),
        json.dumps({"file_name": "18.png", "age": "old"}),
    ]  # fmt: skip
    (tmp_path / "in" / "metadata.jsonl").write_text("\n".join(lines))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq")
    reasons = [item["reason"] for item in data.set_aside()]
    assert len(data) == 19 and len(reasons) == 8
    for words in (
        "not JSON", "not a JSON object", "names no file", "more than once", "outside the folder", "no such file",
        "its age is 'old', not a number",
    ):  # fmt: skip
        assert any(words in reason for reason in reasons), words


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig", "utf-16"])
def test_metadata_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    """What is not UTF-8 is read as Windows-1252, and that is said; marked UTF-16 is read as such."""
    fill(tmp_path / "in", ["0.png", "1.png"])
    lines = "file_name,text\n0.png,Gr\xfc\xdfe\n1.png,na\xefve"
    (tmp_path / "in" / "metadata.csv").write_bytes(lines.encode(encoding))
    data, events = run(tmp_path / "in", tmp_path / "out.mq")
    assert [data.item(k)["conditions"]["text"] for k in range(2)] == ["Gr\xfc\xdfe", "na\xefve"]
    assert ("metadata.csv is not UTF-8: it was read as Windows-1252" in said(events)) == (encoding == "latin-1")


def test_metadata_that_cannot_be_used(tmp_path: Path) -> None:
    """A missing column is said of the file."""
    fill(tmp_path / "in", ["0.png"])
    (tmp_path / "in" / "metadata.csv").write_text("name,text\n0.png,x")
    with pytest.raises(DataError, match="no column file_name"):
        run(tmp_path / "in", tmp_path / "out.mq")
    assert not (tmp_path / "out.mq").exists()


def test_parts_of_a_source_are_kept(tmp_path: Path) -> None:
    """Folders train and test at the top are parts, with labels below; metadata lies in each."""
    names = [f"train/{'ab'[k % 2]}/{k}.png" for k in range(10)] + [f"test/{'ab'[k % 2]}/{k}.png" for k in range(10, 14)]
    fill(tmp_path / "in", names)
    (tmp_path / "in/test/metadata.jsonl").write_text('{"file_name": "a/10.png", "age": 3}\n')
    data, _ = run(tmp_path / "in", tmp_path / "out.mq")
    held = {data.item(int(k))["path"] for k in data.indices("held-out")}
    assert held == set(names[10:])
    assert labels(data) == {name: name.split("/")[1] for name in names}


def test_copies_are_one_group(tmp_path: Path) -> None:
    """The same picture under many names, and in another format, is one group in one part."""
    (tmp_path / "in").mkdir()
    for number in range(60):
        picture(number % 20).save(tmp_path / "in" / f"{number}.{'png' if number % 2 else 'bmp'}")
    data, events = run(tmp_path / "in", tmp_path / "out.mq", held_out=0.3)
    assert len(set(data.groups.tolist())) == 20 and "40 images are exact copies" in said(events)
    held = set(data.indices("held-out").tolist())
    for group in range(20):
        members = set(np.flatnonzero(np.asarray(data.groups) == group).tolist())
        assert len(members) == 3 and (members <= held or not members & held)
    assert 15 <= len(held) <= 18


def test_links(tmp_path: Path) -> None:
    """Links inside the folder are files; links out of it and links to folders are not followed, cycles included."""
    fill(tmp_path / "in", ["a/0.png", "a/1.png"])
    fill(tmp_path, ["outside.png"])
    (tmp_path / "in" / "good.png").symlink_to("a/0.png")
    (tmp_path / "in" / "bad.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "self").symlink_to("self")
    data, _ = run(tmp_path / "in", tmp_path / "out.mq")
    assert {data.item(k)["path"] for k in range(len(data))} == {"a/0.png", "a/1.png", "good.png"}
    reasons = {item["path"]: item["reason"] for item in data.set_aside()}
    assert "leads out of the folder" in reasons["bad.png"] and "not followed" in reasons["loop"]
    assert set(reasons) == {"bad.png", "loop", "self"}


def test_datasets_are_no_sources(tmp_path: Path) -> None:
    """A dataset made inside its own source is left out when that is read again; one given as a source is a sentence."""
    fill(tmp_path / "in", [f"a/{k}.png" for k in range(6)])
    first, _ = run(tmp_path / "in", tmp_path / "in" / "a" / "mine.mq")
    second, events = run(tmp_path / "in", tmp_path / "out.mq")
    assert len(second) == 6 and second.digest == first.digest and not second.set_aside()
    assert "a/mine.mq is a dataset of Maquette and is left out" in said(events)
    _, events = run(tmp_path / "in", tmp_path / "in" / "a" / "mine.mq")
    assert "up to date" in said(events)
    with pytest.raises(DataError, match=r"mine.mq: it is a dataset of Maquette already; give what it was made of"):
        run(tmp_path / "in" / "a" / "mine.mq", tmp_path / "third.mq")


def test_one_file_that_is_no_image(tmp_path: Path) -> None:
    """Given alone, its reason is the sentence."""
    (tmp_path / "notes.png").write_text("hello")
    with pytest.raises(DataError, match=r"notes.png: it cannot be used \(it is not an image of"):
        run(tmp_path / "notes.png", tmp_path / "out.mq")


def test_a_folder_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subfolder without permission costs its files; the top without permission is an error."""
    fill(tmp_path / "in", ["a/0.png", "locked/1.png"])
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    locked = "locked"
    data, _ = run(tmp_path / "in", tmp_path / "out.mq")
    assert data.set_aside() == [{"path": "locked", "reason": "the folder cannot be read (permission denied)"}]
    locked = "in"
    with pytest.raises(DataError, match=r"in: it cannot be read \(permission denied\)"):
        run(tmp_path / "in", tmp_path / "other.mq")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "there are no files in it"),
        (
            {"a.txt": b"hello", "b.md": b"# more"},
            "none of the 2 files can be used .for example a.txt: it is not an image",
        ),
        ({"a.png": b""}, "its only file cannot be used"),
    ],
)
def test_sources_without_images(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    """An empty folder and a folder of texts are told apart, and nothing is written."""
    (tmp_path / "in").mkdir()
    for name, content in files.items():
        (tmp_path / "in" / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        run(tmp_path / "in", tmp_path / "out.mq")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_all_too_small(tmp_path: Path) -> None:
    """When all images are too small the error says what to do."""
    fill(tmp_path / "in", ["0.png", "1.png"], width=10, height=10)
    with pytest.raises(DataError, match=r"10x10 is smaller than 16x16\); choose a smaller --size, or --small enlarge"):
        run(tmp_path / "in", tmp_path / "out.mq")


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    """A missing source is named as it was written."""
    with pytest.raises(DataError, match="nowhere: there is no such file or folder"):
        run(tmp_path / "nowhere", tmp_path / "out.mq")
    with pytest.raises(UsageError, match="nothing to ingest"):
        list(ingest([], tmp_path / "out.mq"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="no source of images"):
        run(tmp_path / "pipe", tmp_path / "out.mq")


@pytest.mark.parametrize(
    ("text", "words"),
    [("60", "such as 64"), ("64x100", "such as 96|such as 104"), ("big", "is not a size"), ("0", "such as 8"),
     ("64x", "is not a size"), ("100000", "to 4096"), ("-64", "is not a size")],
)  # fmt: skip
def test_wrong_sizes(text: str, words: str) -> None:
    """A size that is not possible names the nearest one that is, or how sizes are written."""
    with pytest.raises(UsageError, match=words):
        parse_size(text)


def test_sizes() -> None:
    """One number is a square; two are width by height."""
    assert parse_size("64") == parse_size(64) == (64, 64) and parse_size("96x64") == (96, 64)


def test_again_and_over_something_else(tmp_path: Path) -> None:
    """The same sources and settings are up to date; anything else is refused and left as it is."""
    fill(tmp_path / "in", ["0.png", "1.png"])
    first, _ = run(tmp_path / "in", tmp_path / "out.mq")
    second, events = run(tmp_path / "in", tmp_path / "out.mq")
    assert second.digest == first.digest and "up to date" in said(events) and len(events) == 2
    for change in ({"width": 8}, {"seed": 1}, {"fit": "pad"}):
        with pytest.raises(DataError, match="other settings"):
            run(tmp_path / "in", tmp_path / "out.mq", **change)
    fill(tmp_path / "other", ["2.png"])
    with pytest.raises(DataError, match=r"other sources or settings is here already.*--add"):
        run(tmp_path / "other", tmp_path / "out.mq")
    assert Dataset.open(tmp_path / "out.mq").digest == first.digest
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="something else is here already"):
        run(tmp_path / "in", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    first.verify()


def test_the_digest_depends_on_the_images(tmp_path: Path) -> None:
    """The same files elsewhere, and with other workers, make a dataset of the same digest."""
    names = [f"{k}.png" for k in range(30)]
    fill(tmp_path / "in", names)
    (tmp_path / "in").rename(tmp_path / "moved")
    first, _ = run(tmp_path / "moved", tmp_path / "a.mq")
    (tmp_path / "moved").rename(tmp_path / "again")
    second, _ = run(tmp_path / "again", tmp_path / "b.mq", workers=3)
    assert first.digest == second.digest


def test_a_caller_that_stops_leaves_at_most_what_the_next_one_goes_on_from(tmp_path: Path) -> None:
    """Closing the stream of events in the middle leaves no dataset; the same ingest again ends as if never stopped."""
    fill(tmp_path / "in", [f"{k}.png" for k in range(40)])
    events = ingest([tmp_path / "in"], tmp_path / "out.mq", settings=Settings(width=16, height=16, workers=1))
    for event in events:
        if isinstance(event, Progress) and event.unit == "images":
            break
    events.close()  # type: ignore[attr-defined]
    left = [path.name for path in tmp_path.iterdir() if path.name != "in"]
    assert all(name.startswith(".out.mq.") and name.endswith(".partial") for name in left)
    for _ in ingest([tmp_path / "in"], tmp_path / "out.mq", settings=Settings(width=16, height=16, workers=1)):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.mq"]


def test_a_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: one sentence, exit 1, nothing left."""
    fill(tmp_path / "in", [f"{k}.png" for k in range(60)], width=128, height=128)
    script = (
        "import resource, sys\n"
        "from maquette.core.errors import MaquetteError\n"
        "from maquette.data.ingest.ingest import Settings, ingest\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_200_000, 1_200_000))\n"
        "try: list(ingest([sys.argv[1]], sys.argv[2], settings=Settings(width=128, height=128)))\n"
        "except MaquetteError as error: sys.exit(str(error))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "in"), str(tmp_path / "out.mq")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "nothing of it is left" in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_several_sources(tmp_path: Path) -> None:
    """Two folders and a single image become one dataset; paths say which source they are from."""
    fill(tmp_path / "one", ["0.png", "1.png"])
    fill(tmp_path / "two", ["0.png"])
    fill(tmp_path, ["single.png"])
    data, _ = run([tmp_path / "one", tmp_path / "two", tmp_path / "single.png"], tmp_path / "out.mq")
    assert [data.item(k)["path"] for k in range(4)] == ["one/0.png", "one/1.png", "two/0.png", "single.png"]


def test_licences_are_kept(tmp_path: Path) -> None:
    """The text of a licence beside the images stays with the dataset."""
    fill(tmp_path / "in", ["0.png", "1.png"])
    (tmp_path / "in" / "LICENSE").write_text("CC0 1.0")
    data, _ = run(tmp_path / "in", tmp_path / "out.mq")
    assert data.description["licences"] == {"LICENSE": "CC0 1.0"} and data.set_aside() == []


def test_settings_that_are_not_possible() -> None:
    """Wrong words and shares are refused before anything is read."""
    for settings in ({"mode": "cmyk"}, {"fit": "squeeze"}, {"small": "maybe"}, {"held_out": 1.0}, {"workers": 0}):
        with pytest.raises(MaquetteError, match="not possible"):
            Settings(**settings)  # type: ignore[arg-type]


def test_file_names_of_all_kinds(tmp_path: Path) -> None:
    """Names with spaces, other scripts, line breaks and bytes that are no text are all read."""
    (tmp_path / "in").mkdir()
    buffer = io.BytesIO()
    for number, name in enumerate(
        [b"a b.png", "\u00e9\u4e2d.png".encode(), b"new\nline.png", b"raw\xff.png", b"-x.png"]
    ):
        buffer.seek(0)
        buffer.truncate()
        picture(number).save(buffer, "PNG")
        with open(os.fsencode(tmp_path / "in") + b"/" + name, "wb") as stream:
            stream.write(buffer.getvalue())
    data, _ = run(tmp_path / "in", tmp_path / "out.mq")
    assert len(data) == 5 and data.set_aside() == []
