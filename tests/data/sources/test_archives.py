"""Zip and tar: what they hold is read where it lies; bombs, and names that lead outside, are refused."""

import gzip
import io
import json
import os
import struct
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

sys.path.insert(0, str(Path(__file__).parents[1]))
from makers import paths, png, reasons, run, said, tarred, values, zipped

from maquette.core.errors import DataError

FILES = {f"photos/{'cat' if k % 2 else 'dog'}/{k}.png": png(k) for k in range(12)}
PACKINGS = ["zip", "stored.zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


def archive(path: Path, files: dict[str, bytes], packing: str = "zip") -> Path:
    """An archive of these files."""
    if packing.endswith("zip"):
        path.write_bytes(zipped(files, zipfile.ZIP_STORED if packing.startswith("stored") else zipfile.ZIP_DEFLATED))
    else:
        path.write_bytes(tarred(files, "w:" + packing.removeprefix("tar").removeprefix(".")))
    return path


@pytest.mark.parametrize("packing", PACKINGS)
def test_an_archive_is_like_its_folder(tmp_path: Path, packing: str) -> None:
    """The same images and labels come out of a folder and of an archive, whatever it is called."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    folder, _ = run(tmp_path / "photos", tmp_path / "a.mq", held_out=0)
    packed, _ = run(
        archive(tmp_path / "thing.bin", dict(sorted(FILES.items())), packing), tmp_path / "b.mq", held_out=0
    )
    assert packed.digest == folder.digest and values(packed, "label") == values(folder, "label")
    assert paths(packed) == [f"photos/{path}" for path in paths(folder)]
    assert packed.origins()["bytes"].tolist() == folder.origins()["bytes"].tolist()


@pytest.mark.parametrize("packing", ["zip", "tar"])
def test_archives_inside_a_folder(tmp_path: Path, packing: str) -> None:
    """An archive among images is opened; its files carry its name, and the folder it lies in is a label too."""
    (tmp_path / "in" / "fox").mkdir(parents=True)
    (tmp_path / "in" / "owl").mkdir()
    archive(tmp_path / "in" / "fox" / f"all.{packing}", {f"{k}.png": png(k) for k in range(4)}, packing)
    for k in range(4, 8):
        (tmp_path / "in" / "owl" / f"{k}.png").write_bytes(png(k))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq")
    assert paths(data)[:2] == [f"fox/all.{packing}/0.png", f"fox/all.{packing}/1.png"]
    assert values(data, "label") == ["fox"] * 4 + ["owl"] * 4


@pytest.mark.parametrize("packing", ["zip", "tar"])
def test_an_archive_beside_folders_keeps_its_labels(tmp_path: Path, packing: str) -> None:
    """Its own folders are labels, as those beside it are."""
    (tmp_path / "in" / "birds").mkdir(parents=True)
    for k in range(6):
        (tmp_path / "in" / "birds" / f"{k}.png").write_bytes(png(k))
    more = {f"{name}/{k}.png": png(100 * len(name) + k) for name in ("cats", "hounds") for k in range(6)}
    archive(tmp_path / "in" / f"more.{packing}", more, packing)
    data, _ = run(tmp_path / "in", tmp_path / "out.mq")
    assert sorted(values(data, "label")) == ["birds"] * 6 + ["cats"] * 6 + ["hounds"] * 6


@pytest.mark.parametrize("packing", ["zip", "tar"])
def test_parts_inside_an_archive(tmp_path: Path, packing: str) -> None:
    """Folders train and test inside an archive are parts, and the folders below are labels."""
    files = {f"{part}/{'ab'[k % 2]}/{k}.png": png(100 * len(part) + k) for part in ("train", "test") for k in range(6)}
    data, _ = run(archive(tmp_path / "x", files, packing), tmp_path / "out.mq")
    assert [paths(data)[k].split("/")[0] for k in data.indices("held-out")] == ["test"] * 6
    assert set(values(data, "label")) == {"a", "b"}


@pytest.mark.parametrize("packing", ["zip", "tar"])
def test_what_lies_beside_images(tmp_path: Path, packing: str) -> None:
    """A metadata.csv at the front, and one text or JSON file an image, speak inside archives as in folders."""
    files = {
        "metadata.csv": b"file_name,age\n" + b"".join(f"{k}.png,{k}\n".encode() for k in range(8)) + b"gone.png,3\n"
    }
    for k in range(8):
        files |= {f"{k}.png": png(k), f"{k}.txt": f"Bild {k} \u00fc".encode(("utf-8", "latin-1")[k % 2])}
        files[f"{k}.json"] = json.dumps({"size": k / 2, "note": {"deep": 1}}).encode()
    data, events = run(archive(tmp_path / "x", files, packing), tmp_path / "out.mq")
    assert values(data, "text") == [f"Bild {k} \u00fc" for k in range(8)] and values(data, "age") == list(range(8))
    assert values(data, "size") == [k / 2 for k in range(8)] and reasons(data) == {
        "gone.png": "it is not in the archive"
    }
    assert "text beside the images is not UTF-8: it was read as Windows-1252" in said(events)


def masked(folder: str = "") -> dict[str, bytes]:
    """Images whose masks a metadata file names, which stands behind them."""
    files = {f"{folder}{k}.png": png(k) for k in range(6)}
    for k in range(6):
        stream = io.BytesIO()
        Pillow.fromarray(np.full((16, 16), k % 3, np.uint8)).save(stream, "PNG")
        files[f"{folder}masks/{k}.png"] = stream.getvalue()
    rows = "".join(f"{k}.png,masks/{k}.png\n" for k in range(6))
    return files | {f"{folder}metadata.csv": f"file_name,mask\n{rows}".encode()}


@pytest.mark.parametrize("packing", ["zip", "stored.zip", "tar"])
def test_masks_that_metadata_names(tmp_path: Path, packing: str) -> None:
    """They belong to their images, as in a folder, and are no images of their own."""
    for name, content in masked().items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    folder, _ = run(tmp_path / "in", tmp_path / "a.mq", held_out=0)
    packed, _ = run(archive(tmp_path / "x", masked(), packing), tmp_path / "b.mq", held_out=0)
    assert packed.digest == folder.digest and paths(packed) == [f"{k}.png" for k in range(6)]
    assert packed.spec.condition("mask").kind == "map" and not reasons(packed)
    assert packed.conditions(range(6))["mask"][:, 0, 0].tolist() == [0, 1, 2, 0, 1, 2]
    below, _ = run(archive(tmp_path / "y", masked("train/"), packing), tmp_path / "c.mq", held_out=0)
    assert paths(below) == [f"train/{k}.png" for k in range(6)]
    assert np.array_equal(below.conditions(range(6))["mask"], packed.conditions(range(6))["mask"])


def test_masks_that_are_missing_or_out_of_reach(tmp_path: Path) -> None:
    """An image whose mask is not there is set aside by that reason; of packed tars only the stream is read."""
    files = masked()
    del files["masks/3.png"]
    data, _ = run(archive(tmp_path / "x", files), tmp_path / "a.mq")
    assert reasons(data) == {"3.png": "it has no mask"} and len(data) == 5
    first = {"metadata.csv": files.pop("metadata.csv"), **files}
    with pytest.raises(DataError, match="the archive is packed; unpack it first"):
        run(archive(tmp_path / "y", first, "tar.gz"), tmp_path / "b.mq")


def test_webdataset(tmp_path: Path) -> None:
    """Shards of samples: image, class, caption, JSON, and a further picture of the same sample as a condition."""
    folder = tmp_path / "in"
    folder.mkdir()
    for shard in range(2):
        files: dict[str, bytes] = {}
        for k in range(6):
            key = f"{shard}{k:03d}"
            files |= {f"{key}.jpg": png(10 * shard + k), f"{key}.depth.png": png(50 + k), f"{key}.cls": b"%d" % (k % 3)}
            files |= {f"{key}.txt": f"sample {key}".encode(), f"{key}.json": json.dumps({"score": k}).encode()}
        (folder / f"{'train' if shard else 'test'}-{shard:06d}.tar").write_bytes(tarred(files))
    data, _ = run(folder, tmp_path / "out.mq")
    assert [(c.name, c.kind) for c in data.spec.conditions] == [
        ("label", "label"), ("text", "text"), ("score", "number"), ("depth", "image")
    ]  # fmt: skip
    assert len(data) == 12 and len(data.indices("held-out")) == 6
    assert values(data, "text")[0] == "sample 0000" and paths(data)[0] == "test-000000.tar/0000.jpg"
    expected = np.random.default_rng(50).integers(0, 256, (16, 16, 3), np.uint8)
    assert np.array_equal(data.conditions([0])["depth"][0], expected)


def patched(content: bytes, old: bytes, new: bytes) -> bytes:
    """The content with some bytes exchanged for as many others."""
    assert old in content and len(old) == len(new)
    return content.replace(old, new)


def overlapping() -> bytes:
    """A zip whose directory names one and the same compressed file many times."""
    whole = zipped({"a.png": bytes(100_000)})
    start = whole.index(b"PK\x01\x02")
    record = whole[start : whole.index(b"PK\x05\x06")]
    records = b"".join(record.replace(b"a.png", f"{chr(97 + k)}.png".encode()) for k in range(20))
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 20, 20, len(records), start, 0)
    return whole[:start] + records + end


def huge() -> bytes:
    """A zip that says it unpacks to far more than its size."""
    content = bytearray(zipped({f"{k}.png": bytes(1000) for k in range(50)}))
    at = -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        struct.pack_into("<I", content, at + 24, 250 << 20)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (overlapping, "overlap"),
        (huge, "times its size"),
        (lambda: zipped(FILES)[:-400], "cut short|no directory|damaged"),
        (lambda: tarred(FILES)[:700], "damaged or cut short|image is damaged|end of data"),
        (lambda: b"PK\x03\x04" + bytes(300), "no directory"),
        (lambda: gzip.compress(bytes(3_000_000)), "no files|cut short|empty"),
        (lambda: gzip.compress(tarred(FILES))[:800], "cut short|damaged"),
        (lambda: b"BZh9" + bytes(200), "damaged|cut short"),
        (lambda: b"\xfd7zXZ\x00" + bytes(200), "damaged|cut short"),
    ],
)
def test_archives_that_are_refused_whole(tmp_path: Path, content: Any, words: str) -> None:
    """A bomb or a damaged archive is one sentence, and inside a folder one file that is set aside."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad").write_bytes(content())
    with pytest.raises(DataError, match=words):
        run(tmp_path / "in" / "bad", tmp_path / "a.mq")
    (tmp_path / "in" / "good.png").write_bytes(png(1))
    data, _ = run(tmp_path / "in", tmp_path / "b.mq")
    assert "good.png" in paths(data) and sorted(os.listdir(tmp_path)) == ["b.mq", "in"]


