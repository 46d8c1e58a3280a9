"""Cards: what a dataset or a model is, in a page for people and a file for programs, written from facts alone.

`refresh` writes `card.md` and `card.json` into the folder of a run or a dataset; `ingest`, `train`, `evaluate` and
`audit` call it, so that a card is never older than what it tells of. What only a person can know (licence, consent,
what it is for) stands in `statements.json` and is marked as stated, not as found.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maquette.core.errors import DataError, MaquetteError, TrustError
from maquette.core.files import write_bytes
from maquette.store import disk

STATEMENTS = {
    "about": "what it is", "licence": "licence of the images or the model",
    "consent": "consent of those shown or those who made the images",
    "uses": "what it is meant for", "not_for": "what it is not to be used for", "contact": "who answers for it",
}  # fmt: skip
"""What a person may state, and what is meant by it."""
_LONGEST = 2_000
_NOT_STATED = "not stated"


def state(folder: Path, given: Mapping[str, str]) -> None:
    """Keep what a person states about a run or a dataset; an empty text takes a statement back."""
    for name, text in given.items():
        if len(text) > _LONGEST or not all(letter.isprintable() or letter == "\n" for letter in text):
            raise TrustError(f"a statement has at most {_LONGEST:,} printable letters", where=name)
    kept = {name: text for name, text in {**statements(folder), **given}.items() if text}
    with disk.writing("the statements", folder / "statements.json", DataError):
        disk.write_object(folder / "statements.json", kept)


def statements(folder: Path) -> dict[str, str]:
    """What a person has stated."""
    found = _read(folder / "statements.json")
    return {name: text for name, text in found.items() if name in STATEMENTS and isinstance(text, str)}


def refresh(folder: Path) -> str:
    """Write the card of a run or a dataset anew. What is in the way is handed back in words, for the work is done."""
    try:
        card = facts(folder)
        write_bytes(folder / "card.json", disk.json_bytes(card))
        write_bytes(folder / "card.md", page(card).encode("utf-8", "replace"))
    except (OSError, MaquetteError, ValueError) as error:
        return f"the card of {folder} could not be written ({str(error).rstrip('.')})"
    return ""


def facts(folder: Path) -> dict[str, Any]:
    """All that is known of a run or a dataset."""
    if (folder / "run.json").is_file():
        return _model(folder)
    if (folder / "dataset.json").is_file():
        return _dataset(folder)
    raise DataError("there is neither a run nor a dataset here", where=folder)


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        return disk.read_object(path) if path.is_file() else {}
    return {}


def _dataset(folder: Path) -> dict[str, Any]:
    said = _read(folder / "dataset.json")
    if not said:
        raise DataError("its description cannot be read", where=folder)
    spec, settings = _table(said.get("spec")), _table(said.get("settings"))
    aside = _set_aside(_file(folder, said, "set_aside.jsonl"))
    learned, held_out, unused = _parts(_file(folder, said, "parts.npy"))
    sources = _list(settings.get("sources") or settings.get("source"))
    lists = _table(said.get("records"))
    return {
        "card": "dataset", "name": folder.name.removesuffix(".mq"), "digest": said.get("digest"),
        "images": said.get("count"), "created": said.get("created"), "learned_from": learned, "held_out": held_out,
        "not_in_use": unused, "edition": said.get("edition", 1),
        "changes": [str(one.get("what"))[:200] for one in _list(said.get("history")) if isinstance(one, dict)][:100],
        "size": f"{spec.get('width')}x{spec.get('height')}", "mode": spec.get("mode"),
        "conditions": [_condition(one) for one in spec.get("conditions") or []],
        # Sources by their last name only: a path may name a person.
        "sources": sorted({Path(str(one)).name or str(one) for one in sources}),
        "licences_found": _table(said.get("licences")),
        "set_aside": {"count": sum(aside.values()), "reasons": aside, "digest": lists.get("set_aside.jsonl")},
        "audit": _audit(folder, said.get("digest")), "stated": statements(folder),
    }  # fmt: skip


def _audit(folder: Path, digest: Any) -> dict[str, Any] | None:
    found = _read(folder / "audit.json")
    if not found:
        return None
    counts = {str(k): len(v) for k, v in _table(found.get("found")).items() if isinstance(v, list)}
    return {"of_this_content": found.get("digest") == digest, "findings": dict(sorted(counts.items()))}


def _condition(one: Any) -> dict[str, Any]:
    said = _table(one)
    classes = _list(said.get("classes"))
    return {"name": said.get("name"), "kind": said.get("kind"), **({"classes": classes} if classes else {})}


def _file(folder: Path, said: Mapping[str, Any], name: str) -> Path:
    """A file of the dataset as its newest edition has it."""
    newest = Path(str(_table(said.get("files")).get(name, name))).name
    return folder / newest


def _parts(path: Path) -> tuple[int | None, int | None, int | None]:
    """How many images are learned from, how many are held out, and how many are not in use."""
    import numpy as np

    try:
        parts = np.load(path, mmap_mode="r", allow_pickle=False)
        if parts.ndim != 1 or parts.dtype != np.uint8:
            return None, None, None
        counts = np.bincount(parts, minlength=2)
    except (OSError, ValueError, EOFError):
        return None, None, None
    return int(counts[0]), int(counts[1]), int(counts[2:].sum())


def _set_aside(path: Path) -> dict[str, int]:
    """Reasons (with numbers left out, so that like ones meet) and how often each was given, the most common first."""
    import re

    counts: dict[str, int] = {}
    for _, record in disk.read_lines(path):
        reason = re.sub(r"\d+", "N", str((record or {}).get("reason", "unknown")))[:200]
        counts[reason] = counts.get(reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:20])


def _model(folder: Path) -> dict[str, Any]:
    run = _read(folder / "run.json")
    if not run:
        raise DataError("its facts cannot be read", where=folder)
    recipe = _table(run.get("model_recipe") or run.get("recipe"))
    spec, data, plan = _table(recipe.get("spec")), _table(run.get("dataset")), _table(run.get("plan"))
    learned = Path(str(data.get("path", "")))
    dataset = _dataset(learned) if data.get("path") and (learned / "dataset.json").is_file() else None
    if dataset is not None and dataset["digest"] != data.get("digest"):
        dataset = None  # another one lies there now
    return {
        "card": "model", "name": folder.name, "digest": run.get("model"), "family": run.get("family"),
        "scale": run.get("scale"), "size": f"{spec.get('width')}x{spec.get('height')}", "mode": spec.get("mode"),
        "conditions": [_condition(one) for one in spec.get("conditions") or []], "parameters": _parameters(folder),
        "images_seen": run.get("images_seen"), "seconds": run.get("seconds"), "stopped": run.get("stopped"),
        "computed": {key: plan.get(key) for key in ("device", "precision", "threads", "seed") if key in plan},
        "dataset": dataset or {key: data.get(key) for key in ("name", "digest", "set_aside")},
        "judgement": _judgement(folder), "stated": statements(folder),
    }  # fmt: skip


def _parameters(folder: Path) -> int | None:
    """How many numbers the model file holds, by its header alone."""
    import math

    path = folder / "model.safetensors"
    with contextlib.suppress(OSError, ValueError):
        with disk.open_regular(path) as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = disk.parse_json(stream.read(length)) if length < 1 << 24 else {}
        shapes = [part["shape"] for name, part in header.items() if name != "__metadata__" and isinstance(part, dict)]
        return int(sum(math.prod(shape) for shape in shapes if all(type(side) is int for side in shape)))
    return None


def _judgement(folder: Path) -> dict[str, Any] | None:
    found = _read(folder / "evaluation.json")
    metrics = {
        name: {key: one.get(key) for key in ("value", "low", "high")}
        for name, one in _table(found.get("metrics")).items()
        if isinstance(one, Mapping)
    }
    if not metrics:
        return None
    return {
        "headline": found.get("headline"), "grade": found.get("grade"), "metrics": metrics,
        "copied": len(_list(found.get("copied"))), "said": [str(text)[:400] for text in _list(found.get("said"))[:10]],
    }  # fmt: skip


def _table(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]


# The page


def page(card: Mapping[str, Any]) -> str:
    """The card in Markdown."""
    model = card["card"] == "model"
    blocks = [f"# {'Model' if model else 'Dataset'} card: {_plain(card['name'])}"]
    about = card["stated"].get("about")
    blocks += [_plain(about)] if about else []
    blocks += _model_blocks(card) if model else _dataset_blocks(card, 2)
    blocks += ["## Stated by people", _statements(card["stated"])]
    if model:
        blocks += ["## What this card does not say", _CAUTION]
    return "\n\n".join(blocks) + "\n"


_CAUTION = (
    "That images of this model are unlike every training image, or that nothing about the training images can be "
    "learned from it: `maquette evaluate` looks for copies and says what it found. Images are signed when they are "
    "made; `maquette verify` says where one came from."
)


def _model_blocks(card: Mapping[str, Any]) -> list[str]:
    rows = [
        ("kind", _plain(f"{card['family']}, scale {card['scale']}")),
        ("images it makes", _plain(f"{card['size']} {card['mode']}")),
        ("can be asked for", _conditions(card["conditions"])), ("parameters", _number(card["parameters"])),
        ("images seen in training", _number(card["images_seen"])), ("training", _plain(_training(card))),
        ("digest of the model file", _code(card["digest"])),
    ]  # fmt: skip
    blocks = [_rows(rows), "## How good it is", _judged(card["judgement"]), "## What it learned from"]
    data = card["dataset"]
    if data.get("card") != "dataset":
        known = [("dataset", _plain(data.get("name"))), ("digest", _code(data.get("digest")))]
        return [*blocks, _rows([*known, ("more", "the dataset is not where it was, so only this is known")])]
    return [*blocks, *_dataset_blocks(data, 3), "### Stated about the dataset", _statements(data["stated"])]


def _training(card: Mapping[str, Any]) -> str:
    seconds, computed = card.get("seconds"), card["computed"]
    words = f"{seconds:,.0f} s" if isinstance(seconds, (int, float)) else "unknown time"
    return ", ".join([words, str(card.get("stopped") or "not finished"), *(f"{k} {v}" for k, v in computed.items())])


def _judged(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "Not judged yet: run `maquette evaluate`."
    lines = ["| measure | value | interval |", "| --- | --- | --- |"]
    for name, one in found["metrics"].items():
        mark = " (headline)" if name == found["headline"] else ""
        lines.append(
            f"| {_plain(name)}{mark} | {_number(one['value'])} | {_number(one['low'])} to {_number(one['high'])} |"
        )
    said = [f"- {_plain(text)}" for text in found["said"]]
    copies = f"Images flagged as copies of training images: {found['copied']:,}."
    return "\n\n".join(part for part in ("\n".join(said), "\n".join(lines), copies) if part)


def _dataset_blocks(card: Mapping[str, Any], level: int) -> list[str]:
    aside, licences = card["set_aside"], card["licences_found"]
    rows = [
        ("dataset", _plain(card["name"])), ("images", _number(card["images"])),
        ("form", _plain(f"{card['size']} {card['mode']}")), ("what is known of each", _conditions(card["conditions"])),
        ("sources", _plain(", ".join(card["sources"]) or "unknown")),
        ("learned from", _number(card["learned_from"])), ("held out, never trained on", _number(card["held_out"])),
        ("set aside later, not in use", _number(card["not_in_use"])), ("made", _plain(card["created"])),
        ("changed since it was ingested", _plain("; ".join(card["changes"]) or "no")),
        ("licences found in the sources", _plain("; ".join(f"{k}: {v}" for k, v in licences.items()) or "none")),
        ("digest", _code(card["digest"])), ("set aside", f"{aside['count']:,} files, list {_code(aside['digest'])}"),
    ]  # fmt: skip
    blocks = [_rows(rows)]
    if aside["reasons"]:
        reasons = "\n".join(f"- {count:,}: {_plain(reason)}" for reason, count in aside["reasons"].items())
        blocks += [f"{'#' * level} Why files were set aside", reasons]
    return [*blocks, f"{'#' * level} What the audit found", _audited(card["audit"])]


def _audited(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "Not audited yet: run `maquette audit`."
    findings = {name: count for name, count in found["findings"].items() if count}
    lines = [f"- {_plain(name)}: {count:,} images" for name, count in findings.items()] or ["Nothing was found."]
    old = [] if found["of_this_content"] else ["", "The audit is of an earlier content: run it again."]
    return "\n".join([*lines, *old])


def _statements(stated: Mapping[str, str]) -> str:
    rows = [(what, _plain(stated.get(name) or _NOT_STATED)) for name, what in STATEMENTS.items() if name != "about"]
    return _rows(rows)


def _conditions(conditions: Sequence[Mapping[str, Any]]) -> str:
    words = []
    for one in conditions:
        classes = [str(name) for name in one.get("classes", [])]
        more = f" ({', '.join(classes[:12])}{' and more' if len(classes) > 12 else ''})" if classes else ""
        words.append(f"{one['name']}: {one['kind']}{more}")
    return _plain("; ".join(words) or "nothing")


def _rows(rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "| --- | --- |", *(f"| {_plain(name)} | {text} |" for name, text in rows)])


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else "unknown"


def _code(value: Any) -> str:
    text = str(value)
    return f"`{text}`" if text.isalnum() else _plain(value)


def _plain(value: Any) -> str:
    """Text that means nothing to Markdown or HTML: names come from folders that anybody may have made."""
    text = " ".join(str("unknown" if value is None else value).split())
    for letter in "\\|`*_[]#":
        text = text.replace(letter, f"\\{letter}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
