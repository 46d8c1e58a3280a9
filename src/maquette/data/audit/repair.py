"""From what an audit found to a better edition of the dataset: what is harmful is set aside, merged, cropped or moved.

The files that the dataset was made of are never touched, and neither are the dataset's own: a repair is a new edition
(`data/edition.py`), so it can be taken back as a whole, and single images can be brought back by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maquette.core.errors import DataError, UsageError, nearest
from maquette.core.settings import to_json
from maquette.core.words import plural
from maquette.data.audit.audit import Audit, Found
from maquette.data.dataset import ASIDE, PARTS, Dataset
from maquette.data.edition import Changes, revise

_TRAIN, _HELD_OUT = PARTS.index("train"), PARTS.index("held-out")
_FIRST = ("low-information", "too-dark", "too-bright", "blurred", "upscaled")
"""What is set aside before anything else is decided: such an image is never the one that a group keeps."""


@dataclass(kw_only=True)
class Plan:
    """What a repair will do, image by image (items of the dataset)."""

    aside: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Item -> check and reason."""
    cropped: dict[int, str] = field(default_factory=dict)
    moved: dict[int, str] = field(default_factory=dict)
    """Held-out images that will be trained on, with the check that asks for it."""

    def __bool__(self) -> bool:
        return bool(self.aside or self.cropped or self.moved)

    def words(self) -> str:
        """What was done."""
        parts = [
            f"{plural(len(self.aside), 'image')} set aside" if self.aside else "",
            f"{plural(len(self.cropped), 'image')} cropped" if self.cropped else "",
            f"{plural(len(self.moved), 'held-out image')} moved to the images to train on" if self.moved else "",
        ]
        return ", ".join(part for part in parts if part) or "nothing"


def plan(audit: Audit, *, also: Sequence[str] = (), leave: Sequence[str] = ()) -> Plan:
    """Decide. Harmful findings are acted on, and those in `also`, apart from those in `leave`."""
    known = [one.check.name for one in audit.found]
    for name in (*also, *leave):
        if name not in known:
            raise UsageError(f"the audit has no check {name!r}", do=nearest(name, known))
    for name in also:
        if not audit[name].check.action:
            raise UsageError(f"there is no repair for {name!r}", do=f"{audit[name].check.advice}")
    chosen = [
        one
        for one in audit.found
        if one.finding and one.check.action and one.check.name not in leave
        and (one.severity == "harmful" or one.check.name in also)
    ]  # fmt: skip
    chosen.sort(key=lambda one: (_order(one), one.check.name))
    made = Plan()
    for one in chosen:
        _ACTIONS[one.check.action](audit, one, made)
    for item in made.aside:
        made.cropped.pop(item, None)
        made.moved.pop(item, None)
    return made


def _order(one: Found) -> int:
    if one.check.name in _FIRST:
        return 0
    return {"set-aside": 1, "crop": 2, "merge": 3, "move": 4}[one.check.action]


def _set_aside(audit: Audit, one: Found, made: Plan) -> None:
    for k in one.finding.all_items:
        words = one.finding.why.get(int(k), "")
        reason = f"{one.check.title.lower()}: {words}" if words else one.check.title.lower()
        made.aside.setdefault(int(audit.survey.indices[k]), (one.check.name, reason))


def _crop(audit: Audit, one: Found, made: Plan) -> None:
    for k in one.finding.beyond:
        made.aside.setdefault(int(audit.survey.indices[k]), (one.check.name, "little is left inside its borders"))
    for k in one.finding.all_items:
        made.cropped[int(audit.survey.indices[k])] = one.finding.why.get(int(k), one.check.title.lower())


def _merge(audit: Audit, one: Found, made: Plan) -> None:
    """Keep the best that is still there; of a group on both sides the one to train on, so that nothing leaks."""
    survey = audit.survey
    for group in one.finding.groups:
        items = [int(survey.indices[k]) for k in group]
        there = [k for k, item in zip(group, items, strict=True) if item not in made.aside]
        if len(there) < 2:
            continue
        keep = there[0]
        there = [keep, *(k for k in there[1:] if survey.stories[k] == survey.stories[keep])]
        if survey.held_out[keep] and not all(survey.held_out[k] for k in there):
            made.moved[int(survey.indices[keep])] = "leakage"
        kept = survey.path(int(keep))
        for k in there[1:]:
            words = one.finding.why.get(int(k), "")
            reason = f"{one.check.title.lower().removesuffix('s')} of {kept}" + (f" ({words})" if words else "")
            made.aside.setdefault(int(survey.indices[k]), (one.check.name, reason))


def _move(audit: Audit, one: Found, made: Plan) -> None:
    """Held-out copies join the images to train on, unless a merge has left only one side."""
    survey = audit.survey
    for group in one.finding.groups:
        there = [k for k in group if int(survey.indices[k]) not in made.aside]
        held = [k for k in there if survey.held_out[k]]
        if held and len(held) < len(there):
            made.moved |= {int(survey.indices[k]): one.check.name for k in held}


_ACTIONS: Mapping[str, Callable[[Audit, Found, Plan], None]] = {
    "set-aside": _set_aside, "crop": _crop, "merge": _merge, "move": _move,
}  # fmt: skip


