"""Files that data is tried with: more than 200 good ones of all kinds to be mutated, and hostile ones made by hand."""

# ruff: noqa: E501

import bz2
import gzip
import io
import json
import lzma
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from makers import dicom, film, png, saved, scenes, tarred, zipped
from PIL import Image as Pillow
from PIL import ImageCms


def pictures(side: int) -> dict[str, Any]:
    """A picture of noise over a slope in every mode."""
    rng = np.random.default_rng(side)
    values = (rng.integers(0, 90, (side, side, 3)) + np.linspace(0, 160, side)[:, None, None]).astype(np.uint8)
    rgb = Pillow.fromarray(values)
    clear = rgb.convert("RGBA")
    clear.putalpha(rgb.convert("L"))
    return {
        "RGB": rgb, "L": rgb.convert("L"), "1": rgb.convert("1"), "P": rgb.convert("P"), "RGBA": clear,
        "LA": clear.convert("LA"), "CMYK": rgb.convert("CMYK"), "LAB": rgb.convert("LAB"),
        "I;16": Pillow.fromarray(values[..., 0].astype(np.uint16) * 200), "F": rgb.convert("F"),
    }  # fmt: skip


def _images(side: int) -> Iterator[tuple[str, bytes]]:
    made = pictures(side)
    exif = Pillow.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for mode in ("RGB", "L", "1", "P", "RGBA", "LA", "I;16"):
        yield f"png-{mode}", saved(made[mode], "PNG")
        yield f"png-{mode}-exif", saved(made[mode], "PNG", exif=exif, icc_profile=profile)
    yield "png-trns", saved(made["RGB"], "PNG", transparency=(10, 20, 30))
    yield "png-p-trns", saved(made["P"], "PNG", transparency=bytes(range(200)))
    for mode in ("RGB", "L", "CMYK"):
        for quality in (20, 75, 95):
            yield f"jpeg-{mode}-{quality}", saved(made[mode], "JPEG", quality=quality)
        yield f"jpeg-{mode}-progressive", saved(made[mode], "JPEG", progressive=True, exif=exif, icc_profile=profile)
    for way in (0, 1, 2):
        yield f"jpeg-sub-{way}", saved(made["RGB"], "JPEG", subsampling=way, optimize=True)
    for mode in ("RGB", "RGBA"):
        for lossless in (True, False):
            yield f"webp-{mode}-{lossless}", saved(made[mode], "WEBP", lossless=lossless, exif=exif)
        yield f"avif-{mode}", saved(made[mode], "AVIF", quality=60)
    for mode in ("L", "P"):
        yield f"gif-{mode}", saved(made[mode], "GIF")
        yield f"gif-{mode}-clear", saved(made[mode], "GIF", transparency=3)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"bmp-{mode}", saved(made[mode], "BMP")
    for mode in ("1", "L", "RGB", "I;16"):
        yield f"ppm-{mode}", saved(made[mode], "PPM")
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "F"):
        for packing in ("raw", "tiff_lzw", "tiff_deflate", "packbits"):
            yield f"tiff-{mode}-{packing}", saved(made[mode], "TIFF", compression=packing)
    yield "tiff-jpeg", saved(made["RGB"], "TIFF", compression="jpeg")
    yield "tiff-group4", saved(made["1"], "TIFF", compression="group4")
    moved = [Pillow.fromarray(np.roll(np.asarray(made["RGB"]), 3 * k, 0)) for k in range(4)]
    for format in ("GIF", "PNG", "WEBP", "TIFF", "AVIF"):
        yield f"{format}-moving", saved(moved[0], format, save_all=True, append_images=moved[1:])


