"""Made images as DICOM files: pixels to the last bit, plainly synthetic, of no patient, bound to the signature."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vouching import SOFTWARE, picture, vouched

from maquette.core.errors import TrustError
from maquette.core.image import encode
from maquette.data.decoding.limits import Limits
from maquette.data.decoding.picture import decode
from maquette.data.decoding.shape import Form
from maquette.trust.dicom import fresh_uid, paired, synthetic
from maquette.trust.examine import examine
from maquette.trust.keys import Keys
from maquette.trust.press import Press

pydicom = pytest.importorskip("pydicom")


def read(content: bytes) -> Any:
    """The file as a second reader sees it."""
    return pydicom.dcmread(io.BytesIO(content))


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**31), height=st.sampled_from([6, 18, 30]), width=st.sampled_from([8, 24, 40]),
    form=st.sampled_from([(1, np.uint16), (1, np.uint8), (3, np.uint8)]), format=st.sampled_from(["png", "tiff"]),
)  # fmt: skip
def test_pixels_come_back_to_the_last_bit(maker, seed, height, width, form, format):
    """By pydicom and by our own ingest, whatever the size and the depth."""
    channels, dtype = form
    image = picture(seed, height, width, channels, dtype)
    press = Press(maker, format=format)
    signed, _ = press.fresh(vouched(image, seed), {"software": SOFTWARE, "family": "oracle"})
    content = synthetic(signed)
    assert np.array_equal(np.squeeze(read(content).pixel_array), np.squeeze(image))
    mode: Any = {(1, np.uint16): "grey16", (1, np.uint8): "grey", (3, np.uint8): "rgb"}[form]
    bigger = Form(width=-(-width // 8) * 8, height=-(-height // 8) * 8, mode=mode, fit="pad", small="enlarge")
    if (bigger.width, bigger.height) == (width, height):
        assert np.array_equal(decode(content, bigger, Limits()), image)
    assert paired(content, signed) == []


def test_nobody_can_take_it_for_a_scan(write):
    """Every place where a viewer or an archive looks says that it is synthetic and of no patient."""
    data = read(synthetic(write(image=picture(1, 24, 32, 1, np.uint16)).read_bytes()))
    assert data.SOPClassUID == data.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert list(data.ImageType)[:2] == ["DERIVED", "SECONDARY"] and data.ConversionType == "SYN"
    assert data.SyntheticData == "YES" and data.Modality == "OT"
    for name in ("PatientName", "PatientID", "StudyDescription", "SeriesDescription", "ImageComments"):
        assert "SYNTHETIC" in str(data[name].value)
    assert all(data.get(name) == "" for name in ("PatientBirthDate", "PatientSex", "ReferringPhysicianName"))
    assert all(str(data[name].value).startswith("2.25.") for name in ("SOPInstanceUID", "StudyInstanceUID"))
    assert "Not for diagnosis" in data.DerivationDescription and "seed 0" in data.DerivationDescription


def test_images_of_a_series_share_it_and_no_two_files_are_one(write):
    """Study and series may be shared; the file's own identifier never is."""
    signed = write().read_bytes()
    study, series = fresh_uid(), fresh_uid()
    files = [read(synthetic(signed, study=study, series=series, number=k)) for k in (1, 2)]
    assert {file.StudyInstanceUID for file in files} == {study} and [file.InstanceNumber for file in files] == [1, 2]
    assert len({file.SOPInstanceUID for file in files}) == 2
    assert read(synthetic(signed)).StudyInstanceUID != study


def test_it_belongs_to_one_signed_image(write):
    """Other pixels, another file or a taken away mark are told."""
    one, other = write("one").read_bytes(), write("two", seed=1).read_bytes()
    content = synthetic(one)
    told = paired(content, other)
    assert any("another file" in text for text in told) and any("pixels differ" in text for text in told)
    data = read(content)
    data.ImageType, data.PixelData = ["ORIGINAL", "PRIMARY"], bytes(len(data.PixelData))
    stream = io.BytesIO()
    data.save_as(stream)
    told = paired(stream.getvalue(), one)
    assert any("no longer says" in text for text in told) and any("pixels differ" in text for text in told)
    del data[0x0099, 0x1001]
    stream = io.BytesIO()
    data.save_as(stream)
    assert "does not say which" in paired(stream.getvalue(), one)[0]


@pytest.mark.parametrize("content", [b"", b"no image", encode(picture()), picture().tobytes()])
def test_only_made_images_become_synthetic(content):
    """A picture that does not say that a model made it (a scan, say) is refused."""
    with pytest.raises(TrustError, match=r"no PNG|does not say"):
        synthetic(content)


def test_verify_tells_a_dicom_file_by_the_signed_image_beside_it(write, maker, tmp_path):
    """The pair is whole; the image is away; the pixels were changed; it names nothing; it is cut off."""
    folder = tmp_path / "handed-out"
    for name in ("images", "dicom"):
        (folder / name).mkdir(parents=True)
    signed = write("one", image=picture(3, 24, 32, 1, np.uint16))
    beside, dicom = folder / "images" / "one.png", folder / "dicom" / "one.dcm"
    beside.write_bytes(signed.read_bytes())
    dicom.write_bytes(synthetic(signed.read_bytes()))

    def told() -> dict[str, Any]:
        (report,) = examine([dicom], Keys(maker).anchors(), workers=1)
        return report

    report = told()
    assert report["status"] == "unsigned" and "one.png beside it, which is intact" in report["words"]
    assert report["manifest"]["family"] and report["layers"]["metadata"] == "present"
    kept = beside.read_bytes()
    beside.unlink()
    assert "which anybody can write" in told()["words"]
    beside.write_bytes(kept)
    data = read(dicom.read_bytes())
    data.PixelData = bytes(len(data.PixelData))
    data.save_as(dicom)
    assert told()["status"] == "changed" and "pixels differ" in told()["words"]
    del data[0x0099, 0x1001]
    data.save_as(dicom)
    assert told()["status"] == "unsigned" and "names no signed image" in told()["words"]
    dicom.write_bytes(dicom.read_bytes()[:140])
    assert told()["status"] in ("unreadable", "unsigned")
