"""DICOM images as the pixels that a viewer would show, in 16 bits: rescaled, windowed, MONOCHROME1 turned around.

Only the elements that pixels need are read at all. What a file says about a patient is never looked at, so nothing of
it can go on from here. An index of other files (DICOMDIR) is refused, not followed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from maquette.data.decoding.limits import Limits, Refused
from maquette.data.decoding.shape import Form
from maquette.data.origin import Trait

_DIRECTORY = "1.2.840.10008.1.3.10"
_CAPTURED = "1.2.840.10008.5.1.4.1.1.7"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_WANTED = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "PixelData", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter",
    "WindowWidth", "VOILUTFunction", "VOILUTSequence", "PresentationLUTShape", "PixelAspectRatio",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "BurnedInAnnotation", "Modality", "ConversionType",
)  # fmt: skip
_OFTEN_BURNED = ("US", "SC", "OT", "ES", "XC", "DOC")
"""Kinds of images whose pixels often show names and dates."""


def slices(content: bytes, form: Form, limits: Limits) -> Iterator[tuple[Any, Trait]]:
    """Every image of a DICOM file as a Pillow image (I;16 or RGB), with its traits."""
    try:
        import pydicom
    except ImportError:
        raise Refused("it is a DICOM file; install maquette[dicom] to read those") from None
    data = pydicom.dcmread(io.BytesIO(content), specific_tags=list(_WANTED))
    if data.file_meta.get("MediaStorageSOPClassUID") == _DIRECTORY:
        raise Refused("it is an index of other DICOM files (DICOMDIR), which is not followed")
    if data.file_meta.get("TransferSyntaxUID") == _DEFLATED:
        raise Refused("it is a deflated DICOM file, which is not read; save it without compression")
    count = _check(data, limits)
    traits = Trait.BURNED if _may_be_burned(data) else Trait(0)
    traits |= Trait.ANIMATED if count > 1 else Trait(0)
    for number in range(1 if form.frames == "first" else count):
        yield _picture(data, number), traits


def _check(data: Any, limits: Limits) -> int:
    """How many images it holds, after everything that decides about memory was looked at."""
    rows, columns = int(data.get("Rows") or 0), int(data.get("Columns") or 0)
    count = int(data.get("NumberOfFrames") or 1)
    if "PixelData" not in data or not rows or not columns:
        raise Refused("the DICOM file holds no image")
    if rows * columns > limits.pixels:
        raise Refused(f"it has {columns} x {rows} pixels, more than {limits.pixels / 1e6:g} million are not read")
    if not 1 <= count <= limits.frames:
        raise Refused(f"it holds {count:,} images, more than {limits.frames:,} are not read")
    return count


def _may_be_burned(data: Any) -> bool:
    said = str(data.get("BurnedInAnnotation") or "").upper()
    captured = str(data.file_meta.get("MediaStorageSOPClassUID")).startswith(_CAPTURED) or "ConversionType" in data
    return said == "YES" or (said != "NO" and (captured or str(data.get("Modality")) in _OFTEN_BURNED))


def _picture(data: Any, number: int) -> Any:
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    kind = str(data.get("PhotometricInterpretation"))
    values: NDArray[Any] = pixel_array(data, index=number)
    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, data)
        if values.dtype != np.uint8:
            values = (values >> 8).astype(np.uint8)
    if values.ndim == 3:
        if values.shape[2] != 3:
            raise Refused(f"DICOM images of the kind {kind} with {values.shape[2]} channels are not read")
        deep = values.dtype != np.uint8
        return Pillow.fromarray((values >> max(0, int(data.BitsStored) - 8)).astype(np.uint8) if deep else values)
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise Refused(f"DICOM images of the kind {kind[:40]} are not read")
    shown = _shown(_stored(values, data), data, number)
    if (kind == "MONOCHROME1") != (str(data.get("PresentationLUTShape")) == "INVERSE"):
        shown = 1.0 - shown
    return Pillow.fromarray(np.rint(shown * 65535).astype(np.uint16))


def _stored(values: NDArray[Any], data: Any) -> NDArray[Any]:
    """The values without the bits beside them, in which old files keep overlays."""
    bits = int(data.BitsStored)
    if bits < 8 * values.dtype.itemsize:
        if data.PixelRepresentation:
            spare = 8 * values.dtype.itemsize - bits
            return np.asarray((values << spare) >> spare)
        return np.asarray(values & ((1 << bits) - 1))
    return values


def _shown(values: NDArray[Any], data: Any, number: int) -> NDArray[np.float64]:
    """The values from 0 to 1 as the file wants them shown: modality first, then the first window or table.

    Without either, the whole range that the file can hold becomes the whole range from 0 to 1, in all files alike.
    """
    from pydicom.pixels.processing import apply_modality_lut, apply_voi

    bits = int(data.BitsStored)
    signed = bool(data.PixelRepresentation)
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    if data.get("ModalityLUTSequence"):
        result = apply_modality_lut(values, data).astype(np.float64)
        low, high = 0.0, 2.0 ** int(data.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    else:
        slope, intercept = (float(_value(data, number, name, default)) for name, default in (
            ("RescaleSlope", 1), ("RescaleIntercept", 0)
        ))  # fmt: skip
        if not (np.isfinite(slope) and np.isfinite(intercept) and slope):
            slope, intercept = 1.0, 0.0
        result = values.astype(np.float64) * slope + intercept
        low, high = sorted((low * slope + intercept, high * slope + intercept))
    if data.get("VOILUTSequence"):
        table = data.VOILUTSequence[0].LUTDescriptor
        shown = apply_voi(result.astype(np.int64), data).astype(np.float64)
        return np.clip(shown / ((1 << int(table[2])) - 1), 0.0, 1.0)
    centre, width = (_value(data, number, name, None) for name in ("WindowCenter", "WindowWidth"))
    if centre is not None and width is not None and float(width) > 0:
        return _windowed(result, float(centre), float(width), str(_value(data, number, "VOILUTFunction", "LINEAR")))
    return np.clip((result - low) / max(high - low, 1e-9), 0.0, 1.0)


def _windowed(values: NDArray[np.float64], centre: float, width: float, function: str) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.2: the window as the standard writes it, from 0 to 1."""
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0.0, 1.0)
    if width <= 1:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


_GROUPS = ("FrameVOILUTSequence", "PixelValueTransformationSequence")


def _value(data: Any, number: int, name: str, default: Any) -> Any:
    """The first value of an element: of this image, of all images, or at the top of the file."""
    places = [data]
    shared, single = data.get("SharedFunctionalGroupsSequence"), data.get("PerFrameFunctionalGroupsSequence")
    for groups in ([shared[0]] if shared else []) + ([single[number]] if single and number < len(single) else []):
        places += [groups[name_][0] for name_ in _GROUPS if name_ in groups and len(groups[name_].value)]
    for place in reversed(places):
        value = place.get(name)
        if value is not None and value != "":
            if isinstance(value, str) or not hasattr(value, "__len__"):
                return value
            if len(value):
                return value[0]
    return default
