"""Keys: made once, readable by their owner alone, never seen anywhere else, renewed and revoked."""

import copy
import datetime
import os
import stat
import subprocess
import sys
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from maquette.core.errors import MaquetteError, TrustError, UsageError
from maquette.trust import certificates
from maquette.trust.keys import Anchor, Keys

unix = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@unix
def test_keys_are_made_on_first_use_for_the_owner_alone(tmp_path):
    before = os.umask(0)
    try:
        keys = Keys(tmp_path / "home")
        assert not keys.exist() and not keys.folder.exists() and keys.anchors() == []
        first = keys.signer("Anna  Lee")
    finally:
        os.umask(before)
    assert mode(keys.folder) == 0o700
    secret = [path for path in keys.folder.iterdir() if b"PRIVATE" in path.read_bytes()]
    assert sorted(path.name for path in secret) == ["authority.pem", "signing.pem"]
    assert {mode(path) for path in secret} == {0o600}
    assert first.name == "Anna Lee" and keys.signer().fingerprint == first.fingerprint
    assert Keys(tmp_path / "home").signer().name == "Anna Lee"


def test_no_name_is_taken_from_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("USER", "somebody")
    signer = Keys(tmp_path).signer()
    assert signer.name.startswith("Maquette maker ") and len(signer.name) == len("Maquette maker ") + 8
    leaf = x509.load_pem_x509_certificate(signer.chain.encode())
    assert "somebody" not in leaf.subject.rfc4514_string()


def test_certificates_have_the_form_that_c2pa_asks_for(tmp_path):
    keys = Keys(tmp_path)
    leaf = x509.load_pem_x509_certificate(keys.signer().chain.encode())
    (anchor,) = keys.anchors()
    authority = x509.load_pem_x509_certificate(anchor.pem.encode())
    leaf.verify_directly_issued_by(authority)
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature and not usage.value.key_cert_sign
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [one.dotted_string for one in purposes] == ["1.3.6.1.5.5.7.3.4"]
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc > datetime.timedelta(days=7000)
    assert isinstance(leaf.public_key().curve, ec.SECP256R1)


def test_a_key_is_in_no_word_and_no_copy(tmp_path):
    signer = Keys(tmp_path).signer()
    lines = [line for line in signer.key.decode().splitlines() if "---" not in line]
    for text in (repr(signer), str(signer), repr(vars(Keys(tmp_path)))):
        assert not any(line in text for line in lines) and "PRIVATE" not in text
    for attempt in (copy.deepcopy, copy.copy):
        with pytest.raises(TypeError):
            attempt(signer)


@unix
@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o666, 0o644, 0o601])
def test_a_key_that_others_can_read_is_not_used(tmp_path, bits):
    keys = Keys(tmp_path)
    keys.signer()
    (keys.folder / "signing.pem").chmod(bits)
    with pytest.raises(TrustError, match="others can read this key"):
        keys.signer()
    (keys.folder / "signing.pem").chmod(0o600)
    keys.folder.chmod(0o755)
    with pytest.raises(TrustError, match="others can look into the folder"):
        keys.signer()


@unix
@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the administrator may write anywhere")
def test_a_home_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(TrustError, match="cannot be made"):
        Keys(tmp_path).signer()


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "keys").write_text("")
    with pytest.raises(TrustError, match="the folder for keys cannot be made"):
        Keys(tmp_path).signer()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no certificate"),
        (b"\0" * 100, "no certificate"),
        (b"x" * (2 << 20), "too large"),
        (None, "key is missing"),
    ],
)
def test_a_damaged_key_file_is_said_and_not_replaced(tmp_path, content, words):
    keys = Keys(tmp_path)
    keys.signer()
    path = keys.folder / "signing.pem"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"-----BEGIN PRIVATE")] if content is None else content)
    before = path.read_bytes()
    with pytest.raises(TrustError, match=words) as caught:
        keys.signer()
    assert "maquette keys rotate" in str(caught.value) or words != "key is missing"
    assert path.read_bytes() == before


