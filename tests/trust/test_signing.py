"""Signed files are what they say: by a second reader, by one-byte changes, and by who may sign what."""

import contextlib
import copy
import io
from types import SimpleNamespace

import independent
import numpy as np
import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import UnidentifiedImageError
from vouching import FORMATS, MODEL, SOFTWARE, picture, vouched

from maquette.core.errors import MaquetteError, TrustError
from maquette.core.image import encode, load
from maquette.core.noise import Mix
from maquette.engine import sample as sampling
from maquette.trust import examine as examining
from maquette.trust import metadata, origin, signing
from maquette.trust.examine import examine
from maquette.trust.inspect import Trust, inspect
from maquette.trust.keys import Keys
from maquette.trust.manifest import LABEL, Manifest
from maquette.trust.press import Press, source_bytes

GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


def authority(home):
    return x509.load_pem_x509_certificate(next(a.pem for a in Keys(home).anchors() if a.own).encode())


@pytest.fixture(scope="module")
def trust(maker):
    return Trust.of(Keys(maker).anchors())


def seen(content, trust):
    return inspect(io.BytesIO(content), trust)


@pytest.mark.parametrize("format", FORMATS)
def test_a_second_reader_finds_the_same_claim(write, maker, format):
    path = write(format=format, seed=3, conditions={"label": "cat"})
    checked = independent.check(path.read_bytes(), authority(maker))
    (action,) = checked.assertions["c2pa.actions.v2"]["actions"]
    assert action["action"] == "c2pa.created" and action["digitalSourceType"] == GENERATED
    told = checked.assertions[LABEL]
    assert (told["seed"], told["model"], told["conditions"]) == (3, MODEL, {"label": "cat"})
    assert checked.leaf.subject.rfc4514_string() == "O=Anna,CN=Anna"
    assert len(checked.chain) == 1, "the authority itself has no place in the file"


@pytest.mark.parametrize("format", FORMATS)
def test_pixels_and_plain_metadata_stay_beside_the_signature(write, format):
    path = write(format=format, seed=5)
    plain = encode(picture(5), format)
    np.testing.assert_array_equal(load(path), np.asarray(Pillow.open(io.BytesIO(plain))))
    assert path.stat().st_size - len(plain) < 6000
    with Pillow.open(path) as opened:
        exif, text = opened.getexif(), getattr(opened, "text", {})
        assert (exif.get(305) or text.get("Software")) == "Maquette 0.1.0"
        packet = opened.info.get("xmp") or text.get("XML:com.adobe.xmp") or opened.tag_v2[700]
    assert GENERATED in (packet if isinstance(packet, str) else packet.decode())


@pytest.mark.parametrize("mode", [(1, np.uint8), (4, np.uint8), (1, np.uint16)])
def test_every_mode_can_be_signed(write, trust, mode):
    channels, dtype = mode
    path = write(image=picture(1, channels=channels, dtype=dtype))
    assert seen(path.read_bytes(), trust)["status"] == "intact"
    assert load(path).dtype == dtype


def hashed_places(content, checked):
    """All bytes that a hash or the signature covers."""
    block = independent.block(content)
    start = content.find(block[:200])
    assert start > 0 and content[start : start + len(block)] == block
    places = np.ones(len(content), bool)
    for begin, end in checked.outside:
        places[begin:end] = False
    for begin, end in checked.hashed:
        places[start + begin : start + end] = True
    return np.flatnonzero(places)


@pytest.mark.parametrize("format", FORMATS)
def test_no_change_of_one_byte_goes_unnoticed(write, maker, trust, format):
    content = write(format=format).read_bytes()
    checked = independent.check(content, authority(maker))
    places = hashed_places(content, checked)
    rng = np.random.default_rng(0)
    for place in rng.choice(places, 25, replace=False):
        changed = bytearray(content)
        changed[place] ^= int(rng.integers(1, 256))
        report = seen(bytes(changed), trust)
        assert report["status"] in ("changed", "unreadable"), (place, report["words"])
        assert report["layers"]["signature"] != "present" and report["trusted_by"] is None
        with pytest.raises((independent.Wrong, Exception)):
            independent.check(bytes(changed), authority(maker))