NAMES = [
    "../up.png", "/abs.png", "a/../../up.png", "..\\up.png", "C:\\up.png", "C:/up.png", "\\\\host\\up.png", "a/..",
    "x" * 2000 + ".png",
]  # fmt: skip


@pytest.mark.parametrize("packing", ["zip", "tar"])
def test_files_that_are_refused(tmp_path: Path, packing: str) -> None:
    """Names that lead outside and archives inside are set aside one by one; the images beside them stay."""
    files = {name: png(3) for name in NAMES}
    files |= {"inner.zip": zipped(FILES), "inner.tar": tarred(FILES), "inner.png": zipped(FILES), "good.png": png(1)}
    data, _ = run(archive(tmp_path / "x", files, packing), tmp_path / "out.mq")
    found = reasons(data)
    assert paths(data) == ["good.png"] and len(found) == len(NAMES) + 3
    assert sum("leads out of the archive" in reason for reason in found.values()) == len(NAMES) - 1
    assert "archive inside an archive" in found["inner.zip"] and "archive inside an archive" in found["inner.png"]
    assert sorted(os.listdir(tmp_path)) == ["out.mq", "x"]


@pytest.mark.parametrize("size", [-512, -1024, -1, 1 << 40, 1 << 62, 1 << 64, 1 << 70])
def test_a_header_of_a_tar_that_lies_about_its_size(tmp_path: Path, size: int) -> None:
    """Nothing is waited for, for ever; the images before it are there."""
    header = bytearray(tarfile.TarInfo("bad.png").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]  # type: ignore[attr-defined]
    good = tarred({f"{k}.png": png(k) for k in range(3)}).rstrip(b"\0")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.tar").write_bytes(good + bytes(-len(good) % 512) + bytes(header) + bytes(1024))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq")
    assert paths(data) == [f"x.tar/{k}.png" for k in range(3)]


