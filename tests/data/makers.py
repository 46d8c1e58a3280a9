"""Files for the tests of data: DICOM, films, archives, made from numbers."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from maquette.core.event import Event, Note, Result, Warning
from maquette.data.dataset import Dataset
from maquette.data.ingest.ingest import Settings, ingest


def png(seed: int, side: int = 16, mode: str = "RGB") -> bytes:
    """A picture of noise that no other seed makes."""
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    return saved(Pillow.fromarray(values).convert(mode), "PNG")


def saved(picture: Any, format: str, **settings: Any) -> bytes:
    """A Pillow image as the bytes of a file."""
    stream = io.BytesIO()
    picture.save(stream, format, **settings)
    return stream.getvalue()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    """A tar of these files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def dicom(values: np.ndarray[Any, Any], kind: str = "MONOCHROME2", stored: int | None = None, **more: Any) -> bytes:
    """A DICOM file of these pixels: (rows, columns), (frames, rows, columns), or with three channels."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = more.pop("sop_class", "1.2.840.10008.5.1.4.1.1.7")
    meta.MediaStorageSOPInstanceUID = more.pop("instance", "1.2.3.4")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    colour = kind not in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    shape = values.shape[:-1] if colour else values.shape
    data.Rows, data.Columns = shape[-2:]
    if len(shape) == 3:
        data.NumberOfFrames = shape[0]
    data.SamplesPerPixel, data.PhotometricInterpretation = (3 if colour else 1), kind
    if colour:
        data.PlanarConfiguration = 0
    data.BitsAllocated = 8 * values.dtype.itemsize
    data.BitsStored = stored or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(values.dtype.kind == "i")
    data.PixelData = values.tobytes()
    data["PixelData"].VR = "OW" if values.dtype.itemsize > 1 else "OB"
    for name, value in more.items():
        setattr(data, name, value)
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def film(
    frames: list[np.ndarray[Any, Any]],
    format: str = "mp4",
    codec: str = "libx264",
    rate: int = 10,
    pixels: str = "yuv420p",
) -> bytes:
    """A film of these frames."""
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format=format) as container:
        track: Any = container.add_stream(codec, rate=rate)
        track.height, track.width = frames[0].shape[:2]
        track.pix_fmt = pixels
        for values in frames:
            for packet in track.encode(av.VideoFrame.from_ndarray(values, format="rgb24")):
                container.mux(packet)
        for packet in track.encode():
            container.mux(packet)
    return stream.getvalue()


def scenes(colours: list[tuple[int, int, int]], each: int, size: tuple[int, int] = (48, 64)) -> list[Any]:
    """Frames in which a white square moves over grounds of these colours, `each` frames a colour."""
    frames = []
    for number in range(each * len(colours)):
        frame = np.empty((*size, 3), np.uint8)
        frame[:] = colours[number // each]
        left = number % (size[1] - 10)
        frame[8:18, left : left + 10] = 255
        frames.append(frame)
    return frames


def run(source: Any, to: Path, add: bool = False, **settings: Any) -> tuple[Dataset, list[Event]]:
    """Ingest at 16 px with one worker; the dataset and all events."""
    chosen = Settings(**{"width": 16, "height": 16, "workers": 1, **settings})
    events = list(ingest(source if isinstance(source, list) else [source], to, settings=chosen, add=add))
    last = events[-1]
    assert isinstance(last, Result) and isinstance(last.value, Dataset)
    last.value.verify()
    return last.value, events


def said(events: list[Event]) -> str:
    """All notes and warnings."""
    return "\n".join(event.text for event in events if isinstance(event, (Note, Warning)))


def paths(data: Dataset) -> list[str]:
    """The paths of all images."""
    return [data.item(k)["path"] for k in range(len(data))]


def reasons(data: Dataset) -> dict[str, str]:
    """Path -> reason of what was set aside."""
    return {item["path"]: item["reason"] for item in data.set_aside()}


def values(data: Dataset, name: str) -> list[Any]:
    """What is known under that name, image by image."""
    spec = data.spec.condition(name)
    encoded = data.conditions(np.arange(len(data)), [name])[name]
    return [spec.describe(value) for value in encoded]
