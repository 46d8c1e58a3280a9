"""The use `predictive` on tables and films of one's own, and what is said of numbers that are missing or none."""

import json
from pathlib import Path

import numpy as np
import pytest

from maquette.core.errors import DataError, UsageError
from maquette.core.event import to_line
from maquette.core.film import encode_film
from maquette.core.image import save
from maquette.data.drawn.drawn import draw, spec_of
from maquette.data.drawn.growth import STATIONS, best
from maquette.operations import operation as table
from maquette.operations._uses import REGISTRY
from maquette.store.workspace import Workspace

TINY = {**REGISTRY.get("predictive").trial, "time": "1s"}


def work(home, **values):
    return json.loads(to_line(list(table.run("use", Workspace(home), {"name": "predictive", **TINY, **values}))[-1]))


def measured(place: Path, count: int = 60) -> Path:
    """Pictures with a table of readings, some of which are missing."""
    place.mkdir()
    spec = spec_of("stations", width=16, height=16)
    lines = [",".join(["file_name", *STATIONS])]
    for k in range(count):
        item = draw("stations", spec, 0, k)
        save(item.image, place / f"{k:03d}.png")
        cells = ["" if k % 7 == n else f"{item.conditions[name]:.4f}" for n, name in enumerate(STATIONS)]
        lines.append(",".join([f"{k:03d}.png", *cells]))
    (place / "metadata.csv").write_text("\n".join(lines))
    return place


@pytest.mark.slow
def test_a_table_with_missing_numbers_becomes_maps(tmp_path, home):
    source = measured(tmp_path / "measured")
    new = tmp_path / "new.csv"
    new.write_text("station_1,station_4\n0.7,0.2\n,0.9\n")
    result = work(home, source=[str(source)], to=str(tmp_path / "out"), readings=str(new))
    assert any("Numbers were missing" in said for said in result["not_yet"])
    assert len(list((tmp_path / "out" / "charts").glob("reading-*.png"))) == 4
    assert result["figures"]["signed and whole"]["reached"] and "error taken away" in result["figures"]


@pytest.mark.slow
def test_films_become_what_comes_next(tmp_path, home):
    spec = spec_of("growth", width=16, height=16, past=5)
    (tmp_path / "films").mkdir()
    for k in range(50):
        item = draw("growth", spec, 0, k)
        frames = [np.repeat(frame, 3, axis=2) for frame in (*item.conditions["frames"], item.image)]
        (tmp_path / "films" / f"{k:02d}.webp").write_bytes(encode_film(frames, "webp", rate=10))
    result = work(home, source=[str(tmp_path / "films")], to=str(tmp_path / "out"), material="series", past=5)
    assert result["series"] and result["figures"]["signed and whole"]["reached"]
    assert "How it goes on" in Path(result["report"]).read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("station_1\nwet\n", DataError, "row 2 has 'wet' as station_1"),
        ("statoin_1\n0.5\n", UsageError, "did you mean station_1"),
        ("station_1\n", DataError, "no rows"),
        ("station_1,station_2\n0.5,0.1\n,nan\n", DataError, "row 3 has no number at all"),
        ("station_1\n" + "0.5\n" * 201, DataError, "200 are the most"),
    ],
)
def test_readings_that_say_nothing_are_refused_before_anything_is_learned(tmp_path, home, text, error, words):
    (tmp_path / "new.csv").write_text(text)
    with pytest.raises(error, match=words):
        work(home, to=str(tmp_path / "out"), readings=str(tmp_path / "new.csv"))
    assert not (tmp_path / "out" / "model").exists()


def test_pictures_without_numbers_are_said(tmp_path, home):
    (tmp_path / "in").mkdir()
    for k in range(12):
        save(np.full((16, 16, 1), 20 * k, np.uint8), tmp_path / "in" / f"{k}.png")
    with pytest.raises(DataError, match="no numbers to be forecast from"):
        work(home, source=[str(tmp_path / "in")], to=str(tmp_path / "out"))


def test_the_best_answer_knows_how_unsure_it_is():
    """Kriging with the true covariance: nine in ten pixels lie within its interval."""
    spec = spec_of("stations", width=24, height=24)
    drawn = [draw("stations", spec, 3, k) for k in range(150)]
    readings = np.array([[item.conditions[name] for name in STATIONS] for item in drawn])
    mean, unsure = best(readings, 24, 24)
    error = np.stack([item.image[..., 0] for item in drawn]) / 255 - mean
    assert 0.87 < (np.abs(error) < 1.645 * unsure).mean() < 0.93
    fewer, more_unsure = best(np.where(np.arange(8) < 4, readings, np.nan), 24, 24)
    assert more_unsure.mean() > unsure.mean() and fewer.shape == mean.shape