def test_errors_about_keys_hold_no_byte_of_them(tmp_path, monkeypatch):
    keys = Keys(tmp_path)
    keys.signer()
    path = keys.folder / "signing.pem"
    whole = path.read_text()
    secret = whole[whole.index("KEY-----") + 9 : whole.index("-----END PRIVATE")]
    lines = secret.split()
    for damaged in (whole.replace(lines[1], lines[1][::-1]), whole.replace(lines[0], "")):
        path.write_text(damaged)
        with pytest.raises(TrustError) as caught:
            keys.signer()
        error = caught.value
        while error is not None:
            assert not any(line[:20] in f"{error} {error!r} {error.args}" for line in lines)
            error = error.__cause__ or error.__context__


def test_a_key_of_another_certificate_is_refused(tmp_path):
    one, two = Keys(tmp_path / "1"), Keys(tmp_path / "2")
    one.signer(), two.signer()
    first, second = (k.folder / "signing.pem" for k in (one, two))
    certificate, key = first.read_text(), second.read_text()
    first.write_text(certificate[: certificate.index("-----BEGIN PRIVATE")] + key[key.index("-----BEGIN PRIVATE") :])
    with pytest.raises(TrustError, match="does not belong to its certificate"):
        one.signer()


def test_a_passphrase_covers_the_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("MAQUETTE_PASSPHRASE", "correct horse")
    keys = Keys(tmp_path)
    first = keys.signer()
    assert b"ENCRYPTED PRIVATE" in (keys.folder / "signing.pem").read_bytes()
    monkeypatch.setenv("MAQUETTE_PASSPHRASE", "wrong")
    with pytest.raises(TrustError, match="does not open the key"):
        keys.signer()
    monkeypatch.delenv("MAQUETTE_PASSPHRASE")
    with pytest.raises(TrustError, match="set MAQUETTE_PASSPHRASE"):
        keys.signer()
    assert keys.anchors()  # checking needs no passphrase
    monkeypatch.setenv("MAQUETTE_PASSPHRASE", "correct horse")
    keys.protect("")
    monkeypatch.delenv("MAQUETTE_PASSPHRASE")
    assert keys.signer().fingerprint == first.fingerprint


def test_a_clock_in_the_past_is_noticed(tmp_path, monkeypatch):
    keys = Keys(tmp_path)
    keys.signer()

    class Clock(datetime.datetime):
        year_now = 2027

        @classmethod
        def now(cls, zone=None):
            return datetime.datetime(cls.year_now, 1, 1, tzinfo=zone)

    monkeypatch.setattr(certificates, "datetime", Clock)
    Clock.year_now = 1970
    with pytest.raises(TrustError, match="before Maquette existed"):
        keys.signer()
    with pytest.raises(TrustError, match="before Maquette existed"):
        Keys(tmp_path / "new").signer()
    Clock.year_now = 2080
    with pytest.raises(TrustError, match="certificate ended"):
        keys.signer()
    monkeypatch.setattr(certificates, "EARLIEST", certificates.EARLIEST.replace(year=1990))
    Clock.year_now = 1991
    with pytest.raises(TrustError, match="before the signing key was made"):
        keys.signer()


def test_keys_are_made_once_however_many_ask(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(Keys(tmp_path).signer().fingerprint)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(found)) == 1


def test_keys_are_made_once_by_several_processes(tmp_path):
    code = f"from maquette.trust.keys import Keys; print(Keys({str(tmp_path)!r}).signer().fingerprint)"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert len({process.communicate()[0] for process in processes}) == 1


# Renewing and revoking


