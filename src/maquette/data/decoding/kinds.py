"""What kind of file it is, by its first bytes alone: names say nothing that could be relied upon."""

from __future__ import annotations

HEAD = 512
"""How many bytes are looked at."""

# The container formats of films that are read, by the name of their reader in FFmpeg. Playlists and descriptions,
# which name other files, have no bytes of their own here and are never tried.
_EBML = b"\x1a\x45\xdf\xa3"
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def film_format(head: bytes) -> str:
    """FFmpeg's name for the container format of a film; empty where it is none that is read."""
    if head[:4] == _EBML:
        return "matroska"
    if head[4:8] in _BOXES and not (head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS):
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:3] == b"FLV":
        return "flv"
    if head[:4] == b"\x00\x00\x01\xba":
        return "mpeg"
    if head[:1] == b"\x47" and head[188:189] == b"\x47" and head[376:377] == b"\x47":
        return "mpegts"
    if head[:10] == b"YUV4MPEG2 ":
        return "yuv4mpegpipe"
    return ""


def is_film(head: bytes) -> bool:
    """Whether it begins like a film."""
    return bool(film_format(head))


def is_dicom(head: bytes) -> bool:
    """Whether it begins like a DICOM file: 128 bytes of anything, then four letters."""
    return head[128:132] == b"DICM"


def container(head: bytes) -> str:
    """The kind of source whose files hold many images: zip, tar, parquet or numpy; empty for any other file."""
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return "zip"  # Also .npz: a zip of arrays.
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:6] == b"\x93NUMPY":
        return "numpy"
    if head[:2] == b"\x1f\x8b" or head[:3] == b"BZh" or head[:6] == b"\xfd7zXZ\x00" or _is_tar(head):
        return "tar"
    return ""


def _is_tar(head: bytes) -> bool:
    """A tar's first header carries its own checksum."""
    if len(head) < 512 or not head[148:154].strip(b" \0").isdigit():
        return False
    try:
        said = int(head[148:156].strip(b"\0 ") or b"x", 8)
    except ValueError:
        return False
    return said == 256 + sum(head[:148]) + sum(head[156:512])