def _containers() -> Iterator[tuple[str, bytes]]:
    files = {f"{'ab'[k % 2]}/{k}.png": png(k, 12) for k in range(4)} | {"a/0.txt": b"words", "b/1.json": b'{"n": 3}'}
    files["metadata.csv"] = b"file_name,age\na/0.png,3\nb/1.png,4\n"
    yield "zip", zipped(files)
    yield "zip-stored", zipped(files, zipfile.ZIP_STORED)
    tar = tarred(files)
    yield from (
        ("tar", tar),
        ("tar.gz", gzip.compress(tar)),
        ("tar.bz2", bz2.compress(tar)),
        ("tar.xz", lzma.compress(tar)),
    )
    sample = {f"{k:03d}.{end}": body for k in range(3) for end, body in (
        ("png", png(k, 12)), ("cls", b"%d" % k), ("txt", b"a b"), ("depth.png", png(k + 9, 12)), ("json", b'{"x": 1}'),
    )}  # fmt: skip
    yield "webdataset", tarred(sample)
    rng = np.random.default_rng(0)
    for name, array in (
        ("u1", rng.integers(0, 256, (3, 12, 12, 3), np.uint8)), ("u2", rng.integers(0, 65536, (3, 12, 12), np.uint16)),
        ("f4", rng.random((3, 3, 12, 12), np.float32)), ("f8", rng.random((2, 12, 12, 1))), ("b", rng.random((12, 12)) > 0.5),
    ):  # fmt: skip
        stream = io.BytesIO()
        np.save(stream, array)
        yield f"npy-{name}", stream.getvalue()
    stream = io.BytesIO()
    np.savez_compressed(stream, x=rng.integers(0, 256, (4, 12, 12, 3), np.uint8), y=np.arange(4))
    yield "npz", stream.getvalue()


