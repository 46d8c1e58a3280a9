"""The keys of one workspace: a local authority and a leaf that signs, made on first use and readable by the owner only.

    keys/
        maker.json              the maker's chosen name; the address of a time-stamping service, empty when off
        authority.pem           certificate and private key of the local authority
        signing.pem             certificate (with those between it and its authority) and private key that sign
        former/                 certificates that signed before, and former authorities; no keys
        trusted/                authorities of other makers, by the name they were given here
    stamping/               authorities whose time stamps are believed, and nothing else that they vouch for
        revoked/                lists of revoked certificates, by the fingerprint of their authority

A certificate and its key share one file, so that a rotation is one rename: there is never a key without its
certificate. Files are 0600 in a folder that is 0700; where others could read them they are not used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from maquette.core.errors import TrustError, UsageError, nearest
from maquette.store import disk
from maquette.trust import certificates as x
from maquette.trust.vault import ROTATE as _ROTATE
from maquette.trust.vault import Vault, read_outside

_NAME = re.compile(r"[\w][\w .-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """An authority (or, for certificates of one's own, a leaf) whose signatures are believed here."""

    name: str
    pem: str
    own: bool = False
    leaf: bool = False
    stamps: bool = False
    """Of this authority time stamps alone are believed: those who certify services certify many others too."""
    revoked: frozenset[int] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for a worker; serial numbers as text, because they have up to 160 bits."""
        revoked = [str(serial) for serial in sorted(self.revoked)]
        return {
            "name": self.name, "pem": self.pem, "own": self.own, "leaf": self.leaf, "stamps": self.stamps,
            "revoked": revoked,
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Anchor:
        """The inverse of `to_json`."""
        return cls(**{**value, "revoked": frozenset(int(serial) for serial in value["revoked"])})


@dataclass(frozen=True, kw_only=True)
class Signer:
    """What signs: a chain of certificates and the key of the first, which is in no word this object says of itself."""

    name: str
    chain: str
    algorithm: str
    time_stamping: str = ""
    serial: int = 0
    fingerprint: str = ""
    key: bytes = field(repr=False, default=b"", compare=False)

    def __reduce__(self) -> Any:
        raise TypeError("a key is not copied into files or other processes")


class Keys:
    """The keys folder of a workspace. Nothing is made before something is signed."""

    def __init__(self, home: str | os.PathLike[str]) -> None:
        self.folder = Path(home) / "keys"
        self.vault = Vault(self.folder)
        self._authority = self.folder / "authority.pem"
        self._signing = self.folder / "signing.pem"

    # Signing

    def exist(self) -> bool:
        """Whether keys were made or imported."""
        return self._signing.exists()

    def signer(self, maker: str = "") -> Signer:
        """What signs here; made now when there is nothing yet, in the maker's name if one is given."""
        if not self.exist():
            with self.vault.alone():
                if not self.exist():
                    self._make(x.check_name(maker) if maker else "")
        self.vault.check_private(self._signing)
        content = self.vault.read(self._signing)
        chain = x.read_chain(content, os.fspath(self._signing))
        key = x.read_key(_key_part(content, self._signing), passphrase(), os.fspath(self._signing))
        leaf = chain[0]
        if not x.same_key(leaf, key):
            raise TrustError("the key does not belong to its certificate", where=self._signing, do=_ROTATE)
        self._check_time(leaf)
        facts = self.facts()
        return Signer(
            name=facts["name"] or x.name_of(leaf), chain="".join(x.pem(one) for one in chain),
            algorithm=x.algorithm(key.public_key()), time_stamping=facts["time_stamping"], serial=leaf.serial_number,
            fingerprint=x.fingerprint(leaf), key=x.key_bytes(key, None),
        )  # fmt: skip

    def _check_time(self, leaf: Any) -> None:
        time = x.now()
        if time < leaf.not_valid_before_utc:
            raise TrustError(
                f"this machine's clock says {time:%Y-%m-%d}, before the signing key was made "
                f"({leaf.not_valid_before_utc:%Y-%m-%d})",
                do="set the clock, or sample with --sign off",
            )
        if time > leaf.not_valid_after_utc:
            raise TrustError(f"the signing certificate ended {leaf.not_valid_after_utc:%Y-%m-%d}", do=_ROTATE)

    # Reading

    def facts(self) -> dict[str, str]:
        """The maker's name and the address of the time-stamping service, both empty when not chosen."""
        facts = {"name": "", "time_stamping": ""}
        path = self.folder / "maker.json"
        if path.exists():
            try:
                found = disk.read_object(path)
            except (OSError, ValueError) as error:
                raise TrustError(f"it cannot be read ({error})", where=path, do="remove it") from None
            facts |= {key: value for key, value in found.items() if key in facts and isinstance(value, str)}
        return facts

    def anchors(self) -> list[Anchor]:
        """All whose signatures are believed here, one's own first. Needs no key and makes nothing."""
        own = [(self._authority, "your own keys")] if self._authority.exists() else []
        own += [(path, "your former keys") for path in self._files("former", "authority-")]
        found = [self._anchor(path, name, own=True) for path, name in own]
        if self.exist():
            chain = x.read_chain(self.vault.read(self._signing), os.fspath(self._signing))
            if not any(x.issued(chain[0], x.from_pem(anchor.pem)) for anchor in found):
                found.append(Anchor(name="your own certificate", pem=x.pem(chain[0]), own=True, leaf=True))
        found += [self._anchor(path, path.stem) for path in self._files("trusted")]
        return found + [self._anchor(path, path.stem, stamps=True) for path in self._files("stamping")]

    def _anchor(self, path: Path, name: str, **facts: bool) -> Anchor:
        certificate = x.read_chain(self.vault.read(path), os.fspath(path))[0]
        return Anchor(name=name, pem=x.pem(certificate), revoked=self._revoked(certificate), **facts)

    def _revoked(self, authority: Any) -> frozenset[int]:
        path = self._revoked_path(authority)
        if not path.exists():
            return frozenset()
        return x.read_revoked(self.vault.read(path), [authority], os.fspath(path))[1]

    def _revoked_path(self, authority: Any) -> Path:
        return self.folder / "revoked" / f"{x.fingerprint(authority)[:32]}.pem"

    def signing_certificates(self) -> list[Any]:
        """The certificates that sign or signed here, the present one first."""
        found = [x.read_chain(self.vault.read(self._signing), os.fspath(self._signing))[0]] if self.exist() else []
        former = [x.read_chain(self.vault.read(path), os.fspath(path))[0] for path in self._files("former", "leaf-")]
        return found + sorted(former, key=lambda one: one.not_valid_before_utc, reverse=True)

    def _files(self, folder: str, prefix: str = "") -> list[Path]:
        return sorted(path for path in (self.folder / folder).glob(f"{prefix}*.pem") if path.is_file())

    # Changing

    def rename(self, maker: str) -> None:
        """Choose the name that later images carry (the certificate keeps the one it was made with)."""
        self._change(name=x.check_name(maker))

    def time_stamp_with(self, url: str) -> None:
        """Let a time-stamping service countersign later images; an empty address turns it off."""
        if url and not re.fullmatch(r"https?://[\w.-]+(:\d+)?(/[\w./?=&%-]*)?", url):
            raise UsageError(
                f"{url[:80]!r} is not the address of a service", do="give http://... or https://..., or off"
            )
        self._change(time_stamping=url)

    def _change(self, **facts: str) -> None:
        with self.vault.alone():
            disk.write_object(self.folder / "maker.json", {"version": 1, **self.facts(), **facts})

    def rotate(self, maker: str = "", *, authority: bool = False) -> Any:
        """Sign with a fresh key from now on; what was signed before stays valid. The old private key is gone."""
        with self.vault.alone():
            if not self.exist():
                self._make(x.check_name(maker) if maker else "")
                return self.signing_certificates()[0]
            before = self.signing_certificates()[0]
            name = x.check_name(maker) if maker else x.name_of(before)
            if authority or not self._authority.exists():
                if self._authority.exists():
                    old = x.read_chain(self.vault.read(self._authority), os.fspath(self._authority))[0]
                    self.vault.write(self._former("authority", old), x.pem(old).encode())
                self._make_authority(name)
            self.vault.write(self._former("leaf", before), x.pem(before).encode())
            self._make_leaf(name)
            if maker:
                self._save_name(name)
            return self.signing_certificates()[0]

    def revoke(self, serial: int | None = None) -> Any:
        """Say that a certificate is not to be believed any more, the present one when none is named."""
        with self.vault.alone():
            known = self.signing_certificates()
            if not known:
                raise TrustError("there are no keys here yet, so there is nothing to revoke", where=self.folder)
            chosen = known[0] if serial is None else next((c for c in known if c.serial_number == serial), None)
            if chosen is None:
                listed = ", ".join(f"{c.serial_number:x}" for c in known)
                raise UsageError(f"no certificate of yours has the serial number {serial:x}", do=f"there are: {listed}")
            content = self.vault.read(self._authority) if self._authority.exists() else b""
            authority = x.read_chain(content, os.fspath(self._authority))[0] if content else None
            if authority is None or not x.issued(chosen, authority):
                raise TrustError(
                    "your local authority did not issue this certificate, so it cannot revoke it",
                    do="ask the one who issued it",
                )
            self.vault.check_private(self._authority)
            key = x.read_key(_key_part(content, self._authority), passphrase(), os.fspath(self._authority))
            serials = {*self._revoked(authority), chosen.serial_number}
            self.vault.write(self._revoked_path(authority), x.make_revoked(list(serials), authority, key))
        if chosen.serial_number == known[0].serial_number:
            self.rotate()
        return chosen

    def adopt(self, chain_file: Path, key_file: Path) -> Any:
        """Sign with a certificate of one's own, such as one that the public trusts."""
        chain = x.read_chain(read_outside(chain_file), os.fspath(chain_file))
        key = x.read_key(read_outside(key_file), passphrase(), os.fspath(key_file))
        if not x.same_key(chain[0], key):
            raise TrustError("the key does not belong to the first certificate", where=key_file, do=_ORDER)
        for one, by in pairwise(chain):
            if not x.issued(one, by):
                raise TrustError("a certificate is not signed by the one after it", where=chain_file, do=_ORDER)
        x.algorithm(key.public_key())
        self._check_time(chain[0])
        if chain[-1].issuer == chain[-1].subject and len(chain) > 1:
            chain = chain[:-1]  # whoever checks has the authority itself, or does not believe it
        with self.vault.alone():
            if self.exist():
                before = self.signing_certificates()[0]
                self.vault.write(self._former("leaf", before), x.pem(before).encode())
            content = "".join(x.pem(one) for one in chain).encode() + x.key_bytes(key, passphrase())
            self.vault.write(self._signing, content)
        return chain[0]

    def trust(self, file: Path, name: str, *, stamps: bool = False) -> str:
        """Believe another maker's authority (or take in a newer list of what one of them revoked)."""
        content = read_outside(file)
        if b"X509 CRL" in content and b"BEGIN CERTIFICATE" not in content:
            self._take_revoked(content, file)
            return "list"
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be a name here", do="take letters, digits, - and _")
        chain = x.read_chain(content, os.fspath(file))
        with self.vault.alone():
            for number, one in enumerate(chain):
                suffix = "" if len(chain) == 1 else f"-{number + 1}"
                kind = "stamping" if stamps else "trusted"
                self.vault.write(self.folder / kind / f"{name}{suffix}.pem", x.pem(one).encode())
        if b"X509 CRL" in content:
            self._take_revoked(content[content.index(b"-----BEGIN X509 CRL") :], file)
        return "authority"

    def _take_revoked(self, content: bytes, file: Path) -> None:
        authorities = [x.from_pem(anchor.pem) for anchor in self.anchors() if not anchor.leaf]
        authority, _ = x.read_revoked(content, authorities, os.fspath(file))
        with self.vault.alone():
            self.vault.write(self._revoked_path(authority), content)

    def forget(self, name: str) -> None:
        """Believe another maker's authority no longer."""
        paths = [*self._files("trusted"), *self._files("stamping")]
        names = [path.stem for path in paths]
        if name not in names:
            raise UsageError(f"nobody is trusted here under the name {name!r}", do=nearest(name, names))
        with self.vault.alone():
            for path in paths:
                if path.stem == name:
                    path.unlink()

    def export(self) -> bytes:
        """What others need to check images of this maker: the authority's certificate and the revoked. No key."""
        if not self.exist():
            raise TrustError("there are no keys here yet", where=self.folder, do="sample something first")
        anchors = [anchor for anchor in self.anchors() if anchor.own]
        content = "".join(anchor.pem for anchor in anchors).encode()
        paths = [self._revoked_path(x.from_pem(anchor.pem)) for anchor in anchors]
        return content + b"".join(self.vault.read(path) for path in paths if path.exists())

    def protect(self, new: str) -> None:
        """Cover the private keys with another passphrase, or with none when it is empty."""
        with self.vault.alone():
            for path in (self._authority, self._signing):
                if path.exists():
                    self.vault.check_private(path)
                    content = self.vault.read(path)
                    part = _key_part(content, path)
                    key = x.read_key(part, passphrase(), os.fspath(path))
                    self.vault.write(path, content.replace(part, x.key_bytes(key, new.encode() or None)))

    # Making

    def _make(self, maker: str) -> None:
        if not self._authority.exists():  # an authority whose leaf was lost goes on: what it vouched for stays believed
            self._make_authority(maker)
        self._make_leaf(maker)
        if maker:
            self._save_name(maker)

    def _save_name(self, maker: str) -> None:
        disk.write_object(self.folder / "maker.json", {"version": 1, **self.facts(), "name": maker})

    def _make_authority(self, maker: str) -> None:
        key = x.new_key()
        name = f"{maker or _unnamed(key)}, local authority"[: x.LONGEST_NAME]
        certificate = x.make_authority(name, key)
        self.vault.write(self._authority, x.pem(certificate).encode() + x.key_bytes(key, passphrase()))

    def _make_leaf(self, maker: str) -> None:
        self.vault.check_private(self._authority)
        content = self.vault.read(self._authority)
        authority = x.read_chain(content, os.fspath(self._authority))[0]
        authority_key = x.read_key(_key_part(content, self._authority), passphrase(), os.fspath(self._authority))
        key = x.new_key()
        leaf = x.make_leaf(maker or _unnamed(authority_key), key, authority, authority_key)
        self.vault.write(self._signing, x.pem(leaf).encode() + x.key_bytes(key, passphrase()))

    def _former(self, what: str, certificate: Any) -> Path:
        return self.folder / "former" / f"{what}-{x.fingerprint(certificate)[:32]}.pem"


_ORDER = "give the leaf first, then those that signed it, and the leaf's key"


def passphrase() -> bytes | None:
    """The passphrase of the keys, from the environment; None when there is none."""
    return os.environ.get("MAQUETTE_PASSPHRASE", "").encode() or None


def _unnamed(key: Any) -> str:
    """A name that says nothing about the person: a word and the beginning of the key's digest."""
    from cryptography import x509

    return f"Maquette maker {x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()[:8]}"


def _key_part(content: bytes, path: Path) -> bytes:
    found = re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----\n?", content, re.DOTALL)
    if found is None:
        raise TrustError("the private key is missing from it", where=path, do=_ROTATE)
    return found[0]
