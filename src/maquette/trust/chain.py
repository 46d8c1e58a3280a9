"""The certificates inside a signed block: C2PA keeps them as COSE (CBOR) in JUMBF boxes.

The library says whether a signature is right and whether it believes the signer, but not who vouched for whom once a
certificate has ended or is not known here. That needs the certificates themselves. Every step is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from maquette.core.errors import TrustError
from maquette.trust import certificates as x
from maquette.trust.keys import Anchor

_DEPTH = 12
_MOST_BOXES = 10_000
_MOST_CERTIFICATES = 10


def certificates(store: bytes, label: str) -> list[Any]:
    """The chain of the manifest of that label, the certificate that signed first; empty when it cannot be read."""
    from cryptography import x509

    try:
        signature = next((body for path, body in _boxes(store) if _is_signature(path, label)), None)
        if signature is None:
            return []
        sealed, _ = _read(signature, 0)
        protected, open_ = sealed[0], sealed[1]
        head, _ = _read(protected, 0) if protected else ({}, 0)
        chain = head.get(33, open_.get(33, open_.get("x5chain", [])))
        chain = [chain] if isinstance(chain, bytes) else chain
        return [x509.load_der_x509_certificate(one) for one in chain[:_MOST_CERTIFICATES]]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return []


def _is_signature(path: Sequence[str], label: str) -> bool:
    return list(path) == ["c2pa", label, "c2pa.signature"]


def _boxes(content: bytes) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """The content boxes of a JUMBF superbox, each with the labels that lead to it."""
    waiting: list[tuple[int, int, tuple[str, ...]]] = [(0, len(content), ())]
    seen = 0
    while waiting:
        at, end, path = waiting.pop()
        name = None
        while end - at >= 8:
            seen += 1
            if seen > _MOST_BOXES:
                raise ValueError("too many boxes")
            size, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
            size = size or end - at
            if size < 8 or at + size > end:
                raise ValueError("a box ends outside the one that holds it")
            if kind == b"jumd":
                name = content[at + 25 : at + size].split(b"\0")[0].decode("utf-8", "replace")
            elif kind == b"jumb" and len(path) < _DEPTH:
                waiting.append((at + 8, at + size, path if name is None else (*path, name)))
            elif name is not None:
                yield (*path, name), content[at + 8 : at + size]
            at += size


def _read(content: bytes, at: int, depth: int = 0) -> tuple[Any, int]:
    """One value of CBOR and where the next begins."""
    if depth > _DEPTH or at >= len(content):
        raise ValueError("CBOR that is too deep, or cut off")
    major, low = content[at] >> 5, content[at] & 31
    at += 1
    if low < 24:
        value = low
    elif low < 28:
        width = 1 << (low - 24)
        value, at = int.from_bytes(content[at : at + width]), at + width
    else:
        raise ValueError("CBOR of a length that is not known")
    if major in (2, 3):
        if at + value > len(content):
            raise ValueError("CBOR that is cut off")
        text = content[at : at + value]
        return (text if major == 2 else text.decode()), at + value
    if major == 4:
        items = []
        for _ in range(value):
            item, at = _read(content, at, depth + 1)
            items.append(item)
        return items, at
    if major == 5:
        table: dict[Any, Any] = {}
        for _ in range(value):
            key, at = _read(content, at, depth + 1)
            table[key], at = _read(content, at, depth + 1)
        return table, at
    if major == 6:
        return _read(content, at, depth + 1)
    return (value if major == 0 else -1 - value if major == 1 else None), at


def believed(chain: Sequence[Any], anchors: Sequence[Anchor]) -> Anchor | None:
    """The authority known here that stands behind a chain of certificates, whether or not their time is over."""
    if not chain:
        return None
    for one, by in zip(chain, [*chain[1:], None], strict=True):
        for anchor in anchors:
            try:
                certificate = x.from_pem(anchor.pem)
            except (ValueError, TrustError):
                continue
            if certificate == one and (anchor.leaf or one is not chain[0]):
                return anchor
            if not anchor.leaf and x.issued(one, certificate):
                return anchor
        if by is None or not x.issued(one, by):
            return None
    return None
