"""Datasets that grow: only what is new is read, a stopped ingest goes on, and what is there stays until the end."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from makers import film, paths, png, run, said, scenes, values, zipped

from maquette.core.errors import DataError, UsageError
from maquette.core.event import Event, Progress
from maquette.data.dataset import Dataset
from maquette.data.ingest import unfinished
from maquette.data.ingest.decode import Decoder
from maquette.data.ingest.ingest import Settings, ingest


def fill(folder: Path, seeds: Any, prefix: str = "") -> Path:
    """A folder of images."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / f"{prefix}{seed}.png").write_bytes(png(seed))
    return folder


def facts(events: list[Event]) -> dict[str, Any]:
    """The result's facts."""
    return events[-1].to_json()


def by_path(data: Dataset) -> dict[str, bytes]:
    """Path -> pixels."""
    return {path: data.images([k])[0].tobytes() for k, path in enumerate(paths(data))}


def test_again_with_new_files(tmp_path: Path) -> None:
    """The same command reads only what is new; what is gone is gone; pixels and parts of the rest stay."""
    folder = fill(tmp_path / "in", range(30))
    (folder / "z.zip").write_bytes(zipped({f"{k}.png": png(k) for k in range(100, 105)}))
    np.save(folder / "n.npy", np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8))
    first, _ = run(folder, tmp_path / "out.mq", held_out=0.2)
    held = {paths(first)[k] for k in first.indices("held-out")}
    fill(folder, range(30, 50))
    (folder / "3.png").unlink()
    (folder / "4.png").write_bytes(png(444))
    second, events = run(folder, tmp_path / "out.mq", held_out=0.2)
    assert facts(events)["new"] == 21 and facts(events)["known"] == 37
    assert "21 files were new; 37 were known and not read again" in said(events)
    fresh, _ = run(folder, tmp_path / "fresh.mq", held_out=0.2)
    assert by_path(second) == by_path(fresh) and second.origins()["bytes"].tolist() == fresh.origins()["bytes"].tolist()
    now = {paths(second)[k] for k in second.indices("held-out")}
    kept = set(by_path(first)) & set(by_path(second)) - {"4.png"}
    assert held & kept <= now and not (kept - held) & now and len(now) == round(0.2 * len(second))
    again, events = run(folder, tmp_path / "out.mq", held_out=0.2)
    assert "up to date" in said(events) and again.digest == second.digest
    assert sorted(os.listdir(tmp_path)) == ["fresh.mq", "in", "out.mq"]


