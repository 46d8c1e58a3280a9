"""A made image as a DICOM file that nobody can take for a scan: secondary capture, derived, synthetic, of no patient.

C2PA knows no DICOM, so the signature stays in the signed image file that lies beside. The DICOM file names it by its
digest, carries the same manifest, and holds the same pixels; `paired` says whether all three agree.

    synthetic(signed)            the bytes of a DICOM file, from the bytes of a PNG or TIFF that a model's image lies in
    paired(dicom, signed)        what of the pair does not agree; nothing when it is whole
    bound(dicom, path)           what a DICOM file says of itself, and the signed image that it names, where it is
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maquette.core.errors import TrustError, UsageError
from maquette.core.image import Image, convert, depth, mode_of
from maquette.trust import metadata
from maquette.trust.manifest import Manifest
from maquette.trust.press import pixels_of

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""Secondary Capture Image Storage: what did not come from a scanner."""
GROUP, CREATOR = 0x0099, "MAQUETTE"
_DIGEST, _SIGNED, _MANIFEST = 0x01, 0x02, 0x03
"""Elements of our private block: the manifest's digest, the digest of the signed file, and the manifest itself."""
SAYS = "SYNTHETIC IMAGE made by a computer model with Maquette. It shows no patient. Not for diagnosis."
MADE = ("sampled", "guided")
LARGEST = 64 << 20
MEDIA = "application/dicom"


def synthetic(signed: bytes, *, study: str = "", series: str = "", number: int = 1) -> bytes:
    """The DICOM file of a made image. Study and series are UIDs that several images share; new ones when left out."""
    pydicom = _library()
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    manifest, picture = _read(signed)
    values = picture[..., 0] if mode_of(picture) in ("grey", "grey16") else convert(picture, "rgb")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(CAPTURE), UID(fresh_uid())
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = pydicom.uid.PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "MAQUETTE"
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    made = datetime.datetime.strptime(manifest.time, "%Y-%m-%dT%H:%M:%SZ")
    _about_no_patient(data)
    data.SOPClassUID, data.SOPInstanceUID = CAPTURE, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = study or fresh_uid(), series or fresh_uid()
    data.StudyID, data.SeriesNumber, data.InstanceNumber = "SYNTHETIC", 1, number
    data.StudyDate = data.ContentDate = data.InstanceCreationDate = made.strftime("%Y%m%d")
    data.StudyTime = data.ContentTime = data.InstanceCreationTime = made.strftime("%H%M%S")
    data.ImageType = ["DERIVED", "SECONDARY", "SYNTHETIC"]
    data.ConversionType, data.Modality = "SYN", "OT"
    data.StudyDescription = data.SeriesDescription = "SYNTHETIC, made by a model, no patient"
    data.ImageComments = SAYS
    data.DerivationDescription = (
        f"{SAYS} Family {manifest.family or 'unknown'}, model {manifest.model or 'unknown'}, seed {manifest.seed}. "
        f"Manifest {manifest.digest}. The signed file has SHA-256 {hashlib.sha256(signed).hexdigest()}."
    )
    data.Manufacturer, data.ManufacturerModelName = "Maquette", f"{manifest.family or 'model'}"[:64]
    data.SoftwareVersions = manifest.software.get("maquette", "")[:64]
    _pixels(data, values)
    block = data.private_block(GROUP, CREATOR, create=True)
    block.add_new(_DIGEST, "LO", manifest.digest)
    block.add_new(_SIGNED, "LO", hashlib.sha256(signed).hexdigest())
    block.add_new(_MANIFEST, "UT", json.dumps(manifest.to_json(), ensure_ascii=False, sort_keys=True))
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def paired(content: bytes, signed: bytes) -> list[str]:
    """What does not agree between a DICOM file and the signed image beside it; empty when they belong together."""
    data = _open(content)
    found = []
    manifest, picture = _read(signed)
    try:
        block = data.private_block(GROUP, CREATOR)
        digest, file = str(block[_DIGEST].value), str(block[_SIGNED].value)
    except (KeyError, ValueError):
        return ["the DICOM file does not say which signed image it belongs to"]
    if file != hashlib.sha256(signed).hexdigest():
        found.append("the signed image is another file than the one that the DICOM file names")
    if digest != manifest.digest:
        found.append("the manifest is another one than the DICOM file names")
    if str(data.get("ConversionType")) != "SYN" or list(data.get("ImageType", []))[:1] != ["DERIVED"]:
        found.append("the DICOM file no longer says that it is synthetic")
    values = data.pixel_array
    if not np.array_equal(np.squeeze(picture if picture.shape[2] < 4 else convert(picture, "rgb")), values):
        found.append("the pixels differ from those of the signed image")
    return found


