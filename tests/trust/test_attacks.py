"""A hundredth of what benchmarks/trust.py tries."""

import re
from pathlib import Path

import attacks

import maquette
from maquette.trust.keys import Keys


def failed(trials):
    found = list(trials)
    return len(found), [trial for trial in found if trial.wrong]


def test_a_second_reader_agrees(maker):
    assert failed(attacks.read_elsewhere(maker, 10)) == (50, [])


def test_no_change_of_one_byte_goes_unnoticed(maker):
    assert failed(attacks.one_byte(maker, 100, seed=1)) == (100, [])


def test_bits_that_mean_nothing_to_the_library_are_covered_too(maker):
    """Found by the benchmark: a bit of the description of an assertion's box, which the library does not look at."""
    trust, root = attacks.Trust.of(Keys(maker).anchors()), attacks.authority(maker)
    content = attacks.signed(attacks.Press(maker, format="avif"), 0)
    checked, block = attacks.independent.check(content, root), attacks.independent.block(content)
    start = content.find(block[:200])
    for begin, _ in checked.hashed[1:]:
        changed = bytearray(content)
        assert changed[start + begin + 4 : start + begin + 8] == b"jumd"
        changed[start + begin + 24] ^= 32
        assert attacks.seen(bytes(changed), trust)["status"] == "changed"


def test_what_no_signature_covers_may_not_be_damaged_either(maker):
    """The check sum of the chunk that holds the signature: what it covers is whole, but nobody can open the file."""
    trust = attacks.Trust.of(Keys(maker).anchors())
    content = attacks.signed(attacks.Press(maker, format="png"), 0)
    assert attacks.seen(content, trust)["status"] == "intact"
    at = 8
    for kind, body in attacks.png_chunks(content):
        at += 12 + len(body)
        if kind == b"caBX":
            break
    changed = bytearray(content)
    changed[at - 2] ^= 1
    report = attacks.seen(bytes(changed), trust)
    assert (report["status"], report["made_by"], report["trusted_by"]) == ("changed", None, None)
    assert "damaged beside it" in report["words"]


def test_everything_that_is_done_to_a_signature_has_its_own_status(tmp_path):
    assert failed(attacks.statuses(tmp_path, 3)) == (5 * 4 * 3 + 2 * 3, [])


def test_a_signature_is_taken_out_of_a_tiff_also_where_a_key_holds_the_bytes_of_its_tag(maker):
    """By chance one workspace in four hundred has them in a certificate: what tries took those for the tag."""
    trust = attacks.Trust.of(Keys(maker).anchors())
    content = attacks.signed(attacks.Press(maker, format="tiff"), 0)
    tag, _ = attacks.NAMES[b"II*\0"]
    for decoy in (b"", tag):
        assert attacks.seen(attacks.stripped(content + decoy), trust)["status"] == "unsigned"


def test_no_foreign_pixels_are_signed_as_generated(tmp_path):
    assert failed(attacks.foreign(tmp_path, 40, seed=2)) == (40, [])


def test_the_search_for_foreign_pixels_would_find_them(tmp_path, monkeypatch):
    monkeypatch.setattr(attacks.signing, "check_generated", lambda thing: thing)  # as if the guard were not there
    assert failed(attacks.foreign(tmp_path, 40, seed=2))[1]


def test_hostile_blocks_have_one_answer_each(tmp_path):
    Keys(tmp_path / "home").signer()
    assert failed(attacks.hostile(tmp_path, 40, seed=3)) == (41, [])


def test_the_search_for_keys_would_find_one(tmp_path):
    Keys(tmp_path / "home").signer()
    content = (tmp_path / "home" / "keys" / "signing.pem").read_text()
    (tmp_path / "log.txt").write_text(f"error: {content[content.index('-----BEGIN PRIVATE') :]}")
    assert attacks.key_bytes_found(tmp_path / "home", [tmp_path / "log.txt"])
    assert not attacks.key_bytes_found(tmp_path / "home", [tmp_path / "home"])


def test_every_part_that_can_sign_is_among_those_that_are_tried():
    """Whoever adds one adds to `attacks.foreign` what foreign pixels could do there."""
    root = Path(maquette.__file__).parent
    words = re.compile(r"\bPress\b|\btrust import signing\b|\btrust\.signing import .*\b(generated|edited|sheet)\b")
    signs = {str(path.relative_to(root)) for path in root.rglob("*.py") if words.search(path.read_text("utf-8"))}
    tried = {"operations/_films.py", "operations/refine.py", "operations/_refining.py", "operations/replay.py"}
    tried |= {
        "operations/complete.py",
        "operations/decode.py",
        "operations/_edits.py",
    }  # by engine/latent/edited.py beneath
    tried |= {"operations/_uses.py"}
    tried |= {"operations/_making.py", "faces/http/printing.py"}  # by `Press.fresh`, which signs for both
    tried |= {"operations/_output.py"}  # puts away what `_making` signed, and signs nothing
    beneath = {
        "engine/files/signed.py",
        "engine/files/refined.py",
        "engine/latent/edited.py",
        "trust/press.py",
        "trust/signing.py",
    }
    assert signs - beneath == tried
    stamps = {str(path.relative_to(root)) for path in root.rglob("*.py") if "take_stamp" in path.read_text("utf-8")}
    assert stamps == {"trust/origin.py", "engine/sample.py"}