def test_a_rotation_keeps_the_authority_and_drops_the_old_key(tmp_path):
    keys = Keys(tmp_path)
    before, authority = keys.signer("Anna"), keys.anchors()
    old = (keys.folder / "signing.pem").read_bytes()
    key = old[old.index(b"-----BEGIN PRIVATE") :].split()[3]
    keys.rotate()
    after = keys.signer()
    assert after.fingerprint != before.fingerprint and after.name == "Anna" and keys.anchors() == authority
    assert [one.serial_number for one in keys.signing_certificates()] == [after.serial, before.serial]
    assert not any(key in path.read_bytes() for path in keys.folder.rglob("*") if path.is_file())


def test_a_new_authority_leaves_the_former_one_believed(tmp_path):
    keys = Keys(tmp_path)
    keys.signer()
    (former,) = keys.anchors()
    keys.rotate("Ben", authority=True)
    assert keys.signer().name == "Ben"
    assert [anchor.name for anchor in keys.anchors()] == ["your own keys", "your former keys"]
    assert former.pem in [anchor.pem for anchor in keys.anchors()]


def test_a_lost_leaf_is_made_again_under_the_same_authority(tmp_path):
    keys = Keys(tmp_path)
    before = keys.signer("Anna")
    (authority,) = keys.anchors()
    (keys.folder / "signing.pem").unlink()
    assert keys.anchors() == [authority]
    after = keys.signer()
    assert after.fingerprint != before.fingerprint and keys.anchors() == [authority]


def test_what_is_revoked_is_on_a_standard_list_that_the_authority_signed(tmp_path):
    keys = Keys(tmp_path)
    first = keys.signer()
    keys.rotate()
    second = keys.signer()
    keys.revoke(first.serial)
    assert keys.signer().fingerprint == second.fingerprint
    keys.revoke()
    assert keys.signer().serial not in (first.serial, second.serial)
    (anchor,) = keys.anchors()
    assert anchor.revoked == {first.serial, second.serial}
    exported = keys.export()
    found = x509.load_pem_x509_crl(exported[exported.index(b"-----BEGIN X509") :])
    assert {entry.serial_number for entry in found} == anchor.revoked
    assert found.is_signature_valid(x509.load_pem_x509_certificate(anchor.pem.encode()).public_key())
    with pytest.raises(UsageError, match="no certificate of yours"):
        keys.revoke(12345)


def test_a_forged_list_of_revoked_is_refused(tmp_path):
    keys, other = Keys(tmp_path / "1"), Keys(tmp_path / "2")
    for one in (keys, other):
        one.signer("Same Name")
        one.revoke()
    (mine,) = keys.folder.glob("revoked/*.pem")
    (theirs,) = other.folder.glob("revoked/*.pem")
    with pytest.raises(TrustError, match="no authority that is trusted here"):
        keys.trust(theirs, "x")
    mine.write_bytes(theirs.read_bytes())
    with pytest.raises(TrustError, match="no authority that is trusted here"):
        keys.anchors()


def test_another_maker_is_trusted_updated_and_forgotten(tmp_path):
    keys, other = Keys(tmp_path / "1"), Keys(tmp_path / "2")
    other.signer()
    (tmp_path / "other.pem").write_bytes(other.export())
    assert b"PRIVATE" not in other.export()
    keys.trust(tmp_path / "other.pem", "bob")
    (anchor,) = keys.anchors()
    assert (anchor.name, anchor.own, anchor.revoked) == ("bob", False, frozenset())
    serial = other.signer().serial
    other.revoke()
    (tmp_path / "newer.pem").write_bytes(other.export())
    keys.trust(tmp_path / "newer.pem", "bob")
    assert keys.anchors()[0].revoked == {serial}
    assert Anchor.from_json(keys.anchors()[0].to_json()) == keys.anchors()[0]
    with pytest.raises(UsageError, match="bob"):
        keys.forget("bop")
    keys.forget("bob")
    assert keys.anchors() == []


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "x" * 65, "a\0b"])
def test_names_cannot_lead_out_of_the_folder(tmp_path, name):
    other = Keys(tmp_path / "2")
    other.signer()
    (tmp_path / "other.pem").write_bytes(other.export())
    with pytest.raises(UsageError, match="cannot be a name"):
        Keys(tmp_path / "1").trust(tmp_path / "other.pem", name)
    with pytest.raises(UsageError, match="nobody is trusted"):
        Keys(tmp_path / "1").forget(name)


