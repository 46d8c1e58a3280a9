"""Where an image came from in the words of plain tools: XMP with the IPTC terms, EXIF and PNG text.

Anybody can change these, which is why the signature covers them and `verify` never calls them proof. They say the same
as the signed manifest, so an image that lost its signature can still be made again from them.
"""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from maquette.core.errors import TrustError
from maquette.store import disk
from maquette.store.digest import canonical_json
from maquette.trust.manifest import LARGEST, Manifest

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = SOURCE_TYPES + "trainedAlgorithmicMedia"
COMPOSITE = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
escape = functools.partial(html.escape, quote=False)
_OURS = "https://maquette.example/manifest/1/"
_SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/", "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "maquette": _OURS, "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
}  # fmt: skip
_MOST_XMP = 1 << 20
_SENTENCE = {
    "sampled": "Made by a trained model with Maquette.",
    "guided": "Made by a trained model with Maquette from an image that was given.",
    "edited": "Edited with Maquette.",
    "sheet": "Images made by a trained model with Maquette, side by side.",
}


def source_type(manifest: Manifest) -> str:
    """The IPTC term for how the image came to be. Only what was sampled from a seed alone counts as generated."""
    return GENERATED if manifest.kind == "sampled" else COMPOSITE


def _description(manifest: Manifest) -> str:
    """What is said of an image, as one block of RDF."""
    version = manifest.software.get("maquette", "")
    text = escape(canonical_json(manifest.to_json()).decode())
    creator = f"<dc:creator><rdf:Seq><rdf:li>{escape(manifest.maker)}</rdf:li></rdf:Seq></dc:creator>"
    spaces = "".join(f' xmlns:{name}="{_SPACES[name]}"' for name in ("dc", "xmp", "Iptc4xmpExt", "maquette"))
    return (
        f'<rdf:Description rdf:about="" xmlns:rdf="{_SPACES["rdf"]}"{spaces}>'
        f"<xmp:CreatorTool>Maquette {escape(version)}</xmp:CreatorTool>"
        f"<Iptc4xmpExt:DigitalSourceType>{source_type(manifest)}</Iptc4xmpExt:DigitalSourceType>"
        f"{creator if manifest.maker else ''}<maquette:manifest>{text}</maquette:manifest></rdf:Description>"
    )


def xmp(manifest: Manifest, before: bytes = b"") -> bytes:
    """The XMP packet of an image; what `before` said of its author and licence stays, what it said of its origin not.

    Ours stands first, because readers take the first value they find.
    """
    said = _description(manifest)
    start = before.find(b"<rdf:RDF")
    opened = before.find(b">", start) + 1
    if start >= 0 and opened and b"</rdf:RDF>" in before[opened:] and not read_xmp(before).trouble:
        text = (
            before[:opened].decode("utf-8", "replace") + said + _OLD.sub("", before[opened:].decode("utf-8", "replace"))
        )
        if not read_xmp(text.encode()).trouble:
            return text.encode()
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="{_SPACES["rdf"]}">{said}</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


_OLD = re.compile(r'<rdf:Description\b[^>]*xmlns:maquette="[^"]*"[^>]*>.*?</rdf:Description>', re.DOTALL)


def extras(manifest: Manifest, format: str) -> dict[str, Any]:
    """What Pillow is to write into the file beside the pixels."""
    software = f"Maquette {manifest.software.get('maquette', '')}".strip()
    if format == "tiff":
        tags: dict[int, Any] = {305: software, 270: _SENTENCE[manifest.kind], 700: xmp(manifest)}
        return {"tiffinfo": {**tags, 315: _ascii(manifest.maker)} if manifest.maker else tags}
    if format == "png":
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        text.add_text("Software", software)
        text.add_text("Description", _SENTENCE[manifest.kind])
        if manifest.maker:
            text.add_itxt("Author", manifest.maker)
        text.add_itxt("XML:com.adobe.xmp", xmp(manifest).decode())
        return {"pnginfo": text}
    from PIL import Image as Pillow

    exif = Pillow.Exif()
    exif[305], exif[270] = software, _SENTENCE[manifest.kind]
    if manifest.maker:
        exif[315] = _ascii(manifest.maker)
    return {"exif": exif.tobytes(), "xmp": xmp(manifest)}


