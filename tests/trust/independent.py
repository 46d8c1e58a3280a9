"""A second reader of C2PA, written from the specification and the standard library plus `cryptography` alone.

It shares no code with Maquette and none with the library that Maquette signs with, so that a mistake in those is seen.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature


class Wrong(Exception):
    """The file is not what was signed."""


# Where each kind of file keeps the block


def block(content: bytes) -> bytes:
    if content.startswith(b"\x89PNG"):
        return b"".join(body for kind, body in png_chunks(content) if kind == b"caBX")
    if content.startswith(b"\xff\xd8"):
        return jpeg_block(content)
    if content[:4] == b"RIFF":
        return next(body for kind, body in riff_chunks(content) if kind == b"C2PA")
    if content[4:8] == b"ftyp":
        return bmff_block(content)
    return tiff_block(content)


def png_chunks(content):
    at = 8
    while at + 12 <= len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        yield kind, content[at + 8 : at + 8 + size]
        at += 12 + size


def jpeg_block(content):
    at, found = 2, b""
    while content[at] == 0xFF and content[at + 1] != 0xDA:
        size = struct.unpack(">H", content[at + 2 : at + 4])[0]
        body = content[at + 4 : at + 2 + size]
        if content[at + 1] == 0xEB and body[:2] == b"JP":
            found += body[8:] if not found else body[16:]
        at += 2 + size
    return found


def riff_chunks(content):
    at = 12
    while at + 8 <= len(content):
        kind, size = content[at : at + 4], struct.unpack("<I", content[at + 4 : at + 8])[0]
        yield kind, content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def bmff_boxes(content):
    at = 0
    while at + 8 <= len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", content[at + 8 : at + 16])[0], 16
        size = size or len(content) - at
        yield at, kind, content[at : at + size], head
        at += size


C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def bmff_block(content):
    for _, kind, box, head in bmff_boxes(content):
        if kind == b"uuid" and box[head : head + 16] == C2PA_BOX:
            rest = box[head + 20 :]
            purpose, rest = rest.split(b"\0", 1)
            assert purpose == b"manifest"
            return rest[8:]
    raise Wrong("no block")


def tiff_block(content):
    order = "<" if content[:2] == b"II" else ">"
    at = struct.unpack(order + "I", content[4:8])[0]
    count = struct.unpack(order + "H", content[at : at + 2])[0]
    for entry in range(count):
        tag, _, size, value = struct.unpack(order + "HHII", content[at + 2 + 12 * entry : at + 14 + 12 * entry])
        if tag == 0xCD41:
            return content[value : value + size]
    raise Wrong("no block")


# JUMBF and CBOR


@dataclass
class Box:
    label: str
    raw: bytes
    start: int
    parts: list[Box]
    content: bytes = b""
    content_start: int = 0

    def __getitem__(self, label: str) -> Box:
        for part in self.parts:
            if part.label == label:
                return part
        raise Wrong(f"no box {label}")


def superbox(content: bytes, start: int = 0) -> Box:
    size, kind = struct.unpack(">I4s", content[start : start + 8])
    assert kind == b"jumb", kind
    end, at = start + size, start + 8
    size, kind = struct.unpack(">I4s", content[at : at + 8])
    assert kind == b"jumd"
    label = content[at + 25 : at + size].split(b"\0")[0].decode()
    box = Box(label, content[start + 8 : end], start, [])
    at += size
    while at < end:
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        if kind == b"jumb":
            box.parts.append(superbox(content, at))
        elif kind in (b"cbor", b"json"):
            box.content, box.content_start = content[at + 8 : at + size], at + 8
        at += size
    return box


def cbor(content: bytes) -> Any:
    value, end = cbor_at(content, 0)
    assert end == len(content)
    return value


def cbor_at(content, at):
    major, low = divmod(content[at], 32)
    at += 1
    if major == 7:
        if low in (20, 21, 22):
            return {20: False, 21: True, 22: None}[low], at
        size = {25: 2, 26: 4, 27: 8}[low]
        return struct.unpack({2: ">e", 4: ">f", 8: ">d"}[size], content[at : at + size])[0], at + size
    if low < 24:
        value = low
    else:
        size = 2 ** (low - 24)
        value, at = int.from_bytes(content[at : at + size], "big"), at + size
    if major == 0:
        return value, at
    if major == 1:
        return -1 - value, at
    if major in (2, 3):
        text = content[at : at + value]
        return (text if major == 2 else text.decode()), at + value
    if major == 4:
        items = []
        for _ in range(value):
            item, at = cbor_at(content, at)
            items.append(item)
        return items, at
    if major == 5:
        table = {}
        for _ in range(value):
            key, at = cbor_at(content, at)
            table[key], at = cbor_at(content, at)
        return table, at
    assert major == 6
    return cbor_at(content, at)


def cbor_head(major: int, value: int) -> bytes:
    for low, size in ((24, 1), (25, 2), (26, 4)):
        if value < 24:
            return bytes([major * 32 + value])
        if value < 256**size:
            return bytes([major * 32 + low]) + value.to_bytes(size, "big")
    raise ValueError(value)


# The check


@dataclass
class Checked:
    leaf: x509.Certificate
    chain: list[x509.Certificate]
    claim: dict[str, Any]
    assertions: dict[str, Any]
    hashed: list[tuple[int, int]]
    """Parts of the block that a hash or the signature covers: start, end."""
    outside: list[tuple[int, int]]
    """Parts of the file that the hard binding leaves out."""


def check(content: bytes, authority: x509.Certificate) -> Checked:
    """Everything that must hold; `Wrong` says what does not."""
    store_bytes = block(content)
    store = superbox(store_bytes)
    manifest = store.parts[-1]
    claim_box, signature_box = manifest["c2pa.claim.v2"], manifest["c2pa.signature"]
    protected_bytes, open_, payload, signature = cbor(signature_box.content)
    protected = cbor(protected_bytes)
    if payload is not None:
        raise Wrong("the payload is not detached")
    chain = protected.get(33, open_.get(33))
    chain = [x509.load_der_x509_certificate(one) for one in ([chain] if isinstance(chain, bytes) else chain)]
    leaf = chain[0]
    if protected[1] != -7:
        raise Wrong("not ES256")
    signed = cbor_head(4, 4) + cbor_head(3, 10) + b"Signature1" + cbor_head(2, len(protected_bytes)) + protected_bytes
    signed += cbor_head(2, 0) + cbor_head(2, len(claim_box.content)) + claim_box.content
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        leaf.public_key().verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
        leaf.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError) as error:
        raise Wrong(f"signature: {error!r}") from None
    claim = cbor(claim_box.content)
    found, hashed = {}, [(claim_box.content_start, claim_box.content_start + len(claim_box.content))]
    assertions = manifest["c2pa.assertions"]
    for reference in [*claim["created_assertions"], *claim.get("gathered_assertions", [])]:
        label = reference["url"].rsplit("/", 1)[1]
        box = assertions[label]
        if hashlib.sha256(box.raw).digest() != reference["hash"]:
            raise Wrong(f"assertion {label}")
        found[label] = cbor(box.content)
        hashed.append((box.start + 8, box.start + 8 + len(box.raw)))
    return Checked(leaf, chain, claim, found, hashed, binding(content, found))


def binding(content: bytes, found: dict[str, Any]) -> list[tuple[int, int]]:
    """Check the hard binding; the parts of the file that it leaves out."""
    if "c2pa.hash.data" in found:
        told = found["c2pa.hash.data"]
        out = sorted((one["start"], one["start"] + one["length"]) for one in told["exclusions"])
        digest, at = hashlib.sha256(), 0
        for start, end in out:
            digest.update(content[at:start])
            at = end
        digest.update(content[at:])
        if digest.digest() != told["hash"]:
            raise Wrong("content")
        return out
    told = found["c2pa.hash.bmff.v3"]
    excluded = {one["xpath"].lstrip("/") for one in told["exclusions"]}
    digest, out = hashlib.sha256(), []
    for at, kind, box, head in bmff_boxes(content):
        name = kind.decode()
        if name in excluded and not (name == "uuid" and box[head : head + 16] != C2PA_BOX):
            out.append((at, at + len(box)))
            continue
        digest.update(struct.pack(">Q", at) + box)
    if digest.digest() != told["hash"]:
        raise Wrong("content")
    return out


def text(value: bytes) -> str:
    return base64.b64encode(value).decode()
