"""The certificates inside a signed block: C2PA keeps them as COSE (CBOR) in JUMBF boxes.

The library says whether a signature is right and whether it believes the signer, but not who vouched for whom once a
certificate has ended or is not known here. That needs the certificates themselves. Every step is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maquette.core.errors import TrustError
from maquette.trust import certificates as x
from maquette.trust.boxes import boxes, cbor
from maquette.trust.keys import Anchor

_MOST_CERTIFICATES = 10


def certificates(store: bytes, label: str) -> list[Any]:
    """The chain of the manifest of that label, the certificate that signed first; empty when it cannot be read."""
    from cryptography import x509

    try:
        signature = next((body for path, body in boxes(store) if _is_signature(path, label)), None)
        if signature is None:
            return []
        sealed = cbor(signature)
        protected, open_ = sealed[0], sealed[1]
        head = cbor(protected) if protected else {}
        chain = head.get(33, open_.get(33, open_.get("x5chain", [])))
        chain = [chain] if isinstance(chain, bytes) else chain
        return [x509.load_der_x509_certificate(one) for one in chain[:_MOST_CERTIFICATES]]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return []


def _is_signature(path: Sequence[str], label: str) -> bool:
    return list(path) == ["c2pa", label, "c2pa.signature"]


def believed(chain: Sequence[Any], anchors: Sequence[Anchor]) -> Anchor | None:
    """The authority known here that stands behind a chain of certificates, whether or not their time is over."""
    if not chain:
        return None
    anchors = [anchor for anchor in anchors if not anchor.stamps]
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
