"""The use `medical`: nothing about a patient is written, nothing leaves past the gates, and bad material is said."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maquette.core.errors import DataError, UsageError
from maquette.core.event import to_line
from maquette.operations import operation as table
from maquette.operations._uses import REGISTRY
from maquette.store.workspace import Workspace
from maquette.uses import _handed

sys.path.insert(0, str(Path(__file__).parent.parent / "data"))
from makers import dicom

pydicom = pytest.importorskip("pydicom")
PLANTED = "Zq7Planted"
TINY = {**REGISTRY.get("medical").trial, "time": "1s", "pool": "16"}


def scan(number: int, ill: bool) -> bytes:
    """A DICOM file that names its patient wherever there is a place for it."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 2000, (16, 16)).astype(np.uint16)
    if ill:
        pixels[4:9, 4:9] = 4000
    names = {name: f"{PLANTED}^{number}" for name in ("PatientName", "ReferringPhysicianName", "InstitutionName")}
    uid = f"1.2.826.{number}.777333111"
    return dicom(pixels, stored=12, instance=uid, SOPInstanceUID=uid, StudyInstanceUID=uid, PatientID=PLANTED, **names)


def folders(place: Path, **counts: int) -> Path:
    """A folder of scans with one subfolder a label."""
    for label, count in counts.items():
        (place / label).mkdir(parents=True)
        for k in range(count):
            (place / label / f"{PLANTED}_{k}.dcm").write_bytes(scan(k + 1000 * (label == "ill"), label == "ill"))
    return place


def work(home, **values):
    return json.loads(to_line(list(table.run("use", Workspace(home), {"name": "medical", **TINY, **values}))[-1]))


@pytest.mark.slow
def test_from_dicom_to_dicom_without_a_patient(tmp_path, home):
    """Names, identifiers and names of files: none is in anything that is written."""
    source = folders(tmp_path / f"{PLANTED} scans", well=380, ill=60)
    result = work(home, source=[str(source)], to=str(tmp_path / "out"))
    assert result["rare"] == "ill" and result["figures"]["signed and whole"]["reached"]
    for place in (tmp_path / "out", home):
        for file in (file for file in place.rglob("*") if file.is_file()):
            content = file.read_bytes()
            assert b"777333111" not in content, file
            if file.name != "use.json" and file.name != "report.html":  # which name the folder that was given
                assert PLANTED.encode() not in content, file
    if not result["refused"]:
        files = sorted((tmp_path / "out" / "handed-out" / "dicom").glob("*.dcm"))
        assert len(files) == result["dicom"] == len(result["images"])
        data = pydicom.dcmread(io.BytesIO(files[0].read_bytes()))
        assert data.SyntheticData == "YES" and data.BitsAllocated == 16


@pytest.mark.parametrize(
    ("counts", "words"),
    [({"well": 30}, r"no label|one label only"), ({"well": 40, "ill": 4}, r"'ill' has \d images? (to learn|held out)")],
)
def test_labels_that_say_nothing_are_refused_before_anything_is_learned(tmp_path, home, counts, words):
    """One label, or one with four scans."""
    source = folders(tmp_path / "scans", **counts)
    with pytest.raises(DataError, match=words):
        work(home, source=[str(source)], to=str(tmp_path / "out"))
    assert not (tmp_path / "out" / "model").exists()


def test_files_without_pixels_are_set_aside(tmp_path, home):
    """A DICOM file that holds no image says so, without its name."""
    source = tmp_path / "scans"
    (source / "ill").mkdir(parents=True)
    for k in range(3):
        data = pydicom.dcmread(io.BytesIO(scan(k, True)))
        del data.PixelData
        data.save_as(source / "ill" / f"{PLANTED}{k}.dcm")
    with pytest.raises(DataError, match="no image") as caught:
        work(home, source=[str(source)], to=str(tmp_path / "out"))
    assert f"{PLANTED}0" not in str(caught.value)


def test_a_label_that_is_not_there_is_refused(tmp_path, home):
    """With the nearest that is."""
    source = folders(tmp_path / "scans", well=30, ill=30)
    with pytest.raises(UsageError, match="did you mean ill"):
        work(home, source=[str(source)], to=str(tmp_path / "out"), rare="il")


@given(copies=st.floats(0, 1), attack=st.floats(0.3, 1), held=st.floats(0, 0.02))
def test_nothing_passes_the_gates_that_should_not(copies, attack, held):
    """Surely more copies than one in twenty, or an attack that is surely right, and nothing leaves."""
    facts = {"metrics": {
        "copies": {"value": copies, "low": copies, "high": 1.0, "anchors": {"held-out": held}},
        "membership": {"value": attack, "low": attack, "high": 1.0},
    }}  # fmt: skip
    allowed = copies <= 0.05 and attack <= 0.55
    assert (_handed.refused(facts, 0.55) == "") == allowed
    assert "nothing can be said" in _handed.refused({"metrics": {}, "no_copies": "there are few"}, 0.55)