def test_a_tar_of_long_names_without_end(tmp_path: Path) -> None:
    """Thousands of headers that each announce a name: a sentence, and the images before them are there."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 4
    chain = (header.tobuf(tarfile.GNU_FORMAT) + b"abc\0" + bytes(508)) * 3000
    good = tarred({f"{k}.png": png(k) for k in range(3)}).rstrip(b"\0")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.tar").write_bytes(good + bytes(-len(good) % 512) + chain + bytes(1024))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq")
    assert {f"x.tar/{k}.png" for k in range(2)} <= set(paths(data)) and "without end" in reasons(data)["x.tar"]


def test_links_and_special_files_of_a_tar(tmp_path: Path) -> None:
    """Links, devices and pipes are set aside."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for number, kind in enumerate(
            [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.BLKTYPE]
        ):
            info = tarfile.TarInfo(f"{number}.png")
            info.type, info.linkname = kind, "/etc/passwd"
            made.addfile(info)
        info = tarfile.TarInfo("good.png")
        info.size = len(png(1))
        made.addfile(info, io.BytesIO(png(1)))
    (tmp_path / "x.tar").write_bytes(stream.getvalue())
    data, _ = run(tmp_path / "x.tar", tmp_path / "out.mq")
    assert paths(data) == ["good.png"] and len(reasons(data)) == 5
    assert reasons(data)["0.png"] == "it is a link, which is not followed" and "plain file" in reasons(data)["2.png"]


