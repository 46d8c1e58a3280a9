"""A page that makes images by itself: the graph, what runs it, and the card, in one file that needs no network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from numpy.typing import NDArray

from maquette.core.condition import FLAT
from maquette.core.errors import UsageError
from maquette.core.settings import describe
from maquette.engine.export.facts import UNSIGNED, inputs_of, stream_key
from maquette.engine.export.graph import Graph, Sampling
from maquette.trust.cards import STATEMENTS

ROWS = 512
"""Rows of labels that stand in the page, from which what is not asked for is chosen, as when sampling."""
_EXPORTS = re.compile(r"export\{([^}]*)\};")


def fits(graph: Graph) -> Sampling:
    """The graph as one that a page can show, or an error that says why it cannot."""
    if not isinstance(graph, Sampling):
        raise UsageError(
            f"a page makes images, and this model's graph is for {graph.what}", do="give a name that ends in .onnx"
        )
    unfit = [g.condition for g in graph.inputs if g.condition and g.condition.kind in ("map", "frames")]
    if unfit or graph.length > 1:
        what = "makes films" if graph.length > 1 else f"has to be given {unfit[0].name!r}, a {unfit[0].kind}"
        raise UsageError(f"this model {what}, and a page cannot do that", do="give a name that ends in .onnx")
    return graph


def page(graph: Graph, content: bytes, facts: Mapping[str, Any], table: Mapping[str, NDArray[Any]]) -> bytes:
    """The page as the bytes of an HTML file. `table` holds rows of conditions as they are in training."""
    sampling, card = fits(graph), facts["card"]
    title = str(card.get("name") or "A model")
    code = _runtime() + "\n" + _asset("assets", "worker.js").decode()
    script, style = _asset("assets", "page.js").decode(), _asset("assets", "page.css").decode()
    parts = {
        "policy": _policy(script, style), "version": html.escape(str(facts["maquette"])), "title": html.escape(title),
        "lead": html.escape(_lead(sampling, card)), "style": style, "card": _card(card, facts),
        "unsigned": html.escape(UNSIGNED), "facts": _data(_told(sampling, facts, title, table)),
        "worker": _packed(code.encode()), "model": _packed(content), "script": script,
        "runtime": base64.b64encode(_asset("runtime", "ort-wasm-simd-threaded.wasm.gz")).decode(),
    }  # fmt: skip
    template = _asset("assets", "page.html").decode()
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template).encode()


def _policy(script: str, style: str) -> str:
    """What the page may do: run its own script and the runtime, and ask nobody for anything."""
    return (
        f"default-src 'none'; script-src {_hash(script)} 'wasm-unsafe-eval'; style-src {_hash(style)}; "
        "worker-src blob:; base-uri 'none'; form-action 'none'"
    )


def _told(graph: Sampling, facts: Mapping[str, Any], name: str, table: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """What the script of the page has to know."""
    labels = [c for c in graph.form.conditions if c.kind == "label" and c.name in table]
    flat = [c for c in graph.form.conditions if c.kind in FLAT]
    # Texts and numbers of the training images stay where they are: only which labels go together is told.
    count = min((len(table[c.name]) for c in labels), default=0)
    rows = [{c.name: int(table[c.name][k]) for c in labels} for k in range(min(count, ROWS))]
    usual = {one.name: one.default for one in describe(type(graph.options))}
    settled = {name: value for name, value in graph.fixed.items() if value != usual.get(name)}
    normal = all(given.kind != "uniform" for given in graph.inputs)
    return {
        "name": name, "model": facts["model"], "form": facts["form"], "inputs": inputs_of(graph),
        "outputs": list(graph.outputs), "labels": [c.to_json() for c in labels], "rows": rows,
        "choice": stream_key("condition"), "usual": usual, "fixed": settled,
        "walk": graph.passes == 1 and normal and len(flat) == len(graph.form.conditions),
    }  # fmt: skip


def _lead(graph: Sampling, card: Mapping[str, Any]) -> str:
    words = [f"{graph.form.width} x {graph.form.height} pixels", f"a model of the family {card.get('family')}"]
    data = card.get("dataset") or {}
    if isinstance(data.get("learned_from"), int):
        words.append(f"learned from {data['learned_from']:,} images")
    about = (card.get("stated") or {}).get("about")
    return (f"{about} " if about else "") + ", ".join(words) + "."


def _card(card: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    data, stated = card.get("dataset") or {}, card.get("stated") or {}
    judged = card.get("judgement") or {}
    sources = ", ".join(str(one) for one in data.get("sources") or []) or "not known"
    audit = data.get("audit")
    rows = [
        ("family and size", f"{card.get('family')}, {card.get('scale')}"),
        ("parameters", f"{card['parameters']:,}" if isinstance(card.get("parameters"), int) else "unknown"),
        ("images seen in training", f"{card['images_seen']:,}" if card.get("images_seen") else "unknown"),
        ("learned from", f"{data.get('name') or 'unknown'}; sources: {sources}"),
        ("audited", "yes" if audit else "no"),
        ("judged", "; ".join(judged.get("said") or []) or "not yet"),
        *((what, stated.get(name) or "not stated") for name, what in STATEMENTS.items() if name != "about"),
        ("weights in this page", "half precision" if facts["weights"] == "half" else "single precision"),
        ("tried beside the model", _agreed(facts["agreement"])),
        ("digest of the model", facts["model"]), ("digest of the dataset", facts["dataset"] or "unknown"),
    ]  # fmt: skip
    lines = (f'<tr><th scope="row">{html.escape(k)}</th><td>{html.escape(str(v))}</td></tr>' for k, v in rows)
    return f"<table>{''.join(lines)}</table>"


def _agreed(found: Mapping[str, Any]) -> str:
    steps = found["largest"]
    return f"{found['images']} images; no number of a pixel differs by more than {steps:.3g} of 255 steps"


def _runtime() -> str:
    """The runtime's module as the beginning of a plain script: what it hands to importers is kept under the name `ort`.

    From a file on the disk browsers start no worker that is a module.
    """
    text = gzip.decompress(_asset("runtime", "ort.wasm.bundle.min.mjs.gz")).decode()
    found = _EXPORTS.search(text)
    assert found, "the runtime ends in another way than the one this was made for"
    names = (pair.split(" as ") for pair in found[1].split(","))
    shared = ",".join(f"{public}:{inner}" for inner, public in names if public != "default")
    return text[: found.start()].replace("import.meta.url", "self.location.href") + f"const ort={{{shared}}};\n"


def _asset(folder: str, name: str) -> bytes:
    return resources.files("maquette.engine.export").joinpath(folder, name).read_bytes()


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _data(value: Any) -> str:
    """JSON inside of a script element, which nothing in it can end."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
