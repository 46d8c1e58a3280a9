"""The verb refine: its words, its files, what it leaves alone, and what it refuses."""

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import maquette as mq
from maquette.core.errors import DataError, MaquetteError, UsageError
from maquette.core.event import Made, Progress, Result, Table, Warning
from maquette.core.image import encode, load
from maquette.data.source import open_source
from maquette.engine.bulk import bulk
from maquette.engine.files import refine as work
from maquette.engine.files.batch import Batch, plan
from maquette.operations.operation import run
from maquette.refining import named
from maquette.store.workspace import Workspace

RECIPE = "sharpen amount=0.8"


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "home")


def picture(seed=0, shape=(40, 52, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for at in range(5):
        (folder / f"{at}.png").write_bytes(encode(picture(at)))
    (folder / "sub" / "soft.webp").write_bytes(encode(picture(7, (20, 30, 4)), "webp"))
    (folder / "deep.tif").write_bytes(encode(np.arange(30 * 30, dtype=np.uint16).reshape(30, 30, 1) * 70, "tiff"))
    (folder / "notes.txt").write_text("no image, and no trouble")
    return folder


def refine(workspace, *source, **values):
    events = list(run("refine", workspace, {"source": source, "sign": "off", **values}))  # signing has its own tests
    assert isinstance(events[-1], Result)
    return events


def facts(workspace, *source, **values):
    return refine(workspace, *source, **values)[-1].to_json()


def test_a_folder_with_modes_of_all_kinds(workspace, photos, tmp_path):
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    events = refine(workspace, str(photos), to=str(tmp_path / "out"), **{"with": RECIPE})
    said = events[-1].to_json()
    assert said["event"] == "result" and said["verb"] == "refine" and said["recipe"] == "sharpen amount=0.8"
    assert sorted(Path(path).name for path in said["images"]) == [
        "0.png", "1.png", "2.png", "3.png", "4.png", "deep.png", "soft.png"
    ]  # fmt: skip
    (aside,) = said["set_aside"]
    assert aside["path"].endswith("broken.jpg") and "damaged" in aside["reason"]
    assert [event.text for event in events if isinstance(event, Warning)] == [f"{aside['path']}: {aside['reason']}"]
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert (last.done, last.total, last.unit) == (8, 8, "images") and last.eta == 0
    assert np.array_equal(load(tmp_path / "out" / "0.png"), mq.refine(picture(0), RECIPE))
    soft = load(tmp_path / "out" / "sub" / "soft.png")
    assert np.array_equal(soft[..., 3], picture(7, (20, 30, 4))[..., 3])
    assert load(tmp_path / "out" / "deep.png").dtype == np.uint16
    assert len(workspace.index.list("image")) == 7
    assert np.array_equal(events[-1].value[0], load(Path(said["images"][0])))


def test_the_same_command_again_does_nothing_and_a_lost_image_is_made_again(workspace, photos, tmp_path):
    out = tmp_path / "out"
    first = facts(workspace, str(photos), to=str(out), **{"with": RECIPE})
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    second = facts(workspace, str(photos), to=str(out), **{"with": RECIPE})
    assert (first["new"], second["new"]) == (7, 0)
    assert second["images"] == first["images"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    whole = load(out / "3.png")
    (out / "3.png").unlink()
    assert facts(workspace, str(photos), to=str(out), **{"with": RECIPE})["new"] == 1
    assert np.array_equal(load(out / "3.png"), whole)


def test_what_is_there_already_is_never_written_over_unless_told(workspace, photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "2.png").write_bytes(b"mine")
    with pytest.raises(MaquetteError, match=r"2.png: is there already; choose another folder"):
        refine(workspace, str(photos), to=str(out), **{"with": RECIPE})
    assert (out / "2.png").read_bytes() == b"mine"
    assert [path.name for path in out.iterdir()] == ["2.png"], "nothing was begun"
    facts(workspace, str(photos), to=str(out), overwrite=True, **{"with": RECIPE})
    with pytest.raises(MaquetteError, match=r"\(and 6 more\): was made in another way"):
        refine(workspace, str(photos), to=str(out), **{"with": "sharpen amount=0.1"})
    (photos / "4.png").write_bytes(encode(picture(11)))
    with pytest.raises(MaquetteError, match=r"4.png: was made in another way, or of another file"):
        refine(workspace, str(photos), to=str(out), **{"with": RECIPE})
    assert facts(workspace, str(photos), to=str(out), overwrite=True, **{"with": RECIPE})["new"] == 1


def test_a_killed_batch_goes_on_and_ends_as_if_it_had_not_been(photos, tmp_path):
    for at in range(5, 36):
        (photos / f"{at}.png").write_bytes(encode(picture(at, (200, 200, 3))))
    command = [sys.executable, "-m", "maquette", "refine", str(photos), "--sign", "off", "--with"]
    command += ["sharpen radius=9, sharpen", "--to"]
    env = {**os.environ, "MAQUETTE_HOME": str(tmp_path / "home")}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=env, capture_output=True)
    out = tmp_path / "killed"
    process = subprocess.Popen([*command, str(out)], env=env, stderr=subprocess.DEVNULL)
    while len(list(out.glob("*.png"))) < 9 and process.poll() is None:  # it may take as long as it takes
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = len(list(out.glob("*.png")))
    assert there >= 9
    with open(out / "refined.jsonl", "ab") as stream:
        stream.write(b'{"file": "half a li')
    (out / ".7.png.123.partial").write_bytes(b"half an image")
    done = subprocess.run([*command, str(out), "--json"], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["new"] <= 38 - there + 1
    for path in (tmp_path / "whole").rglob("*.png"):
        assert np.array_equal(load(out / path.relative_to(tmp_path / "whole")), load(path))
    assert not list(out.rglob("*.partial"))


def test_workers_make_no_difference(workspace, photos, tmp_path):
    for count in (1, 3):
        refine(workspace, str(photos), to=str(tmp_path / str(count)), workers=count, **{"with": RECIPE})
    for path in (tmp_path / "1").rglob("*.png"):
        assert np.array_equal(load(tmp_path / "3" / path.relative_to(tmp_path / "1")), load(path))


def test_patterns_endings_and_places(workspace, photos, tmp_path):
    (photos / "0.webp").write_bytes(encode(picture(3), "webp"))
    said = facts(
        workspace, str(photos / "*" / "*.webp"), str(photos / "0.*"), to=str(tmp_path / "out"), **{"with": RECIPE}
    )
    names = sorted(os.path.relpath(path, tmp_path / "out") for path in said["images"])
    assert names == ["0.png.png", "0.webp.png", os.path.join("sub", "soft.png")]
    with pytest.raises(DataError, match="nothing fits the pattern"):
        refine(workspace, str(photos / "*.gif"), to=str(tmp_path / "out"), **{"with": RECIPE})
    with pytest.raises(UsageError, match="would have the place of another"):
        refine(workspace, str(photos / "1.png"), str(photos), to=str(tmp_path / "b"), **{"with": RECIPE})


def test_results_inside_the_source_are_no_sources(workspace, photos):
    out = photos / "finished"
    first = facts(workspace, str(photos), to=str(out), **{"with": RECIPE})
    again = facts(workspace, str(photos), to=str(out), **{"with": RECIPE})
    assert len(first["images"]) == len(again["images"]) == 7


@pytest.mark.parametrize("name", ["../../up.png", "/abs/x.png", "..\\up.png", "a/../../b.png", "...", "c:d|e?.png"])
def test_names_in_sources_never_lead_out(name, tmp_path):
    from maquette.engine.files.batch import _safe

    assert (tmp_path / _safe(name)).resolve().is_relative_to(tmp_path)
    assert not set('<>:"|?*') & set(str(_safe(name)))


def test_formats_and_metadata(workspace, photos, tmp_path):
    exif = Pillow.Exif()
    exif[0x8298] = "(c) Ada"
    Pillow.fromarray(picture(1)).save(photos / "1.jpg", exif=exif, dpi=(300, 300))
    said = facts(workspace, str(photos / "1.jpg"), to=str(tmp_path / "a"), format="jpeg", **{"with": RECIPE})
    with Pillow.open(said["images"][0]) as made:
        assert made.format == "JPEG" and made.getexif()[0x8298] == "(c) Ada" and made.info["dpi"] == (300, 300)
        assert "Maquette" in made.getexif()[0x0131]
    values = {"with": RECIPE, "metadata": False}
    said = facts(workspace, str(photos / "1.jpg"), to=str(tmp_path / "b"), **values)
    with Pillow.open(said["images"][0]) as made:
        assert not made.getexif()
    with pytest.raises(UsageError, match="jpeg files cannot hold rgba images"):
        refine(workspace, str(photos / "sub" / "soft.webp"), to=str(tmp_path / "c"), format="jpeg", **{"with": RECIPE})


def test_colours_of_16_bits_keep_them(workspace, tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    (tmp_path / "deep.png").write_bytes(encode(deep))
    said = facts(workspace, str(tmp_path / "deep.png"), to=str(tmp_path / "out"), sign="on", **{"with": RECIPE})
    assert np.array_equal(load(Path(said["images"][0])), mq.refine(deep, RECIPE))
    with pytest.raises(UsageError, match="jpeg files cannot hold colours of 16 bits"):
        refine(workspace, str(tmp_path / "deep.png"), to=str(tmp_path / "b"), format="jpeg", **{"with": RECIPE})


def test_a_sheet_before_and_after(workspace, photos, tmp_path):
    events = refine(workspace, str(photos), to=str(tmp_path / "out"), sheet=True, **{"with": RECIPE})
    (made,) = [event for event in events if isinstance(event, Made)]
    assert load(Path(made.path)).shape[1] == 4 * 260 + 4


def test_masks_and_references_are_read_from_files(workspace, photos, tmp_path):
    mask = np.zeros((40, 52, 1), np.uint8)
    mask[:, 26:] = 255
    (tmp_path / "masks").mkdir()
    for at in range(2):
        (tmp_path / "masks" / f"{at}.png").write_bytes(encode(mask))
    text = f'on "{tmp_path}/masks/{{name}}.png": sharpen amount=2'
    said = facts(workspace, str(photos / "0.png"), str(photos / "2.png"), to=str(tmp_path / "out"), **{"with": text})
    result = load(Path(said["images"][0]))
    assert np.array_equal(result[:, :26], picture(0)[:, :26])
    assert not np.array_equal(result[:, 26:], picture(0)[:, 26:])
    (aside,) = said["set_aside"]
    assert "2.png" in aside["reason"] and "no such file" in aside["reason"]
    (tmp_path / "masks" / "2.png").write_bytes(encode(mask[:9]))
    with pytest.raises(DataError, match="has 52x9 pixels and the image 52x40"):
        refine(workspace, str(photos / "2.png"), to=str(tmp_path / "out"), **{"with": text})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "refine needs a folder"),
        ({"to": "out"}, "refine needs to know what is to be done"),
        ({"to": "out", "with": "sharpen", "recipe": "portrait"}, "--with and --recipe say two things"),
        ({"to": "out", "with": "sharpn"}, "did you mean sharpen"),
        ({"to": "out", "with": "sharpen amount=99"}, "give at most"),
        ({"to": "out", "recipe": "portrat"}, "there is no recipe 'portrat'"),
        ({"to": "out", "with": "sharpen", "tile": "z"}, "tile = 'z' is not possible"),
    ],
)
def test_wrong_arguments(workspace, photos, tmp_path, monkeypatch, values, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        refine(workspace, str(photos), **values)
    assert not (tmp_path / "out").exists()


def test_nothing_to_refine(workspace, tmp_path):
    with pytest.raises(UsageError, match="there is nothing to refine"):
        refine(workspace, to="out", **{"with": "sharpen"})
    with pytest.raises(DataError, match="there is no such file or folder"):
        refine(workspace, str(tmp_path / "gone"), to="out", **{"with": "sharpen"})
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.png").write_bytes(encode(picture(0)))
    with pytest.raises(UsageError, match="the folder for the finished images is that of the source"):
        refine(workspace, str(tmp_path), to=str(tmp_path), **{"with": "sharpen"})
    with pytest.raises(DataError, match="there is no image in it"):
        refine(workspace, str(tmp_path / "empty"), to="out", **{"with": "sharpen"})


def test_an_image_that_is_too_large_is_refused_before_it_is_read(workspace, tmp_path):
    """20,000 x 20,000 pixels: the header says so, and nothing is allocated."""
    path = tmp_path / "huge.png"
    head = struct.pack(">II5B", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 4) + b"IDAT1234" + bytes(4))
    with pytest.raises(DataError, match="20000 x 20000 pixels, more than 100 million are not read"):
        refine(workspace, str(path), to=str(tmp_path / "out"), **{"with": "sharpen"})


def test_a_full_disk_ends_the_work(workspace, photos, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("maquette.engine.files.refine.write_new", full)
    with pytest.raises(OSError, match="No space left"):
        refine(workspace, str(photos), to=str(tmp_path / "out"), **{"with": RECIPE})


def test_whoever_stops_listening_stops_the_work(workspace, photos, tmp_path, monkeypatch):
    for at in range(5, 80):
        (photos / f"{at}.png").write_bytes(encode(picture(at, (40, 40, 3))))
    few, stopped = threading.Semaphore(6), threading.Event()
    refined, close = work.run, work._Pool.close

    def held(*given):
        """The work, which gets no further than the first few images before it is told to stop."""
        while not few.acquire(timeout=0.01) and not stopped.is_set():
            pass
        return refined(*given)

    def told(pool):
        pool._stop.set()
        stopped.set()
        close(pool)

    monkeypatch.setattr(work, "run", held)
    monkeypatch.setattr(work._Pool, "close", told)
    values = {
        "source": [str(photos)],
        "to": str(tmp_path / "out"),
        "with": "sharpen radius=20",
        "workers": 2,
        "sign": "off",
    }
    events = run("refine", workspace, values)
    next(events)
    events.close()
    made = len(list((tmp_path / "out").rglob("*.png")))
    assert 1 <= made <= 8, "two threads at one image each, after six"
    time.sleep(0.1)
    assert made == len(list((tmp_path / "out").rglob("*.png")))
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_what_signs_is_given_the_finished_image_and_what_it_was_made_of(photos, tmp_path):
    from maquette.engine.files.refine import refine as work

    seen = []

    def finish(image, kept, one):
        seen.append((one.name, one.content, one.recipe))
        return encode(image) + b"signed"

    batch = Batch(recipe=named.recipe(RECIPE), to=tmp_path / "out", finish=finish)
    list(work([str(photos / "0.png")], batch))
    assert seen == [(str(photos / "0.png"), photos / "0.png", RECIPE)]
    assert (tmp_path / "out" / "0.png").read_bytes().endswith(b"signed")


def test_the_plan_holds_every_file_of_a_large_folder_once(tmp_path):
    (tmp_path / "many").mkdir()
    for at in range(300):
        (tmp_path / "many" / f"{at}.png").touch()
    made = plan([str(tmp_path / "many")], Batch(recipe=named.recipe("sharpen"), to=tmp_path / "out"))
    works = list(made.work())
    assert len(works) == len({work.to for work in works}) == len({work.seed for work in works}) == 300
    assert open_source(tmp_path / "many").where == str(tmp_path / "many")


def test_list_and_explain(workspace):
    events = refine(workspace, list=True)
    assert "sharpen" in {row[0] for event in events if isinstance(event, Table) for row in event.rows}
    assert "sharpen" in {item["name"] for item in events[-1].facts["ops"]}
    events = refine(workspace, explain="sharpen")
    (table,) = [event for event in events if isinstance(event, Table)]
    assert {"amount=X", "radius=X", "strength=X"} <= {row[0] for row in table.rows}
    assert "default 0.5" in table.rows[0][1]
    assert events[-1].summary, "else all facts are printed for people"
    events = refine(workspace, explain="sky")
    (table,) = [event for event in events if isinstance(event, Table)]
    assert {"grow=X", "feather=X"} <= {row[0] for row in table.rows}
    assert "on sky: sharpen" in events[-1].next[0]
    events = refine(workspace, explain="portrait")
    assert events[-1].summary and events[-1].facts["text"].startswith("# Portraits")
    with pytest.raises(UsageError, match="did you mean sharpen"):
        refine(workspace, explain="sharpn")


# Arrays


def test_arrays_lists_and_stacks():
    image = picture()
    assert mq.refine(image, RECIPE).shape == image.shape
    both = mq.refine([image, image[..., 0]], RECIPE)
    assert [one.shape for one in both] == [(40, 52, 3), (40, 52)]
    stack = mq.refine(np.stack([image, image]), RECIPE, seed=3)
    assert np.array_equal(stack[1], mq.refine(image, RECIPE))
    assert np.array_equal(mq.refine(image, [{"op": "sharpen", "amount": 0.8}]), mq.refine(image, RECIPE))
    with pytest.raises(UsageError, match="tile = 'z'"):
        mq.refine(image, RECIPE, tile="z")


def test_arrays_with_masks_and_files(tmp_path):
    image, mask = picture(), np.zeros((40, 52), bool)
    mask[:20] = True
    result = mq.refine(image, "on top: sharpen", masks={"top": mask})
    assert np.array_equal(result[20:], image[20:])
    (tmp_path / "m.png").write_bytes(encode(mask.astype(np.uint8)[..., None] * 255))
    assert np.array_equal(mq.refine(image, f'on "{tmp_path}/m.png": sharpen'), result)


def test_files_in_python(photos, tmp_path):
    made = mq.refine(photos / "0.png", to=tmp_path / "out", with_=RECIPE, home=tmp_path / "home")
    assert np.array_equal(made[0], mq.refine(picture(0), RECIPE))


def test_profiles_are_followed_in_and_files_say_srgb(workspace, tmp_path):
    """A file in another colour space comes out as sRGB, and says so: what is seen is what was seen."""
    import io

    from PIL import ImageCms

    colours = Pillow.fromarray(picture(3))
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    as_lab = ImageCms.profileToProfile(colours, *profiles, outputMode="LAB")
    as_lab.save(tmp_path / "lab.tif")
    for format in ("png", "jpeg", "webp", "avif", "tiff"):
        made = facts(
            workspace, str(tmp_path / "lab.tif"), to=str(tmp_path / format), format=format, with_="gamma value=1"
        )
        with Pillow.open(made["images"][0]) as result:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(result.info["icc_profile"]))
            assert profile.profile.profile_description == "sRGB"
            if format in ("png", "tiff", "webp"):
                assert np.abs(np.asarray(result).astype(int) - np.asarray(colours)).mean() < 6  # Lab has 8 bits


# Workers elsewhere


def test_workers_elsewhere_give_the_same_files_and_name_the_same_faults(tmp_path, monkeypatch):
    """Processes of this machine stand in for a cluster: what they are given and give back is the same."""
    monkeypatch.setattr(
        "maquette.engine.bulk.cluster.Actors", lambda workers, settings, shared: bulk._Local(2, settings, shared)
    )
    randoms = np.random.default_rng(2)
    source = tmp_path / "source"
    source.mkdir()
    for number in range(9):
        pixels = randoms.integers(0, 256, (20, 24, 3), np.uint8)
        Pillow.fromarray(pixels).save(source / f"{number}.png")
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = {}
    for to, workers in (("here", 1), ("there", "ray")):
        values = {"source": [str(source)], "to": str(tmp_path / to), "with_": "sharpen, grain", "workers": workers}
        *events, result = run("refine", Workspace(tmp_path / "home"), values)
        files = {path.name: np.asarray(Pillow.open(path)) for path in sorted((tmp_path / to).glob("*.png"))}
        warned = [event.text for event in events if isinstance(event, Warning)]
        found[to] = files, warned, [one["reason"] for one in result.facts["set_aside"]], result.facts["new"]
    assert found["here"][0].keys() == found["there"][0].keys() and len(found["here"][0]) == 9
    for name, image in found["here"][0].items():
        np.testing.assert_array_equal(image, found["there"][0][name])
    assert found["here"][1:] == found["there"][1:] and found["here"][2]
    *_, again = run("refine", Workspace(tmp_path / "home"), values)
    assert again.facts["new"] == 0
