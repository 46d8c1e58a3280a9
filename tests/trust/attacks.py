"""What people do to signed images, by the thousand: for the tests (a hundredth) and benchmarks/trust.py (all of it)."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import independent
import numpy as np
from cryptography import x509
from PIL import Image as Pillow
from vouching import FORMATS, MODEL, SOFTWARE, picture, vouched

from maquette.core.errors import MaquetteError, TrustError
from maquette.core.image import encode
from maquette.engine.latent.edited import Edits
from maquette.operations import operation as table
from maquette.operations._uses import Work
from maquette.store.workspace import Workspace
from maquette.trust import certificates, metadata, origin, press, signing
from maquette.trust.examine import examine
from maquette.trust.inspect import Trust, inspect
from maquette.trust.keys import Keys
from maquette.trust.press import Press, source_bytes


@dataclass(frozen=True)
class Trial:
    """One trial: what was tried, and what was wrong with the outcome ("" when nothing was)."""

    what: str
    wrong: str


def authority(home: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(next(one.pem for one in Keys(home).anchors() if one.own).encode())


def signed(maker: Press, seed: int) -> bytes:
    made = vouched(picture(seed), seed)
    manifest = maker.manifest(kind="sampled", seed=seed, model=MODEL, software=SOFTWARE, conditions={"label": "cat"})
    return signing.generated(made, manifest, maker.format, maker.signer)


def seen(content: bytes, trust: Trust) -> dict[str, Any]:
    return inspect(io.BytesIO(content), trust)


# A second reader


def read_elsewhere(home: Path, count: int) -> Iterator[Trial]:
    """Files of every format by the reader of `independent`, which shares no code with what signs."""
    root = authority(home)
    for format in FORMATS:
        maker = Press(home, format=format)
        for seed in range(count):
            try:
                told = independent.check(signed(maker, seed), root).assertions["org.maquette.manifest"]
                wrong = "" if told["seed"] == seed else f"it says seed {told['seed']}"
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            yield Trial(f"{format}, seed {seed}", wrong)


# Changes of one byte


def hashed_places(content: bytes, root: x509.Certificate) -> np.ndarray:
    """All bytes of a file that a hash or the signature covers, by the second reader."""
    checked, block = independent.check(content, root), independent.block(content)
    start = content.find(block[:200])
    assert start > 0 and content[start : start + len(block)] == block
    places = np.ones(len(content), bool)
    for begin, end in checked.outside:
        places[begin:end] = False
    for begin, end in checked.hashed:
        places[start + begin : start + end] = True
    return np.flatnonzero(places)


def one_byte(home: Path, count: int, seed: int) -> Iterator[Trial]:
    """Changes of one byte of what is hashed, over all formats."""
    rng, trust, root = np.random.default_rng(seed), Trust.of(Keys(home).anchors()), authority(home)
    files = 0
    for number in range(count):
        if number % 100 == 0:
            format = FORMATS[files % len(FORMATS)]
            content, files = signed(Press(home, format=format), files), files + 1
            places = hashed_places(content, root)
        place, change = int(rng.choice(places)), int(rng.integers(1, 256))
        changed = bytearray(content)
        changed[place] ^= change
        report = seen(bytes(changed), trust)
        bad = report["status"] not in ("changed", "unreadable") or report["trusted_by"] or report["made_by"]
        yield Trial(f"{format}, byte {place} ^ {change}", report["status"] if bad else "")


# Exact statuses


def png_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        found.append((kind, content[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def png(parts: list[tuple[bytes, bytes]]) -> bytes:
    joined = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(joined)


def jpeg_parts(content: bytes) -> tuple[list[bytes], bytes]:
    """The segments before the picture, and the rest."""
    at, parts = 2, []
    while content[at + 1] != 0xDA:
        size = 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]
        parts.append(content[at : at + size])
        at += size
    return parts, content[at:]


NAMES = {
    b"RIFF": (b"C2PA", b"JUNK"),  # the chunk of a WebP
    b"II*\0": (struct.pack("<H", 52545), struct.pack("<H", 52544)),  # the tag in the directory of a TIFF
    b"ftyp": (bytes.fromhex("d8fec3d61b0e483c92975828877ec481"), bytes(16)),  # the box of an AVIF
}
"""What a signed block is called in its file, and another name of the same length."""


def stripped(content: bytes) -> bytes:
    """The file without its signed block (or with it under a name that means nothing), and nothing else changed."""
    if content.startswith(b"\x89PNG"):
        return png([(kind, body) for kind, body in png_chunks(content) if kind != b"caBX"])
    if content.startswith(b"\xff\xd8"):
        parts, rest = jpeg_parts(content)
        return b"\xff\xd8" + b"".join(part for part in parts if part[1] != 0xEB) + rest
    name, other = next(names for head, names in NAMES.items() if head in content[:8])
    place = _tiff_entry(content, name) if content.startswith(b"II") else content.find(name)
    assert place > 0
    return content[:place] + other + content[place + len(name) :]


def _tiff_entry(content: bytes, tag: bytes) -> int:
    """Where the first directory of a TIFF names this tag: its two bytes are by chance elsewhere too, in keys and
    pixels."""
    start = struct.unpack("<I", content[4:8])[0]
    entries = struct.unpack("<H", content[start : start + 2])[0]
    return next(at for at in range(start + 2, start + 2 + 12 * entries, 12) if content[at : at + 2] == tag)


def transplanted(signed_file: bytes, foreign: bytes) -> bytes:
    """A foreign file with the signed block of another (of one length, where places in the file count)."""
    if foreign.startswith(b"\x89PNG"):
        block = [part for part in png_chunks(signed_file) if part[0] == b"caBX"]
        first, *rest = [part for part in png_chunks(foreign) if part[0] != b"caBX"]
        return png([first, *block, *rest])
    if foreign.startswith(b"\xff\xd8"):
        block_parts = [part for part in jpeg_parts(signed_file)[0] if part[1] == 0xEB]
        parts, rest_of = jpeg_parts(foreign)
        return b"\xff\xd8" + b"".join([*block_parts, *(p for p in parts if p[1] != 0xEB)]) + rest_of
    given, there = independent.block(signed_file), independent.block(foreign)
    assert len(given) == len(there) and foreign.count(there) == 1
    return foreign.replace(there, given)


def short_lived(home: Path, seconds: float) -> datetime:
    """Give a workspace a leaf of its own authority that ends soon; when it does."""
    keys = Keys(home)
    if not keys.exist():  # a short one that was here before may have ended
        keys.signer()
    content = (keys.folder / "authority.pem").read_bytes()
    root = certificates.read_chain(content, "")[0]
    root_key = certificates.read_key(content[content.index(b"-----BEGIN PRIVATE") :], None, "")
    key, start = certificates.new_key(), certificates.now().replace(microsecond=0)
    leaf = certificates.make_leaf("Short", key, root, root_key, days=seconds / 86400, start=start)
    (keys.folder / "signing.pem").write_bytes(certificates.pem(leaf).encode() + certificates.key_bytes(key, None))
    return leaf.not_valid_after_utc


def statuses(place: Path, count: int) -> Iterator[Trial]:
    """Stripped, re-signed, transplanted, expired, revoked and untouched: each with its own status, in every format."""
    home, other, ending, leaked = (place / name for name in ("home", "other", "ending", "leaked"))
    for one in (home, other, leaked):
        Keys(one).signer()
    trust = Trust.of(Keys(home).anchors())
    for format in FORMATS:
        mine, theirs = Press(home, format=format), Press(other, format=format)
        for seed in range(10_000, 10_000 + count):
            content = signed(mine, seed)
            both = seed % 2 or format not in ("png", "jpeg")  # the others know no place for a block but its own
            other_file = of_one_length(mine, seed + 1, content) if both else encode(picture(seed + 1), format)
            cases = {
                "intact": content, "unsigned": stripped(content), "changed": transplanted(content, other_file),
                "unknown-signer": signed(theirs, seed) if seed % 2 else re_signed(content, theirs),
            }  # fmt: skip
            for status, file in cases.items():
                report = seen(file, trust)
                yield Trial(f"{format} {status}", "" if report["status"] == status else report["status"])
    end, short = signed_before_the_end(ending, count)
    gone = {seed: signed(Press(leaked), seed) for seed in range(count)}
    Keys(leaked).revoke()
    revoked = Trust.of(Keys(leaked).anchors())
    for content in gone.values():
        status = seen(content, revoked)["status"]
        yield Trial("revoked", "" if status == "revoked" else status)
    wait_until(end)
    ended = Trust.of(Keys(ending).anchors())
    for content in short:
        status = seen(content, ended)["status"]
        yield Trial("expired", "" if status == "expired" else status)


def signed_before_the_end(home: Path, count: int) -> tuple[datetime, list[bytes]]:
    """So many images signed by certificates that end soon, and when the last one does. However busy the machine is:
    where a certificate ends before an image is signed, the next one lives twice as long."""
    done: list[bytes] = []
    seconds = 1.0
    while len(done) < count:
        end = short_lived(home, seconds)
        with contextlib.suppress(TrustError):  # it has ended, or does while it signs
            while len(done) < count:
                done.append(signed(Press(home), len(done)))
        seconds *= 2
    return end, done


def wait_until(end: datetime) -> None:
    """Sleep until a certificate that ends then has ended for everybody (times are kept in whole seconds)."""
    while certificates.now() < end + timedelta(seconds=1.2):
        time.sleep(0.05)


def of_one_length(maker: Press, seed: int, content: bytes) -> bytes:
    """Another image whose signed block is as long as that of this one: a signature inside has a byte more or less."""
    while len(independent.block(other := signed(maker, seed))) != len(independent.block(content)):
        seed += 1
    return other


def re_signed(content: bytes, thief: Press) -> bytes:
    """The same pixels and metadata under somebody else's signature."""
    with Pillow.open(io.BytesIO(content)) as opened:
        said = metadata.read(opened).manifest
        image = np.asarray(opened)
    assert said is not None
    return signing.generated(vouched(image, said.seed or 0), said, thief.format, thief.signer)


