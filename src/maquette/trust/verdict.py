"""From what was read of a file to one word and one sentence: intact, changed, unsigned, unknown-signer and so on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["intact", "changed", "unsigned", "unknown-signer", "expired", "revoked", "unreadable"]
Layer = Literal["present", "absent", "broken"]
_CREDENTIAL = ("signingCredential.", "timeStamp.", "timestamp.")
_ENDED = ("signingCredential.expired", "claimSignature.outsideValidity")
_NOT_OURS = ("assertion.dataHash.mismatch", "assertion.bmffHash.mismatch", "assertion.boxesHash.mismatch")
"""Of a file that went in: that it had been changed before is its matter, and the manifest says so."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was read of a file, before it is judged."""

    readable: bool
    """Whether its pixels (or, of a film, its container) could be read."""
    reason: str = ""
    """Why not."""
    damaged: bool = False
    """Whether that is because the file is damaged, and not because it asks for too much."""
    signed: bool = False
    codes: Sequence[str] = ()
    trouble: str = ""
    """Why there is a signed block that cannot be read."""
    signer: str = ""
    """The name in the certificate that signed."""
    anchor: str = ""
    """The authority known here that vouches for it; empty when there is none."""
    own: bool = False
    revoked: bool = False
    maker: str = ""
    """The name that the signed manifest gives."""
    what: str = ""
    """How the signed manifest says that it came to be, in words."""
    metadata: Layer = "absent"
    watermark: Layer = "absent"
    chance: float = 1.0
    """How often an image without the watermark would look as marked."""
    beside: str = ""
    """Of a file that cannot be signed itself: what a signed file beside it says of it, in words."""
    differs: str = ""
    """In what it differs from that file, in words."""


def breaks(code: str) -> bool:
    """Whether a failure means that something differs from what was signed (and not only who signed, or when)."""
    own = code.removeprefix("ingredient:")
    if own != code and own in _NOT_OURS:
        return False
    return not own.startswith(_CREDENTIAL) and own not in _ENDED


def judge(seen: Seen) -> dict[str, Any]:
    """Status, layers, who made it, and a sentence. Nothing but a whole signature of somebody known is intact."""
    signature: Layer = "absent"
    if seen.signed:
        signature = "broken" if seen.trouble or any(breaks(code) for code in seen.codes) else "present"
    status, words = _status(seen, signature)
    made_by = (seen.maker or seen.signer or None) if signature == "present" and status != "changed" else None
    layers = {"signature": signature, "metadata": seen.metadata, "watermark": seen.watermark}
    return {
        "status": status,
        "layers": layers,
        "made_by": made_by,
        "trusted_by": _trusted(seen, status),
        "words": words,
    }


def _trusted(seen: Seen, status: Status) -> str | None:
    return (seen.anchor or None) if status == "intact" else None


def _status(seen: Seen, signature: Layer) -> tuple[Status, str]:
    who = seen.maker or seen.signer or "somebody"
    if "claim version" in seen.trouble or "unsupported version" in seen.trouble:
        return "unreadable", "it was signed in a newer form than this Maquette knows: update Maquette"
    if not seen.readable and (signature == "absent" or seen.trouble):
        return "unreadable", seen.reason or "it cannot be read"
    if seen.differs:
        return "changed", seen.differs
    if signature == "absent":
        return "unsigned", seen.beside or _unsigned(seen)
    if signature == "broken":
        return "changed", _changed(seen)
    if seen.damaged:
        return "changed", f"what its signature covers is whole, but the file was damaged beside it ({seen.reason})"
    if seen.revoked:
        return "revoked", f"unchanged since {who} signed it, but that certificate was revoked: do not rely on it"
    if any(code in _ENDED for code in seen.codes):
        known = "" if seen.anchor else ", and nobody known here vouches for it"
        return "expired", f"unchanged since {who} signed it, but that certificate has ended{known}"
    if not seen.anchor:
        anew = "; its watermark is that of another image, so it was signed anew" if seen.watermark == "broken" else ""
        return "unknown-signer", f"unchanged since it was signed by {who}, for whom nobody known here vouches{anew}"
    what = f"{seen.what}; " if seen.what else ""
    if seen.own:
        return "intact", f"{what}unchanged since {who} signed it here (your own key: proof to you, not to the public)"
    return "intact", f"{what}unchanged since {who} signed it, for whom {seen.anchor} vouches"


def _unsigned(seen: Seen) -> str:
    if seen.watermark == "present":
        chance = f"one image in {1 / max(seen.chance, 1e-12):,.0f}" + (" or fewer" if seen.chance < 1e-12 else "")
        return (
            "there is no signature, but the pixels carry Maquette's watermark: it was taken away, or none was made"
            f" (by chance {chance} would carry it)"
        )
    if seen.metadata == "present":
        return "there is no signature; its metadata say that a model made it, which anybody can write"
    return "there is no signature, so nothing is known of where it came from"


def _changed(seen: Seen) -> str:
    if seen.trouble:
        return f"its signature is damaged ({seen.trouble[:120]}): do not rely on anything it says"
    if seen.watermark == "broken":
        return "its signature belongs to another image (the watermark is that of a different one)"
    if any("dataHash" in code or "bmffHash" in code or "boxesHash" in code for code in seen.codes):
        return "it was changed after it was signed, or the signature was taken from another file"
    return "what its signature covers was changed: do not rely on anything it says"