def _parquet() -> Iterator[tuple[str, bytes]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": png(k, 12), "path": f"{k}.png"} for k in range(6)]
    table = pa.table({"image": pa.array(rows, kind), "label": [k % 2 for k in range(6)], "text": list("abcdef")})
    for packing in ("snappy", "zstd", "none"):
        stream = io.BytesIO()
        pq.write_table(table, stream, row_group_size=3, compression=packing)
        yield f"parquet-{packing}", stream.getvalue()


def _medical() -> Iterator[tuple[str, bytes]]:
    rng = np.random.default_rng(1)
    deep = rng.integers(0, 4096, (12, 14)).astype(np.uint16)
    window = {"WindowCenter": 900, "WindowWidth": 1500, "RescaleSlope": 2, "RescaleIntercept": -100}
    yield "dicom-deep", dicom(deep, stored=12)
    yield "dicom-1", dicom(deep, "MONOCHROME1", 12, PatientName="A^B")
    yield "dicom-window", dicom(deep, stored=12, **window)
    yield "dicom-sigmoid", dicom(deep.astype(np.int16), stored=13, **window, VOILUTFunction="SIGMOID")
    yield "dicom-eight", dicom((deep // 16).astype(np.uint8))
    yield "dicom-stack", dicom(np.stack([deep, deep // 2, deep // 3]), stored=12)
    yield "dicom-rgb", dicom(rng.integers(0, 256, (12, 14, 3), np.uint8), "RGB")
    yield "dicom-ybr", dicom(rng.integers(0, 256, (12, 14, 3), np.uint8), "YBR_FULL")


def _films() -> Iterator[tuple[str, bytes]]:
    frames = scenes([(220, 30, 30), (30, 30, 220)], 6, (32, 32))
    for format, codec in (
        ("mp4", "libx264"), ("mp4", "mpeg4"), ("matroska", "libvpx-vp9"), ("webm", "libvpx"), ("avi", "mpeg4"),
        ("avi", "mjpeg"), ("mpegts", "mpeg2video"), ("flv", "flv"), ("mov", "libx264"), ("matroska", "libx264"),
    ):  # fmt: skip
        yield (
            f"film-{format}-{codec}",
            film(frames, format, codec, pixels="yuvj420p" if codec == "mjpeg" else "yuv420p"),
        )


def seeds() -> dict[str, bytes]:
    """Good files of every kind that is read."""
    found: dict[str, bytes] = {}
    for side in (9, 40):
        found |= {f"{name}-{side}": content for name, content in _images(side)}
    for kind in (_containers, _parquet, _medical, _films):
        found |= dict(kind())
    return found


def mutant(content: bytes, other: bytes, dice: random.Random) -> bytes:
    """A file that was damaged in one of six ways."""
    found = bytearray(content)
    way = dice.randrange(6)
    if way == 0:
        for _ in range(dice.randint(1, 8)):
            found[dice.randrange(len(found))] = dice.randrange(256)
    elif way == 1:
        del found[dice.randrange(len(found)) :]
    elif way == 2:  # A number of the header becomes extreme.
        at = dice.randrange(min(len(found), 4096))
        found[at : at + 4] = dice.choice(
            [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\1\0"]
        )
    elif way == 3:
        at, length = dice.randrange(len(found)), dice.randint(1, 64)
        found[at:at] = found[at : at + length] * dice.randint(1, 8)
    elif way == 4:
        at = dice.randrange(len(found))
        del found[at : at + dice.randint(1, 64)]
    else:
        found[dice.randrange(len(found)) :] = other[dice.randrange(len(other)) :]
    return bytes(found)


# Hostile files made by hand


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + _chunk(b"IEND", b"")


def _npy(head: str, body: bytes = b"") -> bytes:
    text = head.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def _tar(
    name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", target: str = "", size: int | None = None
) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(content) if size is None else size
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(info)
        stream.write(content.ljust(-(-len(content) // 512) * 512, b"\0"))
    return stream.getvalue()


def _overlapping(count: int) -> bytes:
    whole = zipped({"a.png": bytes(1_000_000)})
    start = whole.index(b"PK\x01\x02")
    record = whole[start : whole.index(b"PK\x05\x06")]
    records = b"".join(record.replace(b"a.png", b"%05d" % k) for k in range(count))
    return whole[:start] + records + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(records), start, 0)


def _claiming(size: int) -> bytes:
    content = bytearray(zipped({f"{k}.png": bytes(2000) for k in range(80)}))
    at = -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        struct.pack_into("<I", content, at + 24, size)
    return bytes(content)


def _flat(files: int, megabytes: int) -> bytes:
    """A zip of files of zeros. What one megabyte deflates to is said again and again, so that it is made at once."""
    megabyte, packer, crc = bytes(2**20), zlib.compressobj(1, zlib.DEFLATED, -15), 0
    piece = packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(megabytes):
        crc = zlib.crc32(megabyte, crc)
    stream = io.BytesIO()
    content, size, heads = piece * megabytes + packer.flush(), megabytes * 2**20, b""
    for k in range(files):
        name = b"%d.png" % k
        facts = struct.pack("<5H3I2H", 20, 0, zipfile.ZIP_DEFLATED, 0, 33, crc, len(content), size, len(name), 0)
        heads += b"PK\1\2" + struct.pack("<H", 20) + facts + struct.pack("<3H2I", 0, 0, 0, 0, stream.tell()) + name
        stream.write(b"PK\3\4" + facts + name + content)
    stream.write(heads + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, files, files, len(heads), stream.tell(), 0))
    return stream.getvalue()


def _many_frames(count: int) -> bytes:
    """A GIF of so many frames: two are saved, and the second is said again and again."""
    two = saved(Pillow.new("L", (1, 1)), "GIF", save_all=True, append_images=[Pillow.new("L", (1, 1), 99)])
    second = two.rindex(b"\x21\xf9\x04")
    return two[:second] + two[second:-1] * (count - 1) + two[-1:]


def _images_that_bomb() -> Iterator[tuple[str, bytes]]:
    flat = zlib.compress(bytes(50_000_000), 1)
    yield "bomb.png", _png(20_000, 20_000, _chunk(b"IDAT", flat))
    yield "sides.png", _png(2**31 - 1, 2**31 - 1, _chunk(b"IDAT", flat))
    yield "long.png", _png(1_000_000_000, 1, _chunk(b"IDAT", flat))
    yield "none.png", _png(0, 0, _chunk(b"IDAT", b""))
    yield "text.png", _png(16, 16, _chunk(b"zTXt", b"a\0\0" + flat), _chunk(b"IDAT", zlib.compress(b"")))
    yield "profile.png", _png(16, 16, _chunk(b"iCCP", b"p\0\0" + flat), _chunk(b"IDAT", zlib.compress(b"")))
    yield "words.png", _png(16, 16, _chunk(b"iTXt", b"a\0\1\0\0\0" + flat), _chunk(b"IDAT", zlib.compress(b"")))
    yield (
        "endless.png",
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">2I5B", 16, 16, 8, 2, 0, 0, 0)) + b"\xff" * 9999,
    )
    for name, format in (("bomb.gif", "GIF"), ("bomb.bmp", "BMP")):
        small = bytearray(saved(Pillow.new("L", (16, 16)), format))
        struct.pack_into("<HH" if format == "GIF" else "<ii", small, 6 if format == "GIF" else 18, 20_000, 20_000)
        yield name, bytes(small)
    yield "bomb.tif", saved(Pillow.new("1", (20_000, 20_000)), "TIFF", compression="group4")
    # What Pillow writes, in three seconds, of Pillow.new("L", (16_383, 12_000)) as WebP without loss.
    yield "bomb.webp", bytes.fromhex("524946461a000000574542505650384c0e0000002ffeffb70b071011fd0f4444ff03")
    yield "frames.gif", _many_frames(10_000)
    jpeg = bytearray(saved(Pillow.new("RGB", (64, 64)), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    struct.pack_into(">2H", jpeg, at + 5, 65_500, 65_500)
    yield "sides.jpg", bytes(jpeg)
    yield "words.ppm", b"P3\n9000 9000\n255\n" + b"1 " * 200_000
    yield "sides.ppm", b"P6\n99999999 99999999\n255\n"
    yield "negative.ppm", b"P6\n-5 -5\n255\n" + bytes(75)
    tiff = struct.pack("<2sHIH", b"II", 42, 8, 1) + struct.pack("<HHII", 256, 4, 1, 10) + struct.pack("<I", 8)
    yield "circle.tif", tiff
    yield "float.tif", saved(Pillow.new("F", (16, 16), 1e30), "TIFF")
    yield "text.svg", b"<?xml version='1.0'?><!DOCTYPE s [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><svg>&x;</svg>"
    yield "script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n"
    yield "page.pdf", b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n"
    yield "picture.psd", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3)
    yield "icons.ico", struct.pack("<3H", 0, 1, 65535) + bytes(64)
    yield "wave.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(200)
    yield "empty.png", b""
    yield "zeros.png", bytes(100_000)


def _arrays_and_tables() -> Iterator[tuple[str, bytes]]:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], object), allow_pickle=True)
    yield "object.npy", stream.getvalue()
    stream = io.BytesIO()
    np.savez(stream, images=np.array([{"a": 1}], object))
    yield "object.npz", stream.getvalue()
    for number, (kind, shape) in enumerate((
        ("|u1", "(99999999999, 64, 64, 3)"), ("|u1", "(-1, 64, 64, 3)"), ("|O", "(3, 64, 64, 3)"), ("<f8", "(2, 9999999, 9999999)"),
        ("|V99999999", "(3,)"), ("<U9999999", "(99999, 64, 64)"), ("|u1", "((" * 200 + "1" + "))" * 200),
        ("|u1", "__import__('os').getpid()"), ("|u1", "(1,) * 999"),
    )):  # fmt: skip
        yield f"head-{number}.npy", _npy(f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}")
    yield "version.npy", b"\x93NUMPY\x09\x00\xff\xff" + bytes(100)
    # Pickles: their first letters, and one that would import a module if it were ever loaded.
    pickled = b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."
    yield "model.pkl", pickled
    yield "pickle.png", pickled
    yield "pickle.npy", b"\x93NUMPY\x01\x00\x06\x00{}   \n" + pickled
    yield "pickle.tar", _tar("model.pkl", content=pickled)
    yield "pickle.zip", zipped({"data.pkl": pickled, "archive/version": b"3"})
    yield "short.parquet", b"PAR1" + bytes(8) + b"PAR1"
    yield "long.parquet", b"PAR1" + bytes(64) + struct.pack("<I", 2**31 - 1) + b"PAR1"
    yield "noise.parquet", b"PAR1" + random.Random(0).randbytes(4000) + struct.pack("<I", 3000) + b"PAR1"


def _archives() -> Iterator[tuple[str, bytes]]:
    yield "overlap.zip", _overlapping(3000)
    yield "claim.zip", _claiming(250 << 20)
    yield "claim-4.zip", _claiming(2**32 - 2)
    yield "flat.zip", _flat(5, 250)
    inner = zipped({"x.png": bytes(1_000_000)})
    for _ in range(5):
        inner = zipped({"inner.zip": inner})
    yield "nested.zip", inner
    yield "nested.tar", tarred({"inner.tar": tarred({"inner.tar.gz": gzip.compress(tarred({"a": b"x"}))})})
    for number, name in enumerate((
        "../../up.png", "/tmp/up.png", "..\\..\\up.png", "C:\\up.png", "a/../../../up.png", "\\\\host\\share\\up.png", "a\0b.png",
    )):  # fmt: skip
        yield f"slip-{number}.zip", zipped({name.replace("\0", "_"): b"up"})
        yield f"slip-{number}.tar", tarred({name: b"up"})
    for name, kind in (
        ("symlink", tarfile.SYMTYPE), ("hardlink", tarfile.LNKTYPE), ("device", tarfile.CHRTYPE), ("block", tarfile.BLKTYPE),
        ("pipe", tarfile.FIFOTYPE), ("folder", tarfile.DIRTYPE), ("contiguous", tarfile.CONTTYPE),
    ):  # fmt: skip
        yield f"{name}.tar", _tar("/etc/up", kind, b"", "/etc/passwd")
    yield "linked.tar", _tar("a", tarfile.SYMTYPE, b"", "/tmp")[:1024] + tarred({"a/up.png": b"x"})
    yield "size.tar", _tar("a.png", content=b"x", size=2**40)
    yield "negative.tar", _tar("a.png", content=b"x")[:124] + b"\xff" * 12 + _tar("a.png", content=b"x")[136:]
    yield "pax.tar", _tar("h", b"x", b"99999999999 path=" + b"a" * 4000)
    yield "gnu.tar", _tar("././@LongLink", b"L", b"../" * 2000 + b"up.png\0")
    yield "sparse.tar", _tar("a.png", tarfile.GNUTYPE_SPARSE, b"x")
    yield "bomb.tar.gz", gzip.compress(_tar("a.png", content=bytes(270_000_000)), 1)
    yield "bomb.gz", gzip.compress(bytes(200_000_000), 1)
    yield "bomb.xz", lzma.compress(bytes(100_000_000), preset=0)
    yield "bomb.bz2", bz2.compress(bytes(100_000_000))
    yield "large.xz", b"\xfd7zXZ\x00\x00\x04" + bytes(400)
    yield "directory.zip", b"PK\x05\x06" + b"\xff" * 18
    yield (
        "locator.zip",
        b"PK\x03\x04" + bytes(60) + b"PK\x06\x07" + b"\xff" * 16 + b"PK\x05\x06" + b"\xff" * 16 + b"\0\0",
    )
    link = zipfile.ZipInfo("link.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    yield "link.zip", stream.getvalue()


def _films_and_dicom() -> Iterator[tuple[str, bytes]]:
    for name, text in (
        ("list.mp4", "#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST"), ("list.mkv", "ffconcat version 1.0\nfile /etc/passwd"),
        ("list.avi", "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96"), ("dash.mp4", "<?xml?><MPD><BaseURL>http://127.0.0.1/</BaseURL></MPD>"),
        ("list.mov", "concat:/etc/passwd|/etc/group"), ("list.webm", "subfile,,start,0,end,0,,:/etc/passwd"),
        ("list.m3u", "#EXTM3U\nhttp://127.0.0.1:1/x.ts"), ("xbin.avi", "XBIN\x1a" + "x" * 60),
    ):  # fmt: skip
        yield name, text.encode()
    reference = struct.pack(">I4s", 28, b"url ") + bytes(4) + b"file:///etc/passwd\0\0"
    yield (
        "moov.mp4",
        struct.pack(">I4s", 16, b"ftyp") + b"isomisom" + struct.pack(">I4s", 8 + len(reference), b"moov") + reference,
    )
    yield "huge.mp4", struct.pack(">I4s", 16, b"ftyp") + b"isomisom" + struct.pack(">I4sQ", 1, b"mdat", 2**62)
    yield "noise.mkv", b"\x1a\x45\xdf\xa3" + random.Random(1).randbytes(3000)
    yield "noise.ts", (b"\x47" + random.Random(2).randbytes(187)) * 40
    yield "noise.y4m", b"YUV4MPEG2 W99999 H99999 F25:1 Ip C420\nFRAME\n" + bytes(100)
    yield "sound.mp4", struct.pack(">I4s", 16, b"ftyp") + b"M4A M4A " + bytes(100)
    flat = np.zeros((8, 8), np.uint16)
    yield "DICOMDIR", dicom(flat, sop_class="1.2.840.10008.1.3.10")
    yield "sides.dcm", dicom(flat, Rows=65535, Columns=65535)
    yield "frames.dcm", dicom(flat, NumberOfFrames=2_000_000_000)
    yield "no-pixels.dcm", dicom(flat, Rows=0)
    yield "bits.dcm", dicom(flat, BitsAllocated=64, BitsStored=64)
    yield "short.dcm", dicom(np.zeros((64, 64), np.uint16))[:-4000]
    yield "deflated.dcm", dicom(flat).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1\0")[:200]


def hostile() -> dict[str, bytes]:
    """Files that are made to break a reader, to fill a disk, to reach other files or to run something."""
    found: dict[str, bytes] = {}
    for kind in (_images_that_bomb, _arrays_and_tables, _archives, _films_and_dicom):
        found |= dict(kind())
    for number, line in enumerate(("../../../etc/passwd", "/etc/passwd", "folder/../../up.png")):
        found[f"metadata-{number}"] = json.dumps({"file_name": line}).encode()
    return found