# Foreign pixels


def foreign(place: Path, count: int, seed: int) -> Iterator[Trial]:
    """Tries to have pixels that no model made signed as generated, through everything that takes pixels or files."""
    rng = np.random.default_rng(seed)
    home = place / "home"
    Keys(home).signer()
    trust, workspace, true = Trust.of(Keys(home).anchors()), Workspace(home), signed(Press(home), 1)
    tries: list[Callable[[int, np.ndarray], list[bytes]]] = [
        *(_forged(home, kind) for kind in ("array", "lookalike", "new", "child", "changed", "swapped", "pickled")),
        lambda n, image: [press_edit(home, image, n, kind="sampled")],
        lambda n, image: [press_edit(home, image, n)],
        lambda n, image: [press_edit(home, image, n, source=true)],
        lambda n, image: [sheet(home, image, n)],
        lambda n, image: [film(home, image, place, n)],
        lambda n, image: [edited(home, image, place, n)],
        lambda n, image: [edited(home, image, place, n, source_bytes(true))],
        lambda n, image: [transplanted(true, encode(image))],
        lambda n, image: [transplanted(true, lying(image))],
        lambda n, image: [lying(image)],
        lambda n, image: [fresh(home, image, n)],
        lambda n, image: [used(workspace, place, image, n)],
        lambda n, image: [used(workspace, place, image, n, lying(image))],
        lambda n, image: guided(home, image, n),
        lambda n, image: refined(workspace, place, lying(image), n),
        lambda n, image: refined(workspace, place, transplanted(true, encode(image)), n),
        lambda n, image: refined(workspace, place, encode(image, "jpeg"), n),
        lambda n, image: replayed(workspace, place, lying(image), n),
    ]
    slow = range(len(tries) - 4, len(tries))
    for number in range(count):
        which = int(rng.integers(len(tries)))
        if which in slow and number % 8:  # those go through a whole verb
            which = int(rng.integers(slow.start))
        image = picture(1000 + number)
        made: list[bytes] = []
        with contextlib.suppress(MaquetteError, TypeError, ValueError, AttributeError):
            made = tries[which](number, image)
        wrong = ""
        for content in made:
            report = seen(content, trust)
            if report["status"] == "intact" and report.get("source") == "trainedAlgorithmicMedia":
                wrong = "signed as generated"
        yield Trial(f"way {which}, try {number}", wrong)


