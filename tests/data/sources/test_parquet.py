"""Parquet in the layout of Hugging Face: images, labels with names, captions, parts, shards and mistakes."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from maquette.core.errors import DataError
from maquette.core.event import Result
from maquette.data.dataset import Dataset
from maquette.data.ingest.ingest import Settings, ingest

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(value: int, side: int = 16) -> bytes:
    """An even image of that value."""
    stream = io.BytesIO()
    Pillow.new("RGB", (side, side), (value, 255 - value, 7)).save(stream, "PNG")
    return stream.getvalue()


def write(path: Path, columns: dict[str, Any], features: dict[str, Any] | None = None, rows: int = 7) -> None:
    """A Parquet file with these columns and Hugging Face's description of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if features:
        table = table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}}).encode()})
    pq.write_table(table, path, row_group_size=rows)


def pictures(values: list[int | None]) -> Any:
    """A column of images."""
    rows = [None if v is None else {"bytes": png(v), "path": f"p{v}.png"} for v in values]
    return pa.array(rows, IMAGE)


def run(source: Path, to: Path) -> Dataset:
    """Ingest at 8 px."""
    last = list(ingest([source], to, settings=Settings(width=8, height=8, mode="rgb", workers=1)))[-1]
    assert isinstance(last, Result) and isinstance(last.value, Dataset)
    return last.value


def test_labels_captions_and_parts(tmp_path: Path) -> None:
    """Integers get the names that the file gives them; text and number travel along; the column split is honoured."""
    values = list(range(20))
    columns = {
        "image": pictures(list(values)),
        "label": [v % 3 for v in values],
        "text": [f"picture {v}" for v in values],
        "age": [float(v) for v in values],
        "split": ["test" if v >= 15 else "train" for v in values],
    }
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["zero", "one", "two"]}}
    write(tmp_path / "set.parquet", columns, features)
    data = run(tmp_path / "set.parquet", tmp_path / "out.mq")
    assert [(c.name, c.kind) for c in data.spec.conditions] == [("label", "label"), ("text", "text"), ("age", "number")]
    assert data.spec.condition("label").classes == ("zero", "one", "two")
    assert data.indices("held-out").tolist() == list(range(15, 20))
    got = data.conditions(values)
    assert got["label"].tolist() == [v % 3 for v in values] and got["age"].tolist() == values
    assert data.images([3, 9])[:, 4, 4, 0].tolist() == [3, 9]
    assert data.item(9)["path"] == "set.parquet, row 9 (p9.png)"
    assert data.item(9)["conditions"] == {"label": "zero", "text": "picture 9", "age": 9.0}


def test_a_folder_of_shards(tmp_path: Path) -> None:
    """Shards are read in order; their names say the part."""
    write(tmp_path / "in/data/train-00000-of-00002.parquet", {"image": pictures([1, 2, 3])})
    write(tmp_path / "in/data/train-00001-of-00002.parquet", {"image": pictures([4, 5])})
    write(tmp_path / "in/data/test-00000-of-00001.parquet", {"image": pictures([6])})
    data = run(tmp_path / "in", tmp_path / "out.mq")
    assert data.images(range(6))[:, 0, 0, 0].tolist() == [6, 1, 2, 3, 4, 5]
    assert data.indices("held-out").tolist() == [0]


def test_plain_bytes(tmp_path: Path) -> None:
    """A column of bytes under any name is the images."""
    write(tmp_path / "set.parquet", {"content": pa.array([png(1), png(2)], pa.binary()), "n": [1, 2]})
    assert run(tmp_path / "set.parquet", tmp_path / "out.mq").images([0, 1])[:, 0, 0, 0].tolist() == [1, 2]


def test_rows_with_mistakes(tmp_path: Path) -> None:
    """Missing images, bytes that are no image, small images and strange labels: one reason each, by row."""
    rows = [{"bytes": png(v), "path": None} for v in range(40)]
    rows[1], rows[2], rows[3] = None, {"bytes": None, "path": "x.png"}, {"bytes": b"text", "path": None}  # type: ignore[call-overload]
    rows[4] = {"bytes": png(1, 4), "path": None}
    labels = [str(v % 2) for v in range(40)]
    labels[5], labels[6] = "banana", None  # type: ignore[call-overload]
    write(tmp_path / "set.parquet", {"image": pa.array(rows, IMAGE), "label": labels})
    data = run(tmp_path / "set.parquet", tmp_path / "out.mq")
    reasons = {item["path"]: item["reason"] for item in data.set_aside()}
    assert {path.split("row ")[1].split(" ")[0] for path in reasons} == {"1", "2", "3", "4", "5"}
    assert reasons["set.parquet, row 1"] == "the row holds no image"
    assert "none of the labels" in reasons["set.parquet, row 5"]
    assert len(data) == 35 and data.missing("label") == 1


def test_two_images_a_row(tmp_path: Path) -> None:
    """A second column of images is an image condition, decoded to the same form."""
    columns = {"image": pictures([10, 20]), "edges": pictures([30, 40])}
    write(tmp_path / "set.parquet", columns)
    data = run(tmp_path / "set.parquet", tmp_path / "out.mq")
    assert [(c.name, c.kind) for c in data.spec.conditions] == [("edges", "image")]
    assert data.conditions([0, 1])["edges"][:, 0, 0, 0].tolist() == [30, 40]
    assert data.images([0, 1])[:, 0, 0, 0].tolist() == [10, 20]


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """No image column, a damaged file, a shard of another form: each is named."""
    write(tmp_path / "a.parquet", {"label": [1, 2], "text": ["x", "y"]})
    with pytest.raises(DataError, match=r"a\.parquet: it has no column of images \(its columns: label, text\)"):
        run(tmp_path / "a.parquet", tmp_path / "out.mq")
    write(tmp_path / "c.parquet", {"label": [1, 2], "image": ["x.png", "y.png"]})
    with pytest.raises(DataError, match=r"its column image holds names of files: give their folder, with this table"):
        run(tmp_path / "c.parquet", tmp_path / "out.mq")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and then nothing PAR1")
    with pytest.raises(DataError, match=r"b\.parquet: the Parquet file is damaged"):
        run(tmp_path / "b.parquet", tmp_path / "out.mq")
    write(tmp_path / "in/0.parquet", {"image": pictures([1]), "label": [1]})
    write(tmp_path / "in/1.parquet", {"image": pictures([2])})
    with pytest.raises(DataError, match=r"1\.parquet: it has no column 'label'"):
        run(tmp_path / "in", tmp_path / "out.mq")
    assert not (tmp_path / "out.mq").exists()


def test_a_damaged_row_group(tmp_path: Path) -> None:
    """Damage in the middle is found while reading; nothing is left of the dataset."""
    rng = np.random.default_rng(0)
    images = [{"bytes": rng.bytes(2000), "path": None} for _ in range(40)]
    write(tmp_path / "set.parquet", {"image": pa.array(images, IMAGE), "label": [k % 2 for k in range(40)]})
    content = bytearray((tmp_path / "set.parquet").read_bytes())
    content[2000:60_000] = bytes(58_000)
    (tmp_path / "set.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"set\.parquet|none of the"):
        run(tmp_path / "set.parquet", tmp_path / "out.mq")
    assert [path.name for path in tmp_path.iterdir()] == ["set.parquet"]