def test_nothing_known_is_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder sees new files alone."""
    folder = fill(tmp_path / "in", range(20))
    run(folder, tmp_path / "out.mq")
    fill(folder, [77])
    seen: list[Any] = []
    decode = Decoder.decode

    def spied(self: Decoder, tasks: Any, **how: Any) -> Any:
        def watched() -> Any:
            for task in tasks:
                if task is not None:
                    seen.append(task.content)
                yield task

        return decode(self, watched(), **how)

    monkeypatch.setattr(Decoder, "decode", spied)
    run(folder, tmp_path / "out.mq")
    assert [Path(one) for one in seen] == [folder / "77.png"]


def test_adding_other_sources(tmp_path: Path) -> None:
    """--add keeps all that is there, even when its files are gone; labels and captions of both become one."""
    one = fill(tmp_path / "one" / "cat", range(10)).parent
    fill(one / "dog", range(10, 20))
    (one / "cat" / "1.txt").write_text("a cat")
    first, _ = run(one, tmp_path / "out.mq", held_out=0.2)
    before, held = by_path(first), [paths(first)[k] for k in first.indices("held-out")]
    shutil.rmtree(one)
    other = fill(tmp_path / "two", range(20, 35))
    rows = ["file_name,class,caption"] + [f"{k}.png,{'fox' if k % 2 else 'dog'},animal {k}" for k in range(20, 35)]
    (other / "metadata.csv").write_text("\n".join(rows))
    second, events = run(other, tmp_path / "out.mq", add=True, held_out=0.2)
    assert [c.name for c in second.spec.conditions] == ["label", "text"]
    assert second.spec.condition("label").classes == ("cat", "dog", "fox")
    assert paths(second)[:20] == list(before) and len(second) == 35
    assert {path: pixels for path, pixels in by_path(second).items() if path in before} == before
    assert values(second, "label")[:20] == ["cat"] * 10 + ["dog"] * 10 and values(second, "text")[1] == "a cat"
    now = [paths(second)[k] for k in second.indices("held-out")]
    assert set(held) <= set(now) and len(now) == 7 and facts(events)["new"] == 15 and facts(events)["known"] == 20
    third, events = run(other, tmp_path / "out.mq", add=True, held_out=0.2)
    assert third.digest == second.digest and "up to date" in said(events)


def test_adding_what_does_not_fit(tmp_path: Path) -> None:
    """Another size is refused; the size of the dataset is taken where none is given."""
    run(fill(tmp_path / "one", range(5)), tmp_path / "out.mq", width=8, height=8)
    more = fill(tmp_path / "two", range(5, 9))
    with pytest.raises(UsageError, match="width = 16 cannot be added to a dataset whose width is 8"):
        run(more, tmp_path / "out.mq", add=True)
    data, _ = run(more, tmp_path / "out.mq", add=True, width=64, height=64)
    assert (data.spec.width, len(data)) == (8, 9)
    with pytest.raises(DataError, match="other sources or settings"):
        run(more, tmp_path / "out.mq", width=8, height=8)


def test_films_are_known_again(tmp_path: Path) -> None:
    """All frames of a film that was read before are taken over, and stay one group a scene or film."""
    pytest.importorskip("av")
    folder = fill(tmp_path / "in", range(3))
    (folder / "a.mp4").write_bytes(film(scenes([(220, 30, 30), (30, 30, 220)], 20)))
    first, _ = run(folder, tmp_path / "out.mq", rate=2.0)
    fill(folder, [9])
    second, events = run(folder, tmp_path / "out.mq", rate=2.0)
    assert facts(events)["new"] == 1 and len(second) == len(first) + 1
    assert set(by_path(first).items()) <= set(by_path(second).items())


_SLOWLY = """
import signal, sys, time
from maquette.data.ingest import ingest as module
signal.signal(signal.SIGINT, signal.default_int_handler)  # Whoever started the tests in the background ignores it.
module._PIECE_SECONDS = 0.0
def shown(sources, to):
    for event in module.ingest(sources, to, settings=module.Settings(width=16, height=16, workers=1, mode="rgb")):
        numbers = getattr(event, "numbers", {})
        if numbers.get("kept", 0) > 30:
            print("ready", flush=True)
            time.sleep(60)