# Certificates of one's own


def own_chain(folder, key, **changes):
    """Files as a certificate authority hands them out: leaf, one in between, and the key."""
    root, between = certificates.new_key(), certificates.new_key()
    authority = certificates.make_authority("Root", root)
    middle = certificates.make_leaf("Middle", between, authority, root)
    leaf = certificates.make_leaf("Studio Ltd", key, authority, root, **changes)
    (folder / "chain.pem").write_text(certificates.pem(leaf) + certificates.pem(authority))
    (folder / "key.pem").write_bytes(certificates.key_bytes(key, None))
    return leaf, authority, middle


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), "es256"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "es384"),
        (ed25519.Ed25519PrivateKey.generate, "ed25519"),
        (lambda: rsa.generate_private_key(65537, 2048), "ps256"),
    ],
)
def test_a_certificate_of_ones_own_signs(tmp_path, kind, algorithm):
    leaf, _, _ = own_chain(tmp_path, kind())
    keys = Keys(tmp_path / "home")
    keys.signer()
    keys.adopt(tmp_path / "chain.pem", tmp_path / "key.pem")
    signer = keys.signer()
    assert (signer.name, signer.algorithm, signer.serial) == ("Studio Ltd", algorithm, leaf.serial_number)
    assert [anchor.name for anchor in keys.anchors()] == ["your own keys", "your own certificate"]
    with pytest.raises(TrustError, match="ask the one who issued it"):
        keys.revoke()


def test_own_certificates_that_cannot_work_are_refused(tmp_path):
    keys = Keys(tmp_path / "home")
    _, _, middle = own_chain(tmp_path, certificates.new_key())
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    good_chain, good_key = chain.read_text(), key.read_bytes()
    odd_chain = good_chain[: good_chain.rindex("-----BEGIN C")] + certificates.pem(middle)
    for bad_chain, bad_key, words in (
        (good_chain, certificates.key_bytes(certificates.new_key(), None), "does not belong"),
        (good_chain.split("-----END")[0], good_key, "no certificate"),
        (odd_chain, good_key, "not signed by"),
        (good_chain, b"", "not a private key"),
    ):  # fmt: skip
        chain.write_text(bad_chain)
        key.write_bytes(bad_key)
        with pytest.raises(MaquetteError, match=words):
            keys.adopt(chain, key)
    start = certificates.now() - datetime.timedelta(days=100)
    own_chain(tmp_path, certificates.new_key(), start=start, days=50)
    with pytest.raises(TrustError, match="certificate ended"):
        keys.adopt(chain, key)
    assert not keys.exist()


@pytest.mark.parametrize("url", ["ftp://x", "file:///etc/passwd", "http://", "http://a b", "javascript:x"])
def test_addresses_of_services_are_addresses(tmp_path, url):
    with pytest.raises(UsageError, match="not the address"):
        Keys(tmp_path).time_stamp_with(url)


@pytest.mark.parametrize("name", ["", " ", "a\x00b", "x" * 65, "a\u202eb"])
def test_names_of_makers_can_be_printed(tmp_path, name):
    with pytest.raises(TrustError, match="cannot be a maker's name"):
        Keys(tmp_path).rename(name)


def test_keys_are_pem_that_other_tools_read(tmp_path):
    keys = Keys(tmp_path)
    content = (keys.signer(), (keys.folder / "signing.pem").read_bytes())[1]
    key = serialization.load_pem_private_key(content[content.index(b"-----BEGIN PRIVATE") :], None)
    assert key.curve.name == "secp256r1"