def _forged(home: Path, kind: str) -> Callable[[int, np.ndarray], list[bytes]]:
    def forge(number: int, image: np.ndarray) -> list[bytes]:
        maker = Press(home, format=FORMATS[number % len(FORMATS)])
        manifest = maker.manifest(kind="sampled", seed=number, model=MODEL)
        thing: Any = image
        fields = {"picture": image, "seed": number, "model": MODEL, "guided": False}
        if kind == "lookalike":
            thing = type("Generated", (), fields)()
        elif kind in ("new", "child"):
            thing = object.__new__(origin.Generated if kind == "new" else type("Child", (origin.Generated,), {}))
            for name, value in fields.items():
                object.__setattr__(thing, name, value)
        elif kind == "changed":
            thing = vouched(picture(1), number)
            thing.picture.flags.writeable = True
            thing.picture[:] = image
        elif kind == "swapped":
            thing = vouched(picture(1), number)
            object.__setattr__(thing, "picture", image)
        elif kind == "pickled":
            thing = origin.Generated.__reduce__(vouched(image, number))
        return [signing.generated(thing, manifest, maker.format, maker.signer)]

    return forge


def press_edit(home: Path, image: np.ndarray, number: int, kind: Any = "edited", source: bytes = b"") -> bytes:
    maker = Press(home)
    lie = ({"digitalSourceType": metadata.GENERATED, "action": "c2pa.created"},)
    manifest = maker.manifest(kind=kind, seed=number, model=MODEL, refinements=lie)
    content = encode(image, "png", **metadata.extras(manifest, "png"))
    return maker.edited(content, manifest, source_bytes(source or encode(image)))