def test_files_of_a_zip_that_are_refused(tmp_path: Path) -> None:
    """Encrypted files, links, unknown packings, wrong checksums and two names for one file."""
    link = zipfile.ZipInfo("link.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr(link, "/etc/passwd")
        for name in ("secret.png", "odd.png", "wrong.png", "named.png", "good.png", "twice.png"):
            made.writestr(name, png(len(name)))
        with pytest.warns(UserWarning):
            made.writestr("twice.png", png(1))
    content = bytearray(stream.getvalue())

    def record(name: bytes) -> int:
        at = content.index(name, content.index(b"PK\x01\x02"))
        return content.rindex(b"PK\x01\x02", 0, at)

    content[record(b"secret.png") + 8] |= 1
    struct.pack_into("<H", content, record(b"odd.png") + 10, 99)
    struct.pack_into("<I", content, record(b"wrong.png") + 16, 12345)
    at = content.index(b"named.png")
    content[at : at + 5] = b"other"
    (tmp_path / "x.zip").write_bytes(content)
    data, _ = run(tmp_path / "x.zip", tmp_path / "out.mq")
    found = reasons(data)
    assert sorted(paths(data)) == ["good.png", "twice.png"]
    for name, words in (
        ("link.png", "a link"), ("secret.png", "encrypted"), ("odd.png", "method 99"), ("wrong.png", "not what its"),
        ("named.png", "two different names"), ("twice.png", "the same name"),
    ):  # fmt: skip
        assert words in found[name], name


def test_a_zip_behind_something_else_and_with_a_comment(tmp_path: Path) -> None:
    """What stands before an archive, as in programs that unpack themselves, and its comment change nothing."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.comment = b"made by hand PK\x05\x06 almost"
        made.writestr("a.png", png(1))
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 something before" + stream.getvalue())
    data, _ = run(tmp_path / "x.zip", tmp_path / "out.mq")
    assert paths(data) == ["a.png"]