module._TELL_EVERY = 0.0
shown([sys.argv[1]], sys.argv[2])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_ingest_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    """Killed or interrupted in the middle: the same command takes over what was read, and ends as if never stopped."""
    folder = fill(tmp_path / "in", range(120))
    with subprocess.Popen(
        [sys.executable, "-c", _SLOWLY, str(folder), str(tmp_path / "out.mq")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        process.communicate()
    assert not (tmp_path / "out.mq").exists()
    (left,) = [name for name in os.listdir(tmp_path) if name.endswith(".partial")]
    data, events = run(folder, tmp_path / "out.mq", mode="rgb")
    assert "going on from" in said(events) and 25 <= facts(events)["known"] < 120
    fresh, _ = run(folder, tmp_path / "fresh.mq", mode="rgb")
    assert data.digest == fresh.digest and len(data) == 120 and left not in os.listdir(tmp_path)
    assert [data.item(k) for k in range(120)] == [fresh.item(k) for k in range(120)]


def test_what_a_power_cut_took_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of an unfinished dataset that are not what the journal says are not used."""
    monkeypatch.setattr("maquette.data.ingest.ingest._PIECE_SECONDS", 0.0)
    monkeypatch.setattr("maquette.data.ingest.ingest._TELL_EVERY", 0.0)
    folder = fill(tmp_path / "in", range(60))
    events = ingest([folder], tmp_path / "out.mq", settings=Settings(width=16, height=16, workers=1, mode="rgb"))
    for event in events:
        if isinstance(event, Progress) and event.numbers.get("kept", 0) > 40:
            break
    events.close()  # type: ignore[attr-defined]
    (left,) = tmp_path.glob(".out.mq*")
    lines = unfinished.journal_lines(left)
    with open(left / "images.npy", "r+b") as stream:
        stream.seek(128 + 20 * 768 + 100)
        stream.write(b"\0\0\0\0damage")
    assert lines[-1]["count"] > 35
    data, events_ = run(folder, tmp_path / "out.mq", mode="rgb")
    assert 10 <= facts(events_)["known"] <= 20 and len(data) == 60
    fresh, _ = run(folder, tmp_path / "fresh.mq", mode="rgb")
    assert fresh.digest == data.digest and not list(tmp_path.glob(".out.mq*"))


def test_a_full_disk_leaves_the_dataset_as_it_was(tmp_path: Path) -> None:
    """What was there is untouched when adding to it fails, by a full disk or because it is read-only."""
    folder = fill(tmp_path / "in", range(20))
    first, _ = run(folder, tmp_path / "out.mq")
    fill(folder, range(20, 400))
    script = (
        "import resource, sys\n"
        "from maquette.core.errors import MaquetteError\n"
        "from maquette.data.ingest.ingest import Settings, ingest\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))\n"
        "try: list(ingest([sys.argv[1]], sys.argv[2], settings=Settings(width=16, height=16, workers=1)))\n"
        "except MaquetteError as error: sys.exit(str(error))\n"
    )
    command = [sys.executable, "-c", script, str(folder), str(tmp_path / "out.mq")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (
        done.returncode == 1 and "the one that was there is as it was" in done.stderr and "Traceback" not in done.stderr
    )
    same = Dataset.open(tmp_path / "out.mq")
    same.verify()
    assert same.digest == first.digest and sorted(os.listdir(tmp_path)) == ["in", "out.mq"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_target(tmp_path: Path) -> None:
    """A place where nothing may be written is one sentence."""
    folder = fill(tmp_path / "in", range(3))
    (tmp_path / "place").mkdir(mode=0o500)
    with pytest.raises(DataError, match="could not be written"):
        run(folder, tmp_path / "place" / "out.mq")


def test_a_target_that_cannot_be(tmp_path: Path) -> None:
    """A target below a file is one sentence, for root as well."""
    folder = fill(tmp_path / "in", range(3))
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="could not be written"):
        run(folder, tmp_path / "file" / "out.mq")


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_source_that_vanishes(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that is gone midway ends the work with a sentence, and leaves nothing but the dataset of before."""
    monkeypatch.setattr("maquette.data.ingest.ingest._TELL_EVERY", 0.0)
    source = fill(tmp_path / "in", range(600))
    if kind == "zip":
        source = tmp_path / "x.zip"
        source.write_bytes(zipped({f"{k}.png": png(k) for k in range(600)}))
    with pytest.raises(DataError, match=r"vanished|came or went|cannot be read|no such"):
        for event in ingest([source], tmp_path / "out.mq", settings=Settings(width=16, height=16, workers=1)):
            if isinstance(event, Progress) and event.unit == "images" and event.done > 3 and source.exists():
                os.rename(source, tmp_path / "gone")
        if kind == "zip":
            pytest.skip("an archive that is open can be read to its end")
    assert not list(tmp_path.glob("*.mq"))


def test_two_steps_that_replace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where names cannot be exchanged in one step, a power cut between the two is mended by the next command."""
    monkeypatch.setattr(unfinished, "_exchanged", lambda one, two: False)
    folder = fill(tmp_path / "in", range(5))
    run(folder, tmp_path / "out.mq")
    fill(folder, range(5, 8))
    second, _ = run(folder, tmp_path / "out.mq")
    assert len(second) == 8 and sorted(os.listdir(tmp_path)) == ["in", "out.mq"]
    os.rename(tmp_path / "out.mq", tmp_path / ".out.mq.1.abc.old")
    again, events = run(folder, tmp_path / "out.mq")
    assert again.digest == second.digest and "up to date" in said(events)


def test_writers_that_are_alive_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ingest of the same name that is running is neither used nor removed."""
    monkeypatch.setattr("maquette.data.ingest.ingest._PIECE_SECONDS", 1e9)  # Nothing is worth keeping when it stops ...
    monkeypatch.setattr("maquette.data.ingest.ingest._TELL_EVERY", 0.0)  # ... at its first image.
    folder = fill(tmp_path / "in", range(40))
    other = ingest([folder], tmp_path / "out.mq", settings=Settings(width=16, height=16, workers=1))
    for event in other:
        if isinstance(event, Progress) and event.unit == "images":
            break
    (theirs,) = tmp_path.glob(".out.mq*")
    run(folder, tmp_path / "out.mq")
    assert theirs.is_dir()
    other.close()  # type: ignore[attr-defined]
    assert not theirs.exists()