@settings(max_examples=60)
@given(st.data())
def test_whatever_is_done_to_a_file_the_pixels_are_those_that_were_signed_or_it_is_not_intact(maker, trust, data):
    press = Press(maker)
    made = vouched(picture(2))
    manifest = press.manifest(kind="sampled", seed=0, model=MODEL, software=SOFTWARE)
    content = signing.generated(made, manifest, "png", press.signer)
    changed = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        changed[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(len(content) // 2, len(content)))
    report = seen(bytes(changed[:cut]), trust)
    if report["status"] == "intact":
        # The signed block ends in room that nobody signs. A change there breaks a checksum: then no pixels are shown.
        with contextlib.suppress(UnidentifiedImageError), Pillow.open(io.BytesIO(bytes(changed[:cut]))) as opened:
            np.testing.assert_array_equal(np.asarray(opened), made.picture)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.integers(0, 255) | st.floats(-1e300, 1e300)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc ü", max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=40)
@given(st.dictionaries(st.text("abcdef-", min_size=1, max_size=8), plain, max_size=4))
def test_whatever_a_manifest_says_comes_back_from_the_signed_block(maker, trust, dials):
    """The library tells some of it otherwise: a list of small whole numbers, such as a colour, as text; and it changes
    the last digits of long numbers when it signs."""
    press = Press(maker)
    manifest = press.manifest(kind="sheet", seeds=(0, 63), dials=dials, refinements=({"colour": [255, 0, 16]},))
    content = signing.sheet(picture(1), manifest, "png", press.signer)
    report = seen(content, trust)
    assert report["manifest"] == manifest.to_json() and report["manifest_from"] == "signature"
    assert report["layers"] == {"signature": "present", "metadata": "present", "watermark": "absent"}
    edit = press.manifest(kind="edited", refinements=({"op": "x", "at": [1, 2]},))
    file = encode(picture(6), "png", **metadata.extras(edit, "png"))
    chained = seen(press.edited(file, edit, source_bytes(content)), trust)
    assert chained["parents"][0]["manifest"] == manifest.to_json()


@given(st.binary(max_size=60))
def test_whatever_stands_there_is_read_as_a_value_or_refused(content):
    from maquette.trust.boxes import boxes, cbor

    for read in (cbor, lambda content: list(boxes(content))):
        with contextlib.suppress(ValueError):
            read(content)


# Who may sign what


def test_only_what_the_engine_vouches_for_is_signed_as_generated(maker):
    press = Press(maker)
    manifest = press.manifest(kind="sampled", seed=0, model=MODEL)
    foreign = picture(9)
    true = vouched(picture(1))
    forged = object.__new__(origin.Generated)
    for name, value in (("picture", foreign), ("seed", 0), ("model", MODEL), ("guided", False)):
        object.__setattr__(forged, name, value)
    lookalike = type("Generated", (), {"picture": foreign, "seed": 0, "model": MODEL, "guided": False})()
    child = object.__new__(type("Child", (origin.Generated,), {}))
    for thing in (forged, lookalike, child, foreign, None, MODEL):
        with pytest.raises(TrustError, match="only images that a model has just made"):
            signing.generated(thing, manifest, "png", press.signer)
    for attempt in (
        lambda: origin.Generated(foreign), lambda: copy.copy(true), lambda: copy.deepcopy(true),
        lambda: setattr(true, "picture", foreign), origin.take_stamp,
    ):  # fmt: skip
        with pytest.raises(TypeError):
            attempt()
    with pytest.raises(ValueError, match="read-only"):
        true.picture[:] = foreign
    true.picture.flags.writeable = True
    true.picture[:] = foreign  # by force
    with pytest.raises(TrustError):
        signing.generated(true, manifest, "png", press.signer)
    replaced = vouched(picture(1))
    object.__setattr__(replaced, "picture", foreign)
    with pytest.raises(TrustError):
        signing.generated(replaced, manifest, "png", press.signer)


def test_the_manifest_cannot_name_another_model_seed_or_kind(maker):
    press = Press(maker)
    for facts in ({"seed": 1}, {"model": "cd" * 32}, {"kind": "guided"}, {"kind": "edited"}):
        manifest = press.manifest(**{"kind": "sampled", "seed": 0, "model": MODEL, **facts})
        with pytest.raises(TrustError):
            signing.generated(vouched(picture(1)), manifest, "png", press.signer)


def test_what_was_guided_by_an_image_is_a_composite_that_carries_it(maker, trust, tmp_path):
    source = source_bytes(encode(picture(7), "jpeg"))
    path = tmp_path / "guided.png"
    Press(maker).generated(path, vouched(picture(8), guided=True), {"software": SOFTWARE}, source)
    checked = independent.check(path.read_bytes(), authority(maker))
    (action,) = checked.assertions["c2pa.actions.v2"]["actions"]
    assert action["digitalSourceType"] == COMPOSITE
    ingredient = checked.assertions["c2pa.ingredient.v3"]
    assert ingredient["relationship"] == "inputTo" and ingredient["dc:title"] == "source"
    report = seen(path.read_bytes(), trust)
    assert report["status"] == "intact" and report["source"] == "compositeWithTrainedAlgorithmicMedia"
    assert report["manifest"]["kind"] == "guided"


def edit(home, path, source, steps):
    press = Press(home)
    manifest = press.manifest(kind="edited", refinements=steps)
    content = encode(picture(6), "png", **metadata.extras(manifest, "png"))
    path.write_bytes(press.edited(content, manifest, source_bytes(source)))


def test_an_edit_carries_its_source_and_is_never_called_generated(write, maker, trust, tmp_path):
    steps = [{"op": "sharpen", "amount": 0.4}, {"op": "white-balance"}]
    parent = write("parent", seed=4)
    for name, content in (("of-made", parent.read_bytes()), ("of-upload", encode(picture(5), "jpeg"))):
        path = tmp_path / f"{name}.png"
        edit(maker, path, content, steps)
        checked = independent.check(path.read_bytes(), authority(maker))
        opened, *edits = checked.assertions["c2pa.actions.v2"]["actions"]
        assert (
            opened["action"] == "c2pa.opened" and checked.assertions["c2pa.ingredient.v3"]["relationship"] == "parentOf"
        )
        assert [edit["parameters"]["org.maquette.refinement"] for edit in edits] == steps
        assert {edit["digitalSourceType"] for edit in edits} == {COMPOSITE}
        report = seen(path.read_bytes(), trust)
        assert report["status"] == "intact" and report["source"] == "compositeWithTrainedAlgorithmicMedia"
        assert report["manifest"]["refinements"] == steps
        assert [one["manifest"]["seed"] for one in report.get("parents", [])] == ([4] if name == "of-made" else [])


def test_a_source_that_was_changed_does_not_make_its_edit_changed(write, maker, trust, tmp_path):
    content = bytearray(write().read_bytes())
    content[-60] ^= 1
    path = tmp_path / "edit.png"
    edit(maker, path, bytes(content), [])
    assert seen(path.read_bytes(), trust)["status"] == "intact"


def test_the_parts_of_a_chain_cannot_be_changed(write, maker, trust, tmp_path):
    path = tmp_path / "edit.png"
    parent = write(seed=4).read_bytes()
    edit(maker, path, parent, [{"op": "x"}])
    content = path.read_bytes()
    inner = content.find(MODEL.encode())
    changed = bytearray(content)
    changed[inner] = ord("0")
    assert seen(bytes(changed), trust)["status"] == "changed"


def test_signing_twice_keeps_the_first_file(write):
    first = write(seed=1)
    before = first.read_bytes()
    assert write(seed=1).read_bytes() == before
    with pytest.raises(MaquetteError, match="a file with other content is there already"):
        write(seed=2)
    with pytest.raises(MaquetteError, match="a file with other content is there already"):
        write(seed=1, conditions={"label": "other"})


def test_an_unsigned_file_of_the_same_image_is_signed_later(maker, tmp_path, trust):
    path = tmp_path / "a.png"
    for sign in (False, True):
        Press(maker, sign=sign).generated(path, vouched(picture(1)), {"software": SOFTWARE})
        report = seen(path.read_bytes(), trust)
        assert report["status"] == ("intact" if sign else "unsigned")
        assert report["layers"]["metadata"] == "present"


def test_an_image_of_several_seeds_says_all_of_them(maker, trust, tmp_path):
    mix = Mix((3, 8), (0.25, -1 / 3))
    made = sampling._stamp(picture(3), seed=8, model=MODEL, guided=False, mix=mix)
    Press(maker).generated(tmp_path / "mix.png", made, {"software": SOFTWARE})
    report = seen((tmp_path / "mix.png").read_bytes(), trust)
    assert report["status"] == "intact" and report["source"] == "trainedAlgorithmicMedia"
    said = report["manifest"]
    assert said["seed"] == 8 and Mix.from_json({key: said[key] for key in ("seeds", "weights")}) == mix
    for facts in ({}, {"seeds": (3, 8)}, {"seeds": (3, 8), "weights": (1.0, 1.0)}):
        manifest = Press(maker).manifest(kind="sampled", seed=8, model=MODEL, **facts)
        with pytest.raises(TrustError, match="another mix of seeds"):
            signing.generated(made, manifest, "png", None)
    for weights in ((1.0,), "ab", (1.0, float("nan"))):
        with pytest.raises(TrustError, match="weight"):
            Press(maker).manifest(kind="sampled", seed=8, seeds=(3, 8), weights=weights)


def test_the_engine_vouches_with_the_digest_of_the_run(monkeypatch):
    monkeypatch.setattr(sampling, "draw", lambda *_, **__: iter([np.stack([picture(1), picture(2)])]))
    form = SimpleNamespace(conditions=())
    family = SimpleNamespace(spec=form, Options=object, made=lambda options: form)
    (batch,) = sampling.vouched(family, MODEL, [7, 8], {})
    assert [(made.seed, made.model, made.guided) for made in batch] == [(7, MODEL, False), (8, MODEL, False)]
    np.testing.assert_array_equal(batch[1].picture, picture(2))


def test_many_files_are_answered_in_order(write, maker, tmp_path):
    paths = [write(str(number), seed=number) for number in range(12)]
    (tmp_path / "no.png").write_bytes(b"nothing")
    reports = list(examine([*paths, tmp_path / "no.png"], Keys(maker).anchors(), workers=2))
    assert [report["path"] for report in reports] == [str(path) for path in [*paths, tmp_path / "no.png"]]
    assert [report["status"] for report in reports] == ["intact"] * 12 + ["unreadable"]
    assert [report["manifest"]["seed"] for report in reports[:12]] == list(range(12))


SLOW_READER = """
import time

from maquette.trust import inspect, worker

read = inspect.inspect_file


def slow(path, trust):
    while "slow" in path:
        {hang}
    return read(path, trust)


inspect.inspect_file = slow
worker.main()
"""


# One that computes is ended by the processor's time, however busy the machine is; one that sleeps by the clock.
@pytest.mark.parametrize(("hang", "seconds", "busy"), [("pass", 1, 60), ("time.sleep(1000)", 0.5, 8)])
def test_a_file_that_holds_its_reader_up_costs_itself_alone(write, maker, tmp_path, monkeypatch, hang, seconds, busy):
    (tmp_path / "reader_of_this_test.py").write_text(SLOW_READER.format(hang=hang))
    command = f"sys.path.insert(0, {str(tmp_path)!r}); import reader_of_this_test"
    monkeypatch.setattr(examining, "_COMMAND", command)
    monkeypatch.setattr(examining, "_BUSY", busy)
    paths = [write("a"), write("slow", seed=1), write("b", seed=2)]
    reports = list(examine(paths, Keys(maker).anchors(), workers=1, seconds=seconds))
    assert [report["status"] for report in reports] == ["intact", "unreadable", "intact"]
    assert reports[1]["words"] == f"it took more than {seconds} seconds to read"


def test_a_manifest_says_nothing_of_the_person(write, monkeypatch):
    monkeypatch.setenv("USER", "secret-user")
    content = write(seed=1).read_bytes()
    import getpass
    import socket

    for word in (getpass.getuser(), socket.gethostname(), str(write(seed=1).parent)):
        if len(word) > 4:
            assert word.encode() not in content
    assert Manifest(kind="sampled", time="2026-11-21T10:00:00Z").to_json() == {
        "version": 1, "kind": "sampled", "time": "2026-11-21T10:00:00Z",
    }  # fmt: skip


def test_a_film_is_signed_and_verified(maker, trust):
    av = pytest.importorskip("av")
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as film:
        track = film.add_stream("mpeg4", rate=5)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for seed in range(5):
            film.mux(track.encode(av.VideoFrame.from_ndarray(picture(seed), format="rgb24")))
        film.mux(track.encode())
    press = Press(maker)
    manifest = press.manifest(kind="edited", software=SOFTWARE, refinements=({"op": "frames"},))
    content = signing.edited(stream.getvalue(), "mp4", manifest, press.signer, source=source_bytes(encode(picture(0))))
    report = seen(content, trust)
    assert report["status"] == "intact" and report["media"] == "video/mp4"
    assert report["source"] == "compositeWithTrainedAlgorithmicMedia"
    changed = bytearray(content)
    changed[content.index(b"mdat") + 40] ^= 1
    assert seen(bytes(changed), trust)["status"] == "changed"
    assert seen(stream.getvalue(), trust)["status"] == "unsigned"
