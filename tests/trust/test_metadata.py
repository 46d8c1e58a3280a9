"""Metadata for plain tools: written once, read back whatever else stands there, never believed as proof."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from vouching import FORMATS, picture

from maquette.core.errors import TrustError
from maquette.core.image import encode
from maquette.trust import metadata
from maquette.trust.manifest import LARGEST, Manifest

TIME = "2026-11-21T10:00:00Z"
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc ü<&'\"", max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def manifest(**facts):
    return Manifest(**{"kind": "sampled", "time": TIME, "software": {"maquette": "1.2.3"}, **facts})


@given(st.dictionaries(st.text("abcdef-", min_size=1, max_size=8), plain, max_size=4), st.integers(0, 2**63 - 1))
def test_whatever_a_manifest_says_comes_back(conditions, seed):
    said = manifest(conditions=conditions, seed=seed)
    assert Manifest.from_json(said.to_json()) == said
    assert metadata.read_xmp(metadata.xmp(said)).manifest == said
    assert Manifest.from_json(said.to_json()).digest == said.digest


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_keeps_it(format):
    said = manifest(maker="Björk & Søn <x>", seed=3)
    content = encode(picture(), format, **metadata.extras(said, format))
    with Pillow.open(io.BytesIO(content)) as opened:
        found = metadata.read(opened)
    assert found.manifest == said and found.source == "trainedAlgorithmicMedia" and found.tool == "Maquette 1.2.3"
    assert not found.trouble and not found.training


XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/"'
    ' xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" {attributes}><dc:rights>Ann</dc:rights>{elements}'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
NEWS = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def xmp(attributes="", elements=""):
    return XMP.format(attributes=attributes, elements=elements).encode()


def test_an_edit_keeps_what_its_source_said_of_rights_and_replaces_what_it_said_of_origin():
    before = xmp(f'i:DigitalSourceType="{NEWS}digitalCapture"')
    first = metadata.xmp(manifest(kind="edited"), before)
    second = metadata.xmp(manifest(kind="edited", seed=2), first)
    for packet, seed in ((first, None), (second, 2)):
        found = metadata.read_xmp(packet)
        assert found.manifest.seed == seed and found.source == "compositeWithTrainedAlgorithmicMedia"
        assert found.properties["dc:rights"] == "Ann"
        assert packet.count(b"<maquette:manifest>") == 1


@pytest.mark.parametrize(
    "before", [b"", b"no xml", b"<rdf:RDF", b"<rdf:RDF></rdf:RDF>", b"<!DOCTYPE x><rdf:RDF></rdf:RDF>"]
)
def test_odd_packets_are_replaced(before):
    assert metadata.read_xmp(metadata.xmp(manifest(seed=1), before)).manifest.seed == 1


@pytest.mark.parametrize(
    ("packet", "forbidden"),
    [
        (xmp('plus:DataMining="http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"'), True),
        (xmp('plus:DataMining="http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING"'), True),
        (xmp(elements="<plus:DataMining>DMI-PROHIBITED-GENAIMLTRAINING</plus:DataMining>"), True),
        (xmp(elements='<plus:DataMining rdf:resource="http://x/vocab/DMI-PROHIBITED-SEECONSTRAINT"/>'), True),
        (xmp('plus:DataMining="http://ns.useplus.org/ldf/vocab/DMI-ALLOWED"'), False),
        (xmp('plus:DataMining="http://ns.useplus.org/ldf/vocab/DMI-UNSPECIFIED"'), False),
        (xmp(), False),
    ],
)  # fmt: skip
def test_the_wish_not_to_be_trained_on_is_found(packet, forbidden):
    assert bool(metadata.read_xmp(packet).training) == forbidden


@given(st.binary(max_size=300))
def test_no_packet_breaks_the_reader(content):
    metadata.read_xmp(content)
    metadata.read_xmp(metadata.xmp(manifest()).replace(b"manifest>", content + b">", 1))


BAD = [
    None, [], "x", 1, {}, {"version": 1}, {"version": "1", "kind": "sampled", "time": TIME},
    {"version": 0, "kind": "sampled", "time": TIME}, {"version": True, "kind": "sampled", "time": TIME},
    *(
        {"version": 1, "kind": "sampled", "time": TIME, **wrong}
        for wrong in (
            {"kind": "nonsense"}, {"kind": []}, {"time": "now"}, {"time": 3}, {"seed": -1}, {"seed": "1"},
            {"seed": True}, {"seed": 2**63}, {"model": "xyz"},
            {"model": 5}, {"software": []}, {"software": {1: 2}}, {"unknown": 1},
            {"conditions": "x"}, {"dials": {"a": float("nan")}}, {"dials": {"a": 10**30}}, {"refinements": {}},
            {"refinements": [1]}, {"refinements": [{}] * 300}, {"maker": "a\nb"}, {"maker": "x" * 65}, {"batch": -1},
            {"batch": 1.5}, {"strength": "x"}, {"mark": "zz"}, {"seeds": [-1]}, {"conditions": {"x": "y" * LARGEST}},
            {"dials": {"a": [[[[[[[[[[1]]]]]]]]]]}}, {"dials": {"x" * 300: 1}},
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("value", BAD, ids=lambda value: str(value)[:40])
def test_manifests_that_anybody_could_have_written_are_refused_in_one_sentence(value):
    with pytest.raises(TrustError):
        Manifest.from_json(value)


def test_a_manifest_that_holds_itself_is_refused():
    loop = {}
    loop["me"] = loop
    with pytest.raises(TrustError, match="too deeply"):
        manifest(conditions=loop)


def test_a_newer_manifest_says_so():
    with pytest.raises(TrustError, match="newer Maquette"):
        Manifest.from_json({"version": 2, "kind": "sampled", "time": TIME, "something": "new"})
