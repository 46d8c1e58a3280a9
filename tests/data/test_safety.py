"""A hundredth of what benchmarks/safety_data.py tries: mutants have one outcome each, hostile files are all refused."""

import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import seeds
from makers import paths, png, reasons, run

from maquette.core.errors import MaquetteError


def test_mutants_of_every_kind(tmp_path: Path) -> None:
    """Damaged images, archives, arrays, films: each file is kept or set aside, and the good one stays."""
    good = {name: content for name, content in seeds.seeds().items() if not name.startswith("dicom")}
    assert len(good) >= 200
    dice = random.Random(1)
    (tmp_path / "in").mkdir()
    for k, name in enumerate(dice.sample(sorted(good), 200)):
        content = seeds.mutant(good[name], good[dice.choice(sorted(good))], dice)
        (tmp_path / "in" / f"m{k:03d}").write_bytes(content)
    (tmp_path / "in" / "zz").write_bytes(png(1))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq", small="enlarge", mode="rgb")
    found = {path.replace(",", "/").split("/")[0] for path in (*paths(data), *reasons(data))}
    assert found == {"zz", *(f"m{k:03d}" for k in range(200))} and "zz" in paths(data)
    assert sorted(os.listdir(tmp_path)) == ["in", "out.mq"]


@pytest.mark.slow
def test_hostile_files(tmp_path: Path) -> None:
    """Bombs, slips, links, playlists, objects, lies about sizes: all refused beside one good image."""
    files = seeds.hostile()
    assert len(files) >= 80
    (tmp_path / "in").mkdir()
    for name, content in files.items():
        (tmp_path / "in" / name).write_bytes(content)
    (tmp_path / "in" / "good.png").write_bytes(png(1))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq", small="enlarge", frames="all")
    assert len(data) == 1 and len(data.set_aside()) >= len(files)
    assert sorted(os.listdir(tmp_path)) == ["in", "out.mq"]


@pytest.mark.parametrize("name", ["overlap.zip", "slip-0.tar", "object.npy", "list.mp4", "DICOMDIR", "frames.dcm"])
def test_a_hostile_file_alone(tmp_path: Path, name: str) -> None:
    """Given by itself, it is one sentence, and there is no dataset."""
    kinds = (seeds._arrays_and_tables, seeds._films_and_dicom, seeds._archives)
    content = next(content for kind in kinds for found, content in kind() if found == name)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MaquetteError) as caught:
        run(tmp_path / name, tmp_path / "out.mq", small="enlarge")
    assert len(str(caught.value)) < 400 and os.listdir(tmp_path) == [name]