@dataclass(frozen=True)
class Bound:
    """What a DICOM file of ours says, and what of it is true."""

    manifest: Manifest | None
    """The manifest in it; None where that is damaged."""
    partner: Path | None
    """The signed image that it names, where that lies beside it."""
    differs: list[str]
    """In what it differs from that image."""


def is_dicom(head: bytes) -> bool:
    """Whether a file with these first bytes is a DICOM file."""
    return head[128:132] == b"DICM"


def bound(content: bytes, path: Path) -> Bound | None:
    """What a DICOM file says that lies at this path; None where it names no signed image.

    The signed image is looked for in the same folder and in the folder `images` beside it, under the same name.
    """
    if len(content) > LARGEST:
        raise TrustError(f"it is larger than {LARGEST >> 20} MiB, which no made image is")
    data = _open(content)
    try:
        block = data.private_block(GROUP, CREATOR)
        digest, file = str(block[_DIGEST].value), str(block[_SIGNED].value)
        said = json.loads(str(block[_MANIFEST].value))
    except (KeyError, ValueError):
        return None
    try:
        manifest: Manifest | None = Manifest.from_json(said)
    except TrustError:
        manifest = None
    if manifest is not None and manifest.digest != digest:
        manifest = None
    for folder in (path.parent, path.parent.parent / "images"):
        for ending in (".png", ".tif", ".tiff"):
            signed = folder / f"{path.stem}{ending}"
            if signed.is_file() and signed.stat().st_size <= LARGEST:
                whole = signed.read_bytes()
                if hashlib.sha256(whole).hexdigest() == file:
                    return Bound(manifest, signed, paired(content, whole))
    return Bound(manifest, None, [])


def fresh_uid() -> str:
    """A new identifier under the root for UUIDs, 2.25, which is nobody's and tells nothing of where it was made."""
    _library()
    from pydicom.uid import generate_uid

    return str(generate_uid(prefix=None))


def _about_no_patient(data: Any) -> None:
    """Elements that every file must have; what would name a person says that there is none."""
    data.PatientName, data.PatientID = "SYNTHETIC^NO PATIENT", "SYNTHETIC"
    data.PatientBirthDate = data.PatientSex = data.ReferringPhysicianName = data.AccessionNumber = ""
    data.PatientIdentityRemoved, data.DeidentificationMethod = "YES", "No patient: made by a model"
    data.BurnedInAnnotation, data.SyntheticData = "NO", "YES"
    data.SpecificCharacterSet = "ISO_IR 192"


def _pixels(data: Any, values: Image) -> None:
    colour = values.ndim == 3
    bits = 16 if values.dtype == np.uint16 else 8
    data.Rows, data.Columns = values.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        data.PlanarConfiguration = 0
    else:
        most = depth("grey16" if bits == 16 else "grey")
        data.WindowCenter, data.WindowWidth = str((most + 1) / 2), str(most + 1)
        data.RescaleIntercept, data.RescaleSlope, data.RescaleType = "0", "1", "US"
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, 0
    content = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    data.PixelData = content + bytes(len(content) % 2)
    data["PixelData"].VR = "OW" if bits == 16 else "OB"


def _read(signed: bytes) -> tuple[Manifest, Image]:
    """What an image that was made here says, and its pixels."""
    from PIL import Image as Pillow

    if len(signed) > LARGEST:
        raise TrustError(f"it is larger than {LARGEST >> 20} MiB, which no made image is")
    try:
        with Pillow.open(io.BytesIO(signed), formats=("PNG", "TIFF")) as picture:
            manifest = metadata.read(picture).manifest
        image = pixels_of(signed)
    except (OSError, ValueError, SyntaxError):
        raise TrustError("it is no PNG or TIFF image that can be read", do="give images that sample has made") from None
    if manifest is None or manifest.kind not in MADE:
        raise TrustError("it does not say that a model made it", do="give images that sample has made")
    return manifest, image


def _open(content: bytes) -> Any:
    pydicom = _library()
    try:
        return pydicom.dcmread(io.BytesIO(content))
    except Exception:  # readers of files from anywhere know many kinds of trouble
        raise TrustError("it is no DICOM file that can be read") from None


def _library() -> Any:
    try:
        import pydicom
    except ImportError:
        raise UsageError("DICOM files need pydicom", do="install maquette[dicom]") from None
    return pydicom