def sheet(home: Path, image: np.ndarray, number: int) -> bytes:
    maker = Press(home)
    kind: Any = "sampled" if number % 2 else "sheet"
    manifest = maker.manifest(kind=kind, seed=number, model=MODEL)
    return signing.sheet(image, manifest, "png", maker.signer)


def film(home: Path, image: np.ndarray, place: Path, number: int) -> bytes:
    maker, format = Press(home), ("webp", "gif")[number % 2]
    path = place / f"film-{number}.{format}"
    maker.film(path, [image, image[::-1]], format, 5, {"seed": number, "model": MODEL})
    return path.read_bytes()


def edited(home: Path, image: np.ndarray, place: Path, number: int, source: Any = None) -> bytes:
    """What `decode` and `complete` write: the pixels may have come from anybody's file, and the step lies."""
    step = {"op": "decode", "model": MODEL, "kind": "sampled", "digitalSourceType": metadata.GENERATED}
    path, maker = place / f"edited-{number}.png", Press(home)
    Edits(maker, step).write(path, image, "sha256:" + 64 * "0", source, {"seed": number, "kind": "sampled"})
    return path.read_bytes()


def fresh(home: Path, image: np.ndarray, number: int) -> bytes:
    """What `sample`, its workers and the studio sign with, given something that only looks like a model's image."""
    fields = {"picture": image, "seed": number, "model": MODEL, "guided": False, "mix": None}
    forged: Any = type("Generated", (), fields)()
    return Press(home).fresh(forged, {"software": SOFTWARE})[0]


def used(workspace: Workspace, place: Path, image: np.ndarray, number: int, source: bytes = b"") -> bytes:
    """What a use writes of anybody's pixels, with a step that lies."""
    work = Work(workspace, to=place, source=(), seconds=1.0, seed=number)
    step = {"op": "sample", "kind": "sampled", "model": MODEL, "digitalSourceType": metadata.GENERATED}
    given = place / f"given-{number}.png"
    if source:
        given.write_bytes(source)
    return work.write(place / f"used-{number}.png", image, step, given if source else None).read_bytes()


def guided(home: Path, image: np.ndarray, number: int) -> list[bytes]:
    """A model that hands back the image that it was given."""
    maker = Press(home)
    made = vouched(image, number, guided=True)
    kind: Any = "sampled" if number % 2 else "guided"
    manifest = maker.manifest(kind=kind, seed=number, model=MODEL)
    return [signing.generated(made, manifest, "png", maker.signer, source=source_bytes(encode(image)))]


def lying(image: np.ndarray) -> bytes:
    """A file whose metadata say that a model made it."""
    said = press.Manifest(kind="sampled", time="2026-11-21T10:00:00Z", seed=1, model=MODEL, software=SOFTWARE)
    return encode(image, "png", **metadata.extras(said, "png"))


def refined(workspace: Workspace, place: Path, content: bytes, number: int) -> list[bytes]:
    file = place / f"upload-{number}.png"
    file.write_bytes(content)
    request = {"source": [str(file)], "to": str(place / f"refined-{number}"), "with": "invert", "workers": 1}
    *_, result = table.run("refine", workspace, request)
    return [Path(path).read_bytes() for path in result.facts["images"]]


def replayed(workspace: Workspace, place: Path, content: bytes, number: int) -> list[bytes]:
    file, to = place / f"upload-{number}.png", place / f"replayed-{number}.png"
    file.write_bytes(content)
    with contextlib.suppress(MaquetteError):
        list(table.run("replay", workspace, {"image": str(file), "model": "nothing", "to": str(to)}))
    return [to.read_bytes()] if to.exists() else []


# Hostile files


