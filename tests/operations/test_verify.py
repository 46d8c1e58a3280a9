"""`verify` says of every file exactly what happened to it, and never calls anything intact that is not."""

import dataclasses
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from maquette.core.errors import TrustError, UsageError
from maquette.core.event import Table, to_line
from maquette.core.image import encode
from maquette.engine import sample as sampling
from maquette.operations import operation as table
from maquette.store.workspace import Workspace
from maquette.trust import signing
from maquette.trust.keys import Keys
from maquette.trust.press import Press

sys.path.insert(0, str(Path(__file__).parents[1] / "trust"))

import attacks  # what people do to signed images

MODEL = "ab" * 32


def picture(seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(6, 0).repeat(6, 1)


def write(home, path, seed=0, format="png", maker=""):
    made = sampling._stamp(picture(seed), seed=seed, model=MODEL, guided=False)
    Press(home, format=format, maker=maker).generated(path, made, {"software": {"maquette": "0.1.0"}})
    return path


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Two makers."""
    found = [tmp_path_factory.mktemp(name) for name in ("anna", "bob")]
    for home, name in zip(found, ("Anna", "Bob"), strict=True):
        Keys(home).signer(name)
    return found


@pytest.fixture
def home(homes):
    return homes[0]


def verify(home, *paths, **values):
    return list(table.run("verify", Workspace(home), {"file": [str(path) for path in paths], **values}))


def only(home, path):
    (report,) = verify(home, path)[-1].facts["images"]
    return report


def layers(report):
    return [report["layers"][name] for name in ("signature", "metadata", "watermark")]


def chunks(content):
    at = 8
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        yield kind, content[at + 8 : at + 8 + size]
        at += 12 + size


def png(parts):
    joined = b"".join(struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts)
    return b"\x89PNG\r\n\x1a\n" + joined


def test_an_image_as_it_was_made_is_intact(home, tmp_path):
    report = only(home, write(home, tmp_path / "a.png", 3))
    assert report["status"] == "intact" and layers(report)[:2] == ["present", "present"]
    assert report["made_by"] == "Anna" and report["trusted_by"] == "your own keys"
    assert report["source"] == "trainedAlgorithmicMedia"
    assert report["manifest"]["seed"] == 3 and report["manifest"]["model"] == MODEL
    assert report["manifest_from"] == "signature"


def test_the_maker_of_one_command_is_named(home, tmp_path):
    assert only(home, write(home, tmp_path / "a.png", maker="Studio Nord"))["made_by"] == "Studio Nord"


def test_stripped_is_unsigned(home, tmp_path):
    content = write(home, tmp_path / "a.png").read_bytes()
    path = tmp_path / "stripped.png"
    path.write_bytes(png([(kind, body) for kind, body in chunks(content) if kind != b"caBX"]))
    report = only(home, path)
    assert report["status"] == "unsigned" and layers(report)[:2] == ["absent", "present"]
    assert report["made_by"] is None and "anybody can write" in report["words"]
    assert report["manifest_from"] == "metadata"
    Pillow.open(path).convert("RGB").save(tmp_path / "bare.png")
    bare = only(home, tmp_path / "bare.png")
    assert bare["status"] == "unsigned" and layers(bare)[:2] == ["absent", "absent"] and "manifest" not in bare


def test_changed_pixels_are_changed(home, tmp_path):
    content = write(home, tmp_path / "a.png").read_bytes()
    parts = list(chunks(content))
    other = dict(chunks(encode(picture(9))))
    path = tmp_path / "changed.png"
    path.write_bytes(png([(kind, other[kind] if kind == b"IDAT" else body) for kind, body in parts]))
    report = only(home, path)
    assert report["status"] == "changed" and layers(report)[0] == "broken" and report["made_by"] is None


def test_transplanted_is_changed(home, tmp_path):
    parts = list(chunks(write(home, tmp_path / "a.png", 1).read_bytes()))
    foreign = list(chunks(encode(picture(2))))
    block = next((kind, body) for kind, body in parts if kind == b"caBX")
    path = tmp_path / "transplanted.png"
    path.write_bytes(png([foreign[0], block, *foreign[1:]]))
    assert only(home, path)["status"] == "changed"


def test_re_signed_is_an_unknown_signer(homes, tmp_path):
    anna, bob = homes
    path = write(bob, tmp_path / "a.png", 1)
    report = only(anna, path)
    assert report["status"] == "unknown-signer" and layers(report)[0] == "present"
    assert report["made_by"] == "Bob" and report["trusted_by"] is None
    (tmp_path / "bob.pem").write_bytes(Keys(bob).export())
    Keys(anna).trust(tmp_path / "bob.pem", "bob")
    try:
        believed = only(anna, path)
        assert believed["status"] == "intact" and believed["trusted_by"] == "bob"
    finally:
        Keys(anna).forget("bob")


def test_a_certificate_with_the_same_names_is_still_unknown(home, tmp_path):
    Keys(tmp_path / "thief").signer("Anna")
    report = only(home, write(tmp_path / "thief", tmp_path / "a.png"))
    assert report["status"] == "unknown-signer"


def test_expired_revoked_and_what_is_worse_of_both(home, tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    paths = {one: tmp_path / f"{one.name}.png" for one in (mine, other)}
    ends = []
    for one in (mine, other):
        end, (content,) = attacks.signed_before_the_end(one, 1)
        paths[one].write_bytes(content)
        ends.append(end)
    changed = bytearray(paths[mine].read_bytes())
    changed[-40] ^= 1
    (tmp_path / "changed.png").write_bytes(bytes(changed))
    assert only(mine, paths[mine])["status"] in ("intact", "expired")  # the machine may be busy
    revoking = Keys(other)
    revoking.revoke(revoking.signing_certificates()[0].serial_number)
    assert only(other, paths[other])["status"] == "revoked"
    attacks.wait_until(max(ends))
    report = only(mine, paths[mine])
    assert report["status"] == "expired" and layers(report)[0] == "present" and report["made_by"]
    assert only(other, paths[other])["status"] == "revoked"
    assert only(mine, tmp_path / "changed.png")["status"] == "changed"
    assert only(home, paths[mine])["status"] == "expired" and "nobody known here" in only(home, paths[mine])["words"]


def test_the_leaf_of_a_former_key_is_still_believed(tmp_path):
    keys = Keys(tmp_path / "home")
    path = write(tmp_path / "home", tmp_path / "a.png")
    keys.rotate(authority=True)
    assert only(tmp_path / "home", path)["status"] == "intact"


HEAD = b"\x89PNG\r\n\x1a\n"
ODD = {
    "empty.png": b"", "text.png": b"hello", "zeros.png": b"\0" * 5000, "head.png": HEAD,
    "jpeg.png": b"\xff\xd8\xff\xe0", "riff.webp": b"RIFF\xff\xff\xff\xffWEBP", "box.avif": b"\0\0\0\x18ftypavif" * 30,
    "deep.tif": b"II*\0" + b"\x08\0\0\0" * 200, "html.jpg": b"<html><script>x</script>",
    "loop.avif": b"\0\0\0\0ftypavif", "huge.png": HEAD + b"\xff\xff\xff\xffIHDR" + b"\0" * 40,
}  # fmt: skip


def test_files_that_are_no_images_are_unreadable(home, tmp_path):
    for name, content in ODD.items():
        (tmp_path / name).write_bytes(content)
    reports = verify(home, tmp_path)[-1].facts["images"]
    assert {os.path.basename(report["path"]): report["status"] for report in reports} == dict.fromkeys(
        ODD, "unreadable"
    )
    assert all(report["words"] and report["made_by"] is None for report in reports)


def test_cut_files_are_never_intact(home, tmp_path):
    for format in ("png", "jpeg", "webp", "avif", "tiff"):
        content = write(home, tmp_path / f"a.{format}", format=format).read_bytes()
        for number, share in enumerate((0.02, 0.1, 0.3, 0.6, 0.9, 0.999)):
            (tmp_path / f"{number}.cut.{format[:4]}").write_bytes(content[: int(len(content) * share)])
    reports = verify(home, *tmp_path.glob("*.cut.*"))[-1].facts["images"]
    assert {report["status"] for report in reports} <= {"unreadable", "changed", "unsigned"}
    assert len(reports) == 30


def hostile(content, said):
    """A signed PNG whose manifest is replaced by other bytes."""
    return png([(kind, said(body) if kind == b"caBX" else body) for kind, body in chunks(content)])


def test_hostile_blocks_end_in_a_status_and_never_in_trust(home, tmp_path):
    content = write(home, tmp_path / "a.png").read_bytes()
    deep = b"\x81" * 200_000
    box = lambda kind, body: struct.pack(">I", len(body) + 8) + kind + body  # noqa: E731
    nested = b""
    for _ in range(3000):
        nested = box(b"jumb", box(b"jumd", b"\0" * 16 + b"\x03c2pa\0") + nested)
    bodies = {
        "deep": lambda body: body.replace(b"cbor", b"cbor" + deep, 1),
        "nested": lambda body: nested,
        "huge": lambda body: b"\x7f\xff\xff\xff" + body[4:],
        "loop": lambda body: b"\0\0\0\0" + body[4:],
        "newer": lambda body: body.replace(b"c2pa.claim.v2", b"c2pa.claim.v9"),
        "types": lambda body: body.replace(b"seed", b"kind", 1),
        "nothing": lambda body: b"",
        "noise": lambda body: bytes(np.random.default_rng(0).integers(0, 256, len(body), np.uint8)),
        "twice": lambda body: body + body,
    }
    for name, said in bodies.items():
        (tmp_path / f"{name}.png").write_bytes(hostile(content, said))
    reports = {os.path.basename(r["path"])[:-4]: r for r in verify(home, tmp_path)[-1].facts["images"]}
    true = reports.pop("a")
    assert true["status"] == "intact"
    for name in ("huge", "loop"):  # the length of the outermost box decides nothing
        assert reports.pop(name)["manifest"] == true["manifest"]
    for name, report in reports.items():
        assert report["status"] in ("changed", "unreadable", "unsigned"), (name, report)
        assert report["trusted_by"] is None and report["made_by"] is None
    assert "newer form" in reports["newer"]["words"]


def test_hostile_metadata_are_broken_or_absent(home, tmp_path):
    from PIL.PngImagePlugin import PngInfo

    entity = (
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY {chr(98 + n)} "&{chr(97 + n)};&{chr(97 + n)};">' for n in range(20))
        + "]><x>&u;</x>"
    )
    ours = '<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:m="https://maquette.example/manifest/1/"><m:manifest>{}</m:manifest></x:xmpmeta>'
    for number, packet in enumerate(
        (
            entity, "<x>" * 100_000, ours.format("[" * 5000), ours.format("{}"), ours.format('{"version": 99}'),
            ours.format('{"version":1,"kind":"sampled","time":"2026-01-01T00:00:00Z","seed":-1}'),
            ours.format('{"version":1,"kind":"sampled","time":"2026-01-01T00:00:00Z","x":1}'),
        )
    ):  # fmt: skip
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet)
        Pillow.fromarray(picture(1)).save(tmp_path / f"{number}.png", pnginfo=text)
    reports = verify(home, tmp_path)[-1].facts["images"]
    assert [report["status"] for report in reports] == ["unsigned"] * 7
    assert {report["layers"]["metadata"] for report in reports} <= {"broken", "absent"}


def test_what_other_tools_say_is_read_as_words(home, tmp_path):
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        'i:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"/></rdf:RDF></x:xmpmeta>'
    )
    Pillow.fromarray(picture(1)).save(tmp_path / "a.jpg", xmp=xmp.encode())
    report = only(home, tmp_path / "a.jpg")
    assert report["status"] == "unsigned" and report["layers"]["metadata"] == "present"
    assert report["metadata"] == {"source": "trainedAlgorithmicMedia"}


def test_what_other_tools_signed_is_verified(home, tmp_path):
    import c2pa

    keys = Keys(tmp_path / "other")
    signer = keys.signer("Camera Maker")
    info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=signer.chain.encode(), private_key=signer.key, ta_url=None)
    said = {
        "claim_generator_info": [{"name": "Camera", "version": "1"}],
        "assertions": [{
            "label": "c2pa.actions.v2",
            "data": {"actions": [{"action": "c2pa.created", "digitalSourceType":
                                  "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"}]},
        }],
    }  # fmt: skip
    out = io.BytesIO()
    with c2pa.Builder(said, c2pa.Context.from_dict({"version": 1})) as builder:
        builder.sign(c2pa.Signer.from_info(info), "image/jpeg", io.BytesIO(encode(picture(1), "jpeg")), out)
    (tmp_path / "photo.jpg").write_bytes(out.getvalue())
    report = only(home, tmp_path / "photo.jpg")
    assert report["status"] == "unknown-signer" and report["made_by"] == "Camera Maker"
    assert report["tool"] == "Camera 1" and report["source"] == "digitalCapture" and "manifest" not in report


# The verb itself


def test_folders_are_looked_through_and_the_rest_is_said(home, tmp_path):
    write(home, tmp_path / "deep" / "er" / "a.png")
    write(home, tmp_path / ".hidden" / "b.png")
    (tmp_path / "notes.txt").write_text("x")
    events = verify(home, tmp_path)
    assert [os.path.basename(one["path"]) for one in events[-1].facts["images"]] == ["a.png"]
    assert events[-1].facts["counts"] == {"intact": 1} and "1 intact" in events[-1].summary
    json.loads(to_line(events[-1]))
    (shown,) = [event for event in events if isinstance(event, Table)]
    assert shown.rows[0][:2] == ["a.png", "intact"]
    assert events[-1].summary.startswith("1 file: ")
    with pytest.raises(TrustError, match="no such file or folder; check the path"):
        verify(home, tmp_path / "nothing.png")
    with pytest.raises(UsageError, match="nothing to verify"):
        verify(home)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="nothing to verify"):
        verify(home, tmp_path / "empty")
    assert only(home, tmp_path / "notes.txt")["status"] == "unreadable"


def test_rows_of_the_table_are_shared(home, tmp_path):
    for number in range(3):
        write(home, tmp_path / f"{number}.png", number)
    shutil.copy(tmp_path / "0.png", tmp_path / "x.png")
    content = bytearray((tmp_path / "x.png").read_bytes())
    content[-50] ^= 1
    (tmp_path / "x.png").write_bytes(bytes(content))
    (shown,) = [event for event in verify(home, tmp_path) if isinstance(event, Table)]
    assert [row[:2] for row in shown.rows] == [["x.png", "changed"], ["0.png and 2 more", "intact"]]


def test_verify_makes_no_keys_and_loads_no_torch(tmp_path):
    Pillow.fromarray(picture(1)).save(tmp_path / "a.png")
    code = (
        "import sys, maquette as mq; print(mq.verify(sys.argv[1])[0]['status']);"
        "assert not {'torch', 'scipy.signal'} & set(sys.modules), 'too much was loaded'"
    )
    environment = {**os.environ, "MAQUETTE_HOME": str(tmp_path / "home")}
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")], capture_output=True, text=True, env=environment
    )
    assert said.stdout == "unsigned\n", said.stderr
    assert not (tmp_path / "home" / "keys").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_pipes_and_links_to_nothing_do_not_hold_it_up(home, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    reports = verify(home, tmp_path)[-1].facts["images"]
    assert [report["status"] for report in reports] == ["unreadable"] * 3


# The mark in the pixels


def marked(home, path, seed=0, watermark="auto", side=128):
    """A photograph of skimage as if a model had made it."""
    whole = data.astronaut() if seed % 2 == 0 else data.coffee()
    image = np.asarray(Pillow.fromarray(whole[:400, 60:460]).resize((side, side), Pillow.Resampling.LANCZOS))
    made = sampling._stamp(image, seed=seed, model=MODEL, guided=False)
    press = Press(home, watermark=watermark)
    manifest = press.generated(path, made, {"software": {"maquette": "0.1.0"}})
    return image, manifest, press


def test_images_from_64_pixels_up_are_marked_unless_it_is_turned_off(home, tmp_path):
    image, manifest, _ = marked(home, tmp_path / "a.png")
    assert manifest.mark and manifest.strength == 1.0
    report = only(home, tmp_path / "a.png")
    assert layers(report) == ["present"] * 3 and report["watermark"]["mark"] == manifest.mark
    changed = np.asarray(Pillow.open(tmp_path / "a.png")).astype(float) - image
    assert 10 * np.log10(255**2 / (changed**2).mean()) >= 39.9
    _, small, _ = marked(home, tmp_path / "small.png", side=56)
    _, off, _ = marked(home, tmp_path / "off.png", watermark="off")
    assert small.mark == off.mark == ""
    assert only(home, tmp_path / "off.png")["layers"]["watermark"] == "absent"


def test_under_a_whole_signature_one_look_finds_the_mark_and_its_edits_still_show_it(home, tmp_path, monkeypatch):
    from maquette.trust import watermark
    from maquette.trust.inspect import Trust, inspect_file

    marked(home, tmp_path / "a.png")
    request = {"source": [str(tmp_path / "a.png")], "with": "sharpen amount=0.4", "to": str(tmp_path / "once")}
    *_, once = table.run("refine", Workspace(home), request)
    request = {"source": [str(tmp_path / "a.png")], "with": "resize width=96 height=96", "to": str(tmp_path / "small")}
    *_, small = table.run("refine", Workspace(home), request)
    trust = Trust.of(Keys(home).anchors())
    searched = []
    whole = watermark.detect
    monkeypatch.setattr(watermark, "detect", lambda *words: searched.append(1) or whole(*words))
    for path, searches in ((tmp_path / "a.png", 0), (once.value.paths[0], 0), (small.value.paths[0], 1)):
        report = inspect_file(str(path), trust)
        assert report["status"] == "intact" and report["layers"]["watermark"] == "present"
        assert report["watermark"]["p_value"] < 1e-6 and len(searched) == searches


@pytest.mark.parametrize("mark", ["abc", "ab" * 32, "ab", "00" * 4])
def test_a_whole_signature_that_names_an_odd_mark_is_read_all_the_same(home, tmp_path, mark):
    image, _, press = marked(home, tmp_path / "a.png", watermark="off")
    made = sampling._stamp(image, seed=1, model=MODEL, guided=False)
    manifest = press.manifest(kind="sampled", seed=1, model=MODEL)
    content = signing.generated(made, manifest, "png", press.signer)
    lying = dataclasses.replace(manifest, mark=mark, strength=1.0)
    edit = dataclasses.replace(lying, kind="edited", seed=None)
    (tmp_path / "b.png").write_bytes(press.edited(content, edit, None))
    report = only(home, tmp_path / "b.png")
    assert report["status"] == "intact" and report["layers"]["watermark"] == "absent"


def test_a_picture_that_lost_all_else_is_recognised(home, tmp_path):
    _, manifest, _ = marked(home, tmp_path / "a.png", seed=2)
    Workspace(home).index.add_images([tmp_path / "a.png"], [{"run": "r", "seed": 2, "mark": manifest.mark}])
    Pillow.open(tmp_path / "a.png").convert("RGB").save(tmp_path / "bare.jpg", quality=85)
    report = only(home, tmp_path / "bare.jpg")
    assert report["status"] == "unsigned" and layers(report) == ["absent", "absent", "present"]
    assert report["watermark"]["p_value"] < 1e-3 and report["made_by"] is None
    assert report["recognised"] == {"path": str(tmp_path / "a.png"), "run": "r", "seed": 2}
    assert "taken away" in report["words"] and "made here as a.png from seed 2" in report["words"]


def test_a_signature_on_the_picture_of_another_is_told_by_the_mark(home, tmp_path):
    for seed in (0, 1):
        marked(home, tmp_path / f"{seed}.png", seed=seed)
    parts, foreign = (list(chunks((tmp_path / f"{seed}.png").read_bytes())) for seed in (0, 1))
    block = next(part for part in parts if part[0] == b"caBX")
    (tmp_path / "x.png").write_bytes(png([block if kind == b"caBX" else (kind, body) for kind, body in foreign]))
    report = only(home, tmp_path / "x.png")
    assert report["status"] == "changed" and report["layers"]["watermark"] == "broken"
    assert "belongs to another image" in report["words"]


def test_flat_graphics_are_left_without_a_mark_and_that_is_said(home, tmp_path):
    flat = np.full((96, 96, 3), 255, np.uint8)
    flat[20:60, 20:60] = (200, 30, 30)
    press = Press(home, watermark="auto")
    made = sampling._stamp(flat, seed=0, model=MODEL, guided=False)
    manifest = press.generated(tmp_path / "flat.png", made, {})
    assert not manifest.mark and len(press.unfit) == 1
    np.testing.assert_array_equal(np.asarray(Pillow.open(tmp_path / "flat.png")), flat)
    assert only(home, tmp_path / "flat.png")["status"] == "intact"


def test_the_same_image_gets_the_same_mark_however_often_it_is_made(home, tmp_path):
    first = marked(home, tmp_path / "a.png")[1]
    before = (tmp_path / "a.png").read_bytes()
    assert marked(home, tmp_path / "a.png")[1] == first and (tmp_path / "a.png").read_bytes() == before
    assert marked(home, tmp_path / "b.png", seed=2)[1].mark != first.mark


@pytest.mark.parametrize("strength", ["0", "-1", "5", "strong", "nan", ""])
def test_strengths_that_make_no_sense_are_refused(home, strength):
    with pytest.raises(UsageError, match="not possible"):
        Press(home, watermark=strength)
