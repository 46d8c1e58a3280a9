"""What images say of their origin and of training on them is heard, whoever says it."""

import io

import c2pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vouching import picture

from maquette.core.image import encode
from maquette.data.decoding.shape import Form
from maquette.data.ingest.decode import Decoder, Task
from maquette.operations import operation as table
from maquette.store.workspace import Workspace
from maquette.trust import incoming as incoming_module
from maquette.trust.incoming import Marks, incoming
from maquette.trust.keys import Keys

DMI = "http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING"
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    f'<rdf:Description xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" plus:DataMining="{DMI}"/></rdf:RDF></x:xmpmeta>'
).encode()


def signed(home, label=None, entries=None, format="jpeg", source=None, parent=None):
    """A file as a camera or another program signs it."""
    signer = Keys(home).signer()
    info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=signer.chain.encode(), private_key=signer.key, ta_url=None)
    kind = f"http://cv.iptc.org/newscodes/digitalsourcetype/{source or 'digitalCapture'}"
    created = {"action": "c2pa.created", "digitalSourceType": kind}
    if parent:
        created = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["p"]}}
    said = [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}]
    if label:
        said.append({"label": label, "data": {"entries": entries}})
    out = io.BytesIO()
    with c2pa.Builder({"assertions": said}, c2pa.Context.from_dict({"version": 1})) as builder:
        if parent:
            told = {"title": "p", "relationship": "parentOf", "label": "p"}
            builder.add_ingredient(told, "image/jpeg", io.BytesIO(parent))
        content = encode(picture(3), format)
        builder.sign(c2pa.Signer.from_info(info), f"image/{format}", io.BytesIO(content), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("label", "entries", "heard"),
    [
        ("cawg.training-mining", {"cawg.ai_generative_training": {"use": "notAllowed"}}, True),
        ("cawg.training-mining", {"cawg.ai_training": {"use": "notAllowed"}}, True),
        ("cawg.training-mining", {"cawg.data_mining": {"use": "constrained", "constraint_info": "ask"}}, True),
        ("c2pa.training-mining", {"c2pa.ai_generative_training": {"use": "notAllowed"}}, True),
        ("cawg.training-mining", {"cawg.ai_inference": {"use": "notAllowed"}}, False),
        ("cawg.training-mining", {"cawg.ai_training": {"use": "allowed"}}, False),
        ("cawg.training-mining", {"cawg.ai_training": [1, 2]}, False),
        ("org.example.other", {"cawg.ai_training": {"use": "notAllowed"}}, False),
    ],
)
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_assertions_about_training_are_heard(maker, label, entries, heard, format):
    found = incoming(signed(maker, label, entries, format))
    assert found.signed and bool(found.training) == heard
    assert not heard or found.training.startswith(label)


def test_a_wish_survives_edits_and_broken_signatures(maker):
    entries = {"cawg.ai_training": {"use": "notAllowed"}}
    original = signed(maker, "cawg.training-mining", entries)
    assert incoming(signed(maker, parent=original)).training
    broken = bytearray(original)
    broken[-30] ^= 1
    assert incoming(bytes(broken)).training


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "avif", "tiff"])
def test_wishes_in_xmp_are_heard(format):
    extra = {"xmp": XMP}
    if format == "png":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
        extra = {"pnginfo": info}
    if format == "tiff":
        extra = {"tiffinfo": {700: XMP}}
    assert incoming(encode(picture(), format, **extra)).training == "plus:DataMining DMI-PROHIBITED-AIMLTRAINING"


@pytest.mark.parametrize("before", [b"\xff\xff", b"\xff\xfe\x00\x05abc"])
def test_wishes_in_odd_jpegs_are_heard(before):
    """Fill bytes and comments before the segment with the wish hide nothing."""
    content = encode(picture(), "jpeg", xmp=XMP)
    start = content.index(b"\xff\xe1")
    assert incoming(content[:start] + before + content[start:]).training


def test_how_an_image_came_to_be_is_counted(maker):
    assert incoming(signed(maker, source="digitalCapture")) == Marks(source="digitalCapture", signed=True)
    assert incoming(encode(picture())) == Marks() and Marks().to_json() == {}


@given(
    st.binary(max_size=200), st.sampled_from([b"c2pa", b"adobe:ns:meta", b"\x89PNG\r\n\x1a\nc2pa", b"\xff\xd8\xffc2pa"])
)
def test_no_file_breaks_it(content, hint):
    for one in (content, hint + content, io.BytesIO(hint + content)):
        assert isinstance(incoming(one), Marks)


def test_a_decoder_that_heeds_sets_aside_and_says_why(maker):
    free, kept = encode(picture(1)), signed(maker, source="trainedAlgorithmicMedia")
    wish = signed(maker, "cawg.training-mining", {"cawg.ai_training": {"use": "notAllowed"}})
    with Decoder(1) as decoder:
        for heed in (True, False):
            form = Form(width=16, height=16, heed=heed)
            found = list(decoder.decode([Task(content=one, form=form) for one in (free, kept, wish)]))
            assert [one.image is None for one in found] == [False, False, heed]
            assert found[1].marks == {"source": "trainedAlgorithmicMedia", "signed": True} and found[0].marks == {}
            if heed:
                assert "do not allow training" in found[2].reason and "cawg.ai_training notAllowed" in found[2].reason
            else:
                assert found[2].marks["training"]


def test_looking_costs_little_where_there_is_nothing_to_see(monkeypatch):
    """Without one of a few words in its first megabyte a file is neither opened nor read any further."""
    content = encode(picture(1, 768, 1024))
    monkeypatch.setattr(incoming_module, "media_of", None)
    assert incoming(content) == Marks()
    stream = io.BytesIO(content + bytes(3 << 20))
    asked = []
    whole = stream.read
    stream.read = lambda count=-1: asked.append(count) or whole(count)
    assert incoming(stream) == Marks() and asked == [1 << 20] and stream.tell() == 0


def test_ingest_sets_aside_what_may_not_be_trained_on_and_counts_the_rest(maker, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.png").write_bytes(encode(picture(number)))
    (folder / "camera.jpg").write_bytes(signed(maker, source="digitalCapture"))
    wish = signed(maker, "cawg.training-mining", {"cawg.ai_generative_training": {"use": "notAllowed"}})
    (folder / "wish.jpg").write_bytes(wish)
    (folder / "plus.jpg").write_bytes(encode(picture(9), "jpeg", xmp=XMP))

    def ingest(name, **values):
        request = {"source": [str(folder)], "to": str(tmp_path / name), "size": "16", "workers": 1, **values}
        return list(table.run("ingest", Workspace(tmp_path / "home"), request))

    *events, result = ingest("a.mq")
    aside = {one["path"]: one["reason"] for one in result.facts["set_aside"]}
    assert set(aside) == {"wish.jpg", "plus.jpg"} and result.facts["kept"] == 7
    assert "cawg.ai_generative_training notAllowed" in aside["wish.jpg"] and "DMI-PROHIBITED" in aside["plus.jpg"]
    assert result.facts["provenance"] == {"digitalCapture": 1}
    assert any("--opt-outs ignore" in getattr(event, "text", "") for event in events)
    items = [result.value.item(number) for number in range(7)]
    assert [one["marks"] for one in items if "marks" in one] == [{"source": "digitalCapture", "signed": True}]
    assert ingest("b.mq", opt_outs="ignore")[-1].facts["kept"] == 9