def repair(audit: Audit, made: Plan) -> Dataset:
    """Carry the plan out as a new edition, with a manifest of every decision."""
    survey = audit.survey
    data = survey.data
    if not made:
        return data
    parts = parts_of(data)
    parts[list(made.aside)] = ASIDE
    parts[list(made.moved)] = _TRAIN
    if not (parts == _TRAIN).any():
        raise DataError(
            "the repair would leave nothing to train on", where=data.path, do="leave some checks out with --leave"
        )
    place = {int(item): k for k, item in enumerate(survey.indices)}
    fixes = {one.check.name: one.check.fix for one in audit.found if one.check.fix}
    fix = next(iter(fixes.values()), None)

    def cropped(item: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
        assert fix is not None
        return lambda image: fix(image, survey, place[item])

    listed = [*data.set_aside(), *(_aside(data, item, *why) for item, why in sorted(made.aside.items()))]
    changes = Changes(
        what=f"repaired: {made.words()}",
        parts=parts,
        images={item: cropped(item) for item in made.cropped},
        set_aside=listed if made.aside else None,
    )
    return revise(data, changes, manifest=_manifest(audit, made))


def _manifest(audit: Audit, made: Plan) -> dict[str, Any]:
    """Where the images came from, what was looked for, and what was decided about which image and why."""
    data = audit.survey.data
    decided = (
        [(item, "set aside", *why) for item, why in made.aside.items()]
        + [(item, "cropped", "borders", why) for item, why in made.cropped.items()]
        + [(item, "moved to train", why, "a copy is trained on") for item, why in made.moved.items()]
    )
    return {
        "sources": data.description["settings"].get("sources", []),
        "fingerprints": data.description["settings"].get("fingerprints", []),
        "items": {"file": data.file("items.jsonl").name, "digest": data.description["records"]["items.jsonl"]},
        "grade before": audit.grade,
        "checks": {one.check.name: {"settings": to_json(one.settings), "found": one.sentence} for one in audit.found},
        "decisions": [
            {
                "item": item, "path": record.get("path", ""), "digest": record.get("digest", ""),
                "decision": decision, "check": check, "reason": reason,
            }
            for item, decision, check, reason in sorted(decided)
            for record in (data.item(item),)
        ],
    }  # fmt: skip


def parts_of(data: Dataset) -> NDArray[np.uint8]:
    """Which part every image belongs to, to be changed."""
    parts = np.full(len(data), ASIDE, np.uint8)
    for number, name in enumerate(PARTS):
        parts[data.indices(name)] = number
    return parts


def _aside(data: Dataset, item: int, check: str, reason: str) -> dict[str, Any]:
    held = bool(np.isin(item, data.indices("held-out")))
    path = str(data.item(item).get("path", f"image {item}"))
    return {"path": path, "reason": reason, "check": check, "item": item, "part": PARTS[int(held)]}


def find(data: Dataset, names: Sequence[str], *, aside: bool = False) -> NDArray[np.int64]:
    """The items whose path is one of these names, or fits one (`*` stands for anything); of those in use, or aside."""
    in_use = np.zeros(len(data), bool)
    in_use[data.indices("train")] = in_use[data.indices("held-out")] = True
    wanted = ~in_use if aside else in_use
    plain = {name for name in names if not any(sign in name for sign in "*?[")}
    patterns = [name for name in names if name not in plain]
    found, met = [], set()
    for index in np.flatnonzero(wanted):
        path = str(data.item(int(index)).get("path", ""))
        hit = path if path in plain else next((p for p in patterns if fnmatchcase(path, p)), None)
        if hit is not None:
            met.add(hit)
            found.append(int(index))
    lost = [name for name in names if name not in met]
    if lost:
        raise DataError(
            f"no image {'that was set aside ' if aside else ''}is called {lost[0]!r}"
            + (f" (and {len(lost) - 1} more names)" if len(lost) > 1 else ""),
            where=data.path, do="give paths as maquette audit --json lists them; * stands for anything",
        )  # fmt: skip
    return np.array(found, np.int64)


def set_aside(data: Dataset, items: NDArray[np.int64], *, check: str, reason: str) -> Dataset:
    """Set images aside, in a new edition."""
    parts = parts_of(data)
    items = items[parts[items] != ASIDE]
    if not len(items):
        return data
    parts[items] = ASIDE
    if not (parts == _TRAIN).any():
        raise DataError("nothing would be left to train on", where=data.path, do="keep some images")
    listed = [*data.set_aside(), *(_aside(data, int(item), check, reason) for item in items)]
    what = f"{plural(len(items), 'image')} set aside ({reason})"
    return revise(data, Changes(what=what, parts=parts, set_aside=listed), manifest={"items": items.tolist()})


def bring_back(data: Dataset, items: NDArray[np.int64]) -> Dataset:
    """Bring images back that were set aside, each into the part it came from, in a new edition."""
    parts = parts_of(data)
    wanted = set(items[parts[items] == ASIDE].tolist())
    if not wanted:
        return data
    listed = data.set_aside()
    came = {row["item"]: row.get("part", "train") for row in listed if row.get("item") in wanted}
    for item in wanted:
        parts[item] = PARTS.index(came.get(item, "train"))
    kept = [row for row in listed if row.get("item") not in wanted]
    what = f"{plural(len(wanted), 'image')} brought back"
    return revise(data, Changes(what=what, parts=parts, set_aside=kept), manifest={"items": sorted(wanted)})