def hostile(place: Path, count: int, seed: int) -> Iterator[Trial]:
    """Blocks that were cut, doubled, filled with noise, nested and changed in many places: one answer each, and never
    intact with other pixels or another manifest than were signed."""
    home, folder = place / "home", place / "files"
    folder.mkdir()
    rng, trust = np.random.default_rng(seed), Keys
    maker = Press(home)
    content = signed(maker, 7)
    pixels = np.asarray(Pillow.open(io.BytesIO(content)))
    paths = []
    for number in range(count):
        path = folder / f"{number:06d}.png"
        path.write_bytes(_mutant(content, rng))
        paths.append(path)
    told = Trust.of(trust(home).anchors()) and seen(content, Trust.of(trust(home).anchors()))["manifest"]
    count_seen = 0
    for path, report in zip(paths, examine(paths, trust(home).anchors(), workers=2), strict=True):
        count_seen += 1
        wrong = ""
        if report["status"] == "intact":
            with Pillow.open(path) as opened:
                same = np.array_equal(np.asarray(opened), pixels)
            wrong = "" if same and report["manifest"] == told else "intact, and not what was signed"
        elif report["trusted_by"]:
            wrong = f"{report['status']}, and trusted"
        yield Trial(path.name, wrong)
    yield Trial("one answer for each file", "" if count_seen == count else f"{count_seen} answers")


def _mutant(content: bytes, rng: np.random.Generator) -> bytes:
    parts = png_chunks(content)
    place = next(index for index, part in enumerate(parts) if part[0] == b"caBX")
    body = bytearray(parts[place][1])
    kind = int(rng.integers(8))
    if kind == 0:
        for _ in range(int(rng.integers(1, 20))):
            body[int(rng.integers(len(body)))] = int(rng.integers(256))
    elif kind == 1:
        del body[int(rng.integers(len(body))) :]
    elif kind == 2:
        at = int(rng.integers(len(body)))
        body[at:at] = bytes(rng.integers(0, 256, int(rng.integers(1, 4000)), np.uint8))
    elif kind == 3:  # a length that claims more than there is
        at = int(rng.choice([m for m in range(len(body) - 4) if body[m + 4 : m + 8] in (b"jumb", b"jumd", b"cbor")]))
        body[at : at + 4] = struct.pack(">I", int(rng.integers(2**32)))
    elif kind == 4:  # deep
        at = body.find(b"cbor") + 4
        body[at:at] = bytes([int(rng.choice([0x81, 0xA1, 0x9F, 0xBF, 0xD8]))]) * int(rng.integers(10, 50_000))
    elif kind == 5:
        a, b = sorted(rng.integers(0, len(body), 2).tolist())
        body[a:a] = body[a:b]
    elif kind == 6:
        body = bytearray(rng.integers(0, 256, len(body), np.uint8).tobytes())
    else:
        nested = bytes(body)
        for _ in range(int(rng.integers(1, 200))):
            inner = struct.pack(">I", 30) + b"jumd" + b"\0" * 16 + b"\x03c2pa\0"
            nested = struct.pack(">I", len(inner) + len(nested) + 8) + b"jumb" + inner + nested
        body = bytearray(nested)
    parts[place] = (b"caBX", bytes(body))
    return png(parts)


# Keys


def secrets_of(home: Path) -> list[bytes]:
    """What of the keys folder nobody else is to see: private keys as text, number and base64, and the mark's secret."""
    from cryptography.hazmat.primitives import serialization

    secrets: list[bytes] = []
    for path in (home / "keys").glob("*.pem"):
        content = path.read_bytes()
        key = serialization.load_pem_private_key(content[content.index(b"-----BEGIN PRIVATE") :], None)
        number = key.private_numbers().private_value
        raw = number.to_bytes(32, "big")
        lines = content.split(b"PRIVATE KEY-----")[1].split()[:-2]
        secrets += [raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode(), str(number).encode()]
        secrets += [base64.b64encode(raw)[:40], *(line[:40] for line in lines if len(line) > 20)]
    for path in (home / "keys").glob("*.secret"):
        text = path.read_bytes().strip()
        secrets += [text, bytes.fromhex(text.decode())]
    return secrets


def key_bytes_found(home: Path, folders: list[Path], former: Sequence[bytes] = ()) -> list[str]:
    """Files outside the keys folder that hold a piece of a secret, of those that are there now or of former ones."""
    secrets = [*secrets_of(home), *former]
    found = []
    for folder in folders:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
            if path.is_file() and home / "keys" not in path.parents:
                content = path.read_bytes()
                found += [os.fspath(path) for secret in secrets if secret in content]
    return found
