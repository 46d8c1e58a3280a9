"""Empty rooms furnished: a model of rooms fills in the part of a picture where furniture may stand."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.event import Event
from maquette.operations._uses import Figure, Work

if TYPE_CHECKING:
    from maquette.core.image import Image
    from maquette.core.page import Page
    from maquette.data.dataset import Dataset

SHOWN, WAYS = 3, 4
"""Empty rooms that are furnished, and in how many ways each."""


@dataclass(frozen=True)
class Rooms:
    """Empty rooms, and each of them furnished."""

    empty: list[Image]
    furnished: list[list[Path]]
    kept: float
    """The share of the pixels outside the mask that is as it was."""

    @property
    def files(self) -> list[Path]:
        """All that was made."""
        return [path for ways in self.furnished for path in ways]

    def figure(self) -> Figure:
        """Whether the room around the furniture stayed as it was."""
        return Figure(
            name="room kept", value=self.kept, goal="at least 0.95", reached=self.kept >= 0.95,
            says="the share of what lies outside the furnished part that is as it was in the empty room, to a "
            "hundredth of the range (near the mask it is brought to what is new).",
        )  # fmt: skip

    def show(self, page: Page, own: bool) -> None:
        """On the page: each empty room, and the ways to furnish it."""
        from maquette.core.image import load
        from maquette.core.page import Picture

        section = page.section("Empty rooms furnished", count=sum(map(len, self.furnished)))
        section.text(
            "The first picture is the empty room; in the others a model of rooms filled in the part where furniture "
            "may stand." + (" The rooms are drawn." if own else "")
        )
        for empty, ways in zip(self.empty, self.furnished, strict=True):
            section.pictures(
                [Picture(empty, "empty"), *(Picture(load(path), f"way {k + 1}") for k, path in enumerate(ways))]
            )


def furnish(work: Work, source: str, drawn: int, size: int, share: float) -> Generator[Event, None, Rooms]:
    """Learn from rooms (drawn ones without a source, of labels empty and furnished), and furnish empty ones."""
    import numpy as np

    from maquette.core.errors import DataError
    from maquette.core.image import load, save
    from maquette.data.drawn.rooms import FURNITURE

    given: dict[str, Any] = {"count": drawn} if not source else {"small": "enlarge"}
    made = yield from work.do(
        "ingest", source=[source or "drawn:rooms"], to=work.at("rooms.mq"), size=str(size), mode="rgb", **given
    )
    data: Dataset = made.value
    labels = [c for c in data.spec.conditions if c.kind == "label" and {"empty", "furnished"} <= set(c.classes)]
    if not labels:
        raise DataError(
            "the rooms are not told apart", where=data.path, do="put them into two folders, empty and furnished"
        )
    name, classes = labels[0].name, labels[0].classes
    yield from work.do(
        "train", dataset=work.at("rooms.mq"), to=work.at("furnisher"), family="flow", time=work.time(share),
        given=[name], seed=work.seed,
    )  # fmt: skip
    rows = np.concatenate([data.indices("held-out"), data.indices("train")])
    known = data.conditions(rows, [name])[name].reshape(-1)
    empty = list(data.images(rows[known == classes.index("empty")][:SHOWN]))
    left, top, right, bottom = FURNITURE
    height, width = data.spec.height, data.spec.width
    mask = np.zeros((height, width, 1), np.uint8)
    mask[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = 255
    (work.to / "rooms").mkdir(parents=True, exist_ok=True)
    where = save(mask, work.to / "rooms" / "mask.png")
    furnished, same = [], []
    for number, room in enumerate(empty):
        file = save(room, work.to / "rooms" / f"empty-{number + 1}.png")
        done = yield from work.do(
            "complete", run=work.at("furnisher"), source=str(file), mask=str(where), label="furnished", count=WAYS,
            to=work.at("furnished", f"room-{number + 1}"), sheet=False,
        )  # fmt: skip
        furnished.append([Path(path) for path in done.facts["images"]])
        for path in furnished[-1]:
            apart = np.abs(load(path).astype(int) - room.astype(int)).max(-1) <= 3
            same.append(float(apart[mask[..., 0] == 0].mean()))
    return Rooms(empty, furnished, float(np.mean(same)))
