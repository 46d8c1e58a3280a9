"""DICOM: the pixels a viewer would show, in 16 bits, and nothing about the patient anywhere."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from makers import dicom, paths, png, reasons, run, said, values, zipped

from maquette.data.decoding.limits import Limits, Refused
from maquette.data.decoding.picture import decode, read
from maquette.data.decoding.shape import Form

pytest.importorskip("pydicom")
RAMP = np.linspace(0, 4095, 16 * 24).astype(np.uint16).reshape(16, 24)


def shown(content: bytes, mode: Any = "grey16") -> np.ndarray[Any, Any]:
    """The pixels at their own size."""
    return decode(content, Form(width=24, height=16, mode=mode), Limits())[..., 0].astype(np.int64)


def test_sixteen_bits_are_kept() -> None:
    """Without a window, what the file can hold from least to greatest becomes 0 to 65535; 16 bits stay as they are."""
    deep = np.linspace(0, 65535, 16 * 24).astype(np.uint16).reshape(16, 24)
    assert np.array_equal(shown(dicom(deep)), deep)
    assert np.abs(shown(dicom(RAMP, stored=12)) - RAMP / 4095 * 65535).max() <= 1
    signed = (RAMP.astype(np.int32) - 2048).astype(np.int16)
    assert np.abs(shown(dicom(signed, stored=12)) - RAMP / 4095 * 65535).max() <= 1
    small = (RAMP // 16).astype(np.uint8)
    assert np.abs(shown(dicom(small)) - small.astype(int) * 257).max() <= 1
    assert np.array_equal(shown(dicom(deep), "auto"), deep)


def test_monochrome1_is_turned_around() -> None:
    """What is white in MONOCHROME2 is black in MONOCHROME1; an inverse presentation turns it once more."""
    plain = shown(dicom(RAMP, stored=12))
    assert np.abs(65535 - plain - shown(dicom(RAMP, "MONOCHROME1", 12))).max() <= 1
    assert np.abs(plain - shown(dicom(RAMP, "MONOCHROME1", 12, PresentationLUTShape="INVERSE"))).max() <= 1


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_rescale_and_window(function: str) -> None:
    """The window is laid on the rescaled values by the formulas of the standard; the first of several counts."""
    content = dicom(
        RAMP, stored=12, RescaleSlope=2, RescaleIntercept=-1024, WindowCenter=[300, 50], WindowWidth=[1500, 100],
        VOILUTFunction=function,
    )  # fmt: skip
    x = RAMP * 2.0 - 1024
    wanted = {
        "LINEAR": np.clip((x - 299.5) / 1499 + 0.5, 0, 1),
        "LINEAR_EXACT": np.clip((x - 300) / 1500 + 0.5, 0, 1),
        "SIGMOID": 1 / (1 + np.exp(-4 * (x - 300) / 1500)),
    }[function]
    assert np.abs(shown(content) - np.rint(wanted * 65535)).max() <= 1


def test_a_table_of_values() -> None:
    """A VOI LUT sequence says by a table how values are shown."""
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor = [256, 0, 16]
    table["LUTDescriptor"].VR = "US"
    table.add_new(0x00283006, "US", (np.arange(256)[::-1] ** 2).astype(np.uint16).tolist())
    small = (RAMP // 16).astype(np.uint8)
    content = dicom(small, VOILUTSequence=[table])
    assert np.abs(shown(content) - ((255 - small.astype(np.int64)) ** 2)).max() <= 1


def test_bits_beside_the_value_are_left_out() -> None:
    """Overlays that old files keep in the high bits are not seen."""
    assert np.array_equal(shown(dicom(RAMP | 0xF000, stored=12)), shown(dicom(RAMP, stored=12)))


def test_colours() -> None:
    """RGB stays, YBR becomes RGB."""
    colour = np.zeros((16, 24, 3), np.uint8)
    colour[:, :12], colour[:, 12:] = (200, 30, 40), (10, 90, 250)
    form = Form(width=24, height=16, mode="rgb")
    assert np.array_equal(decode(dicom(colour, "RGB"), form, Limits()), colour)
    r, g, b = (colour[..., k].astype(float) for k in range(3))
    ybr = np.stack([
        0.299 * r + 0.587 * g + 0.114 * b, 128 - 0.1687 * r - 0.3313 * g + 0.5 * b,
        128 + 0.5 * r - 0.4187 * g - 0.0813 * b,
    ], -1).round().astype(np.uint8)  # fmt: skip
    assert np.abs(decode(dicom(ybr, "YBR_FULL"), form, Limits()).astype(int) - colour).max() <= 2


def test_several_images_in_one_file() -> None:
    """Every slice is an image; `first` takes the first; sequences are slices after slices."""
    stack = np.stack([np.full((16, 24), 1000 * k, np.uint16) for k in range(6)])
    content = dicom(stack)
    form = {"width": 24, "height": 16, "mode": "grey16"}
    means = [int(shot.image.mean()) for shot in read(content, Form(**form), Limits())]  # type: ignore[arg-type]
    assert means == [0, 1000, 2000, 3000, 4000, 5000]
    assert len(list(read(content, Form(**form, frames="first"), Limits()))) == 1  # type: ignore[arg-type]
    shots = list(read(content, Form(**form, frames="sequences", past=3), Limits()))  # type: ignore[arg-type]
    assert [int(s.image.mean()) for s in shots] == [3000, 5000]
    assert shots[0].frames is not None and [int(f.mean()) for f in shots[0].frames] == [0, 1000, 2000]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: dicom(RAMP, sop_class="1.2.840.10008.1.3.10"), "DICOMDIR"),
        (lambda: dicom(RAMP, Rows=60000, Columns=60000), "pixels, more than"),
        (lambda: dicom(RAMP, NumberOfFrames=100_000), "100,000 images"),
    ],
)
def test_what_is_refused(content: Any, words: str) -> None:
    """Indexes of other files, and files that would cost too much, are refused before anything is allocated."""
    with pytest.raises(Refused, match=words):
        list(read(content(), Form(width=8, height=8), Limits()))


PLANTED = "Zq7Planted"


def patient(number: int) -> bytes:
    """A file that names its patient wherever DICOM has a place for it."""
    from pydicom.dataset import Dataset

    inner = Dataset()
    inner.PatientName = f"{PLANTED}^Inner"
    pixels = np.random.default_rng(number).integers(0, 4096, (16, 24)).astype(np.uint16)
    named = {
        "PatientName": "^Ann", "PatientID": f"-{number}", "InstitutionName": " Hospital", "AccessionNumber": "A",
        "ReferringPhysicianName": "^Doc", "StudyDescription": " study", "PatientComments": " note",
    }  # fmt: skip
    uid = f"1.2.826.{number}.777333111"
    return dicom(
        pixels, stored=12, instance=uid, SOPInstanceUID=uid, StudyInstanceUID=f"{uid}.1", PatientBirthDate="19010203",
        OtherPatientIDsSequence=[inner], **{name: PLANTED + value for name, value in named.items()},
    )  # fmt: skip


@pytest.mark.parametrize("way", ["folder", "zip"])
def test_nothing_about_patients_is_written_or_said(tmp_path: Path, way: str) -> None:
    """Tags, UIDs, names of files and of folders: none is in the dataset, in the events or in an error."""
    files = {f"{PLANTED}_{k // 5}/{PLANTED}_1.2.826.777333111.{k}.dcm": patient(k) for k in range(10)}
    files[f"{PLANTED}_0/{PLANTED}_broken.dcm"] = patient(3)[:700]
    files[f"{PLANTED}_1/{PLANTED}_notes.png"] = b"no image"
    source = tmp_path / f"{PLANTED} scans"
    for name, content in files.items() if way == "folder" else ():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    if way == "zip":
        source.write_bytes(zipped(files))
    data, events = run(source, tmp_path / "out.mq", mode="auto", width=24, height=16)
    assert len(data) == 10 and data.spec.mode == "grey16" and data.spec.conditions == () and len(data.set_aside()) == 2
    everything = b"".join(file.read_bytes() for file in data.path.rglob("*") if file.is_file())
    told = "\n".join(str(event.to_json()) for event in events)
    for secret in (PLANTED, "777333111", "19010203"):
        assert secret.encode() not in everything and secret.encode("utf-16-le") not in everything and secret not in told
    assert "folders are no labels here" in said(events) and "burned into their pixels" in said(events)
    assert all(path.startswith("file-0000") for path in paths(data))
    again, _ = run(source, tmp_path / "out.mq", mode="auto", width=24, height=16)
    assert again.digest == data.digest


def test_labels_by_folder_when_asked_for(tmp_path: Path) -> None:
    """Folders are labels beside DICOM only on request; a table gives labels, but no column that may name a patient."""
    for k in range(8):
        folder = tmp_path / "in" / ("ill" if k % 2 else "well")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{k}.dcm").write_bytes(patient(k))
    data, _ = run(tmp_path / "in", tmp_path / "a.mq", labels="folders")
    assert sorted(values(data, "label")) == ["ill"] * 4 + ["well"] * 4
    lines = ["file_name,finding,patient_name"]
    lines += [f"{'ill' if k % 2 else 'well'}/{k}.dcm,{'yes' if k % 2 else 'no'},{PLANTED}{k}" for k in range(8)]
    (tmp_path / "in" / "metadata.csv").write_text("\n".join(lines))
    data, events = run(tmp_path / "in", tmp_path / "b.mq")
    assert [c.name for c in data.spec.conditions] == ["finding"] and "may name patients" in said(events)
    assert PLANTED.encode() not in b"".join(f.read_bytes() for f in data.path.rglob("*") if f.is_file())


def test_dicom_among_other_images(tmp_path: Path) -> None:
    """Slices of one file stay together, and other images of the same folder lose their names too."""
    (tmp_path / "in").mkdir()
    for k in range(4):
        stack = np.random.default_rng(k).integers(0, 60000, (3, 16, 24)).astype(np.uint16)
        (tmp_path / "in" / f"{k}.dcm").write_bytes(dicom(stack))
    (tmp_path / "in" / "other.png").write_bytes(png(1, 24))
    data, _ = run(tmp_path / "in", tmp_path / "out.mq", mode="grey")
    assert len(data) == 13 and len(set(data.groups.tolist())) == 5 and reasons(data) == {}
    assert paths(data)[:4] == [
        "file-000000, frame 0",
        "file-000000, frame 1",
        "file-000000, frame 2",
        "file-000001, frame 0",
    ]