def _ascii(name: str) -> str:
    return name.encode("ascii", "replace").decode()


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a file's plain metadata say."""

    there: bool = False
    """Whether they speak of where the image came from at all."""
    source: str = ""
    """The IPTC term for how it came to be, if it is one."""
    tool: str = ""
    manifest: Manifest | None = None
    trouble: str = ""
    """Why they cannot be believed even as words."""
    training: str = ""
    """The property that forbids to train on the image, with its value."""
    properties: Mapping[str, str] = field(default_factory=dict)


def read(picture: Any) -> Said:
    """What the metadata of an opened Pillow image say; anything may stand there."""
    packet = _packet(picture)
    if not packet:
        return Said()
    if len(packet) > _MOST_XMP:
        return Said(there=True, trouble="the XMP packet is far too large")
    return read_xmp(packet)


def _packet(picture: Any) -> bytes:
    found = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or b""
    if not found and getattr(picture, "tag_v2", None) is not None:
        found = picture.tag_v2.get(700, b"")
    if isinstance(found, str):
        return found.encode("utf-8", "replace")
    return bytes(found) if isinstance(found, (bytes, bytearray)) else b""


def read_xmp(packet: bytes) -> Said:
    """What an XMP packet says."""
    from xml.etree import ElementTree

    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return Said(there=True, trouble="the XMP packet declares entities, which no honest one does")
    start, end = packet.find(b"<"), packet.rfind(b">")
    try:
        tree = ElementTree.fromstring(packet[start : end + 1])
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError, OverflowError):
        return Said(there=b"DigitalSourceType" in packet, trouble="the XMP packet is damaged")
    properties = _properties(tree)
    source = properties.get("Iptc4xmpExt:DigitalSourceType", "")
    tool = " ".join(properties.get("xmp:CreatorTool", "").split())[:200]
    manifest, trouble = None, ""
    text = properties.get("maquette:manifest")
    if text is not None:
        try:
            manifest = parse(text)
        except TrustError as error:
            trouble = error.what
    known = source.removeprefix(SOURCE_TYPES) if source.startswith(SOURCE_TYPES) else ""
    return Said(
        there=bool(known) or text is not None, source=known[:60] if re.fullmatch(r"\w+", known) else "", tool=tool,
        manifest=manifest, trouble=trouble, training=_forbids(properties), properties=properties,
    )  # fmt: skip


def parse(text: str) -> Manifest:
    """A manifest from JSON that anybody may have written."""
    if len(text) > 2 * LARGEST:
        raise TrustError("the manifest is far too large")
    try:
        return Manifest.from_json(disk.parse_json(text))
    except ValueError as error:
        raise TrustError(f"the manifest cannot be read ({error})") from None


def _properties(tree: Element) -> dict[str, str]:
    """The properties of known vocabularies, as `prefix:name`: elements and attributes count alike."""
    names = {f"{{{space}}}": prefix for prefix, space in _SPACES.items()}
    found: dict[str, str] = {}
    for element in tree.iter():
        pairs = [(element.tag, "".join(element.itertext()).strip() or element.get(_RESOURCE, ""))]
        for key, value in [*pairs, *element.attrib.items()]:
            space, _, name = str(key).rpartition("}")
            prefix = names.get(space + "}")
            if prefix and prefix != "rdf" and len(found) < 100:
                found.setdefault(f"{prefix}:{name}", value)
    return found


_RESOURCE = f"{{{_SPACES['rdf']}}}resource"
_FORBIDDEN = "DMI-PROHIBITED"
"""All values of the PLUS vocabulary that begin like this forbid it, at least without asking."""


def _forbids(properties: Mapping[str, str]) -> str:
    """The property of the PLUS vocabulary (which IPTC adopted) that forbids training, with its value."""
    value = properties.get("plus:DataMining", "").strip().rpartition("/")[2][:80]
    return f"plus:DataMining {value}" if value.startswith(_FORBIDDEN) else ""


def without_manifest(said: Said) -> dict[str, Any]:
    """What a person wants to know of it, as JSON."""
    found = {"source": said.source, "tool": said.tool, "trouble": said.trouble, "training": said.training}
    return {key: value for key, value in found.items() if value}


def to_text(manifest: Manifest) -> str:
    """The manifest as JSON for people."""
    return json.dumps(manifest.to_json(), indent=2, ensure_ascii=False)
