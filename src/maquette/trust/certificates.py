"""X.509 for a maker of images: a local authority, a leaf that signs, and a list of what was revoked.

The forms are those that C2PA asks for: a leaf with digitalSignature, an authority key identifier and emailProtection.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from maquette.core.errors import TrustError

YEARS = 20
"""How long local certificates hold: without a time stamp a signature ends with its certificate."""
SLACK = timedelta(days=1)
"""How much earlier than now a certificate begins, for machines whose clocks differ."""
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""Before this, no Maquette existed: a clock that says so is wrong."""
LONGEST_NAME = 64
_MOST_BYTES = 1 << 20


def now() -> datetime:
    """The time in UTC; fails where the machine's clock cannot be right."""
    time = datetime.now(UTC)
    if time < EARLIEST:
        raise TrustError(
            f"this machine's clock says {time:%Y-%m-%d}, which is before Maquette existed",
            do="set the clock, or sample with --sign off",
        )
    return time


def check_name(name: str) -> str:
    """The maker's name as it may stand in a certificate."""
    text = " ".join(name.split())
    if not text or len(text) > LONGEST_NAME or not text.isprintable():
        raise TrustError(f"{name[:80]!r} cannot be a maker's name", do=f"take 1 to {LONGEST_NAME} printable letters")
    return text


def new_key() -> Any:
    """A fresh private key (P-256)."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _subject(name: str) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)]
    )


def _begin(name: str, issuer: Any, key: Any, issuer_key: Any, days: float, start: datetime) -> Any:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )


def _usage(*, authority: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def make_authority(name: str, key: Any, *, days: float = 366 * YEARS + 1, start: datetime | None = None) -> Any:
    """A certificate that vouches for leaves and for nobody else's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    begun = _begin(name, _subject(name), key, key, days, start or now() - SLACK)
    begun = begun.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    return begun.add_extension(_usage(authority=True), True).sign(key, hashes.SHA256())


def make_leaf(
    name: str, key: Any, authority: Any, authority_key: Any, *, days: float = 366 * YEARS, start: datetime | None = None
) -> Any:
    """A certificate that signs images."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    begun = _begin(name, authority.subject, key, authority_key, days, start or now() - SLACK)
    begun = begun.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    begun = begun.add_extension(_usage(authority=False), True)
    begun = begun.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), True)
    return begun.sign(authority_key, hashes.SHA256())


def make_revoked(serials: Sequence[int], authority: Any, authority_key: Any) -> bytes:
    """A standard list of revoked certificates (an X.509 CRL in PEM), signed by their authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    time = now()
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.subject).last_update(time)
    builder = builder.next_update(time + timedelta(days=366 * YEARS))
    for serial in sorted(set(serials)):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(time).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read_revoked(content: bytes, authorities: Sequence[Any], where: str) -> tuple[Any, frozenset[int]]:
    """The authority whose list this is, and the serial numbers on it; a list that nobody known signed is refused."""
    from cryptography import x509

    if len(content) > _MOST_BYTES:
        raise TrustError("it is too large for a list of revoked certificates", where=where)
    try:
        found = x509.load_pem_x509_crl(content)
    except ValueError:
        raise TrustError("it is not a list of revoked certificates in PEM form", where=where) from None
    for authority in authorities:
        if authority.subject == found.issuer and found.is_signature_valid(authority.public_key()):
            return authority, frozenset(entry.serial_number for entry in found)
    raise TrustError("no authority that is trusted here signed this list", where=where, do="trust its authority first")


def pem(certificate: Any) -> str:
    """The certificate as text."""
    from cryptography.hazmat.primitives import serialization

    return str(certificate.public_bytes(serialization.Encoding.PEM).decode())


def read_chain(content: bytes, where: str) -> list[Any]:
    """The certificates of a PEM file, the one that signs first."""
    from cryptography import x509

    if len(content) > _MOST_BYTES:
        raise TrustError("it is too large for a file of certificates", where=where)
    try:
        return list(x509.load_pem_x509_certificates(content))
    except ValueError:
        raise TrustError("there is no certificate in it", where=where, do="give a file in PEM form") from None


@functools.lru_cache(maxsize=256)
def from_pem(text: str) -> Any:
    """One certificate from text that this program wrote."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(text.encode())


def name_of(certificate: Any) -> str:
    """The name in a certificate: its common name, else its organisation."""
    from cryptography.x509.oid import NameOID

    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in certificate.subject.get_attributes_for_oid(kind):
            text = " ".join(str(attribute.value).split())
            if text:
                return text[:200]
    return "somebody without a name"


def fingerprint(certificate: Any) -> str:
    """SHA-256 of the certificate, as other tools show it."""
    from cryptography.hazmat.primitives import hashes

    return str(certificate.fingerprint(hashes.SHA256()).hex())


def issued(certificate: Any, by: Any) -> bool:
    """Whether `by` really signed the certificate (its time is not looked at)."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


ALGORITHMS = {256: "es256", 384: "es384", 521: "es512"}


def algorithm(key: Any) -> str:
    """The name under which C2PA knows signatures of this public key."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size in ALGORITHMS and "secp" in key.curve.name:
        return ALGORITHMS[key.curve.key_size]
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        return "ps256"
    raise TrustError("C2PA knows no signature for keys of this kind", do="take P-256, P-384, P-521, Ed25519 or RSA")


def same_key(certificate: Any, key: Any) -> bool:
    """Whether a private key belongs to a certificate."""
    return bool(certificate.public_key() == key.public_key())


def key_bytes(key: Any, passphrase: bytes | None) -> bytes:
    """The private key as a PEM file holds it: PKCS#8, encrypted when there is a passphrase."""
    from cryptography.hazmat.primitives import serialization

    cover = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    content = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cover)
    return bytes(content)


def read_key(content: bytes, passphrase: bytes | None, where: str) -> Any:
    """A private key from a PEM file. What went wrong is said without a byte of the file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    if b"ENCRYPTED" in content and not passphrase:
        raise TrustError("the key is protected by a passphrase", where=where, do="set MAQUETTE_PASSPHRASE")
    try:
        # A passphrase for a key that has none is no error here: it may be meant for another key.
        return serialization.load_pem_private_key(content, passphrase if b"ENCRYPTED" in content else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass
    if b"ENCRYPTED" in content:
        raise TrustError("the passphrase does not open the key", where=where, do="check MAQUETTE_PASSPHRASE")
    raise TrustError("the key file is damaged, or not a private key in PEM form", where=where)
