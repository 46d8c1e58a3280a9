"""Odd scans: those that lie farthest from all others, as the audit measures it."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maquette.core.event import Event, Note
from maquette.operations._uses import Figure, Work

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maquette.core.page import Page
    from maquette.data.audit.audit import Audit
    from maquette.data.dataset import Dataset

SHOWN = 16
MOST_LEFT_OUT = 0.1
"""Odd scans are kept where more than this share of a label would go with them."""


@dataclass(frozen=True)
class Odd:
    """The scans by how odd they are, the oddest first."""

    images: NDArray[Any]
    """The first of them."""
    names: list[str]
    """Those that are odd beyond what is usual."""
    planted: int
    """Of drawn scans: how many were drawn odd; 0 where that is not known."""
    caught: int
    """How many of those are among the oddest that many."""
    first: list[str]
    """The names of those that are shown, and what is known of them."""
    rows: NDArray[np.int64]
    """Which images of the dataset the odd ones are."""
    skipped: str = ""
    left_out: bool = False

    def figures(self) -> list[Figure]:
        """How many there are, and of drawn ones, how many were found."""
        if self.skipped:
            return []
        found = [Figure(
            name="odd scans", value=len(self.names),
            says="so many scans lie farther from all others than is usual; look at them before they teach anybody.",
        )]  # fmt: skip
        if self.planted:
            found.append(Figure(
                name="odd scans found", value=self.caught / self.planted, goal="at least 0.5",
                reached=self.caught >= 0.5 * self.planted,
                says=f"{self.planted} of the drawn scans are odd (upside down, metal, cut off, greys turned around); "
                f"this share of them is among the {self.planted} that look oddest.",
            ))  # fmt: skip
        return found

    def show(self, page: Page) -> None:
        """The oddest on the page."""
        from maquette.core.page import Picture

        section = page.section("Odd scans", tone="fair" if self.names else "good", count=len(self.names))
        if self.skipped:
            section.text(f"They were not looked for: {self.skipped}.")
            return
        section.text(
            "The scans that are least like all others, the oddest first. "
            + (
                "They were left out of learning and testing; nothing is deleted, and `--odd keep` leaves them in. Look "
                "at them: a rare finding may look odd."
                if self.left_out
                else "They were not left out."
            )
        )
        section.pictures([Picture(i, n) for i, n in zip(self.images, self.first, strict=True)])


def found(audit: Audit, data: Dataset) -> Odd:
    """The odd scans of an audit."""
    import numpy as np

    finding = audit["outliers"].finding
    if finding.skipped or not finding.charts:
        none = np.zeros(0, np.int64)
        return Odd(data.images([]), [], 0, 0, [], none, finding.skipped or "the audit left it out")
    order = np.argsort(-finding.charts[0].values, kind="stable")
    rows = audit.survey.indices[order].astype(np.int64)
    items = [data.item(int(row)) for row in rows]
    names = [str(item["path"]) for item in items]
    facts = [item.get("facts") or {} for item in items]
    odd = np.array([bool(fact.get("odd")) for fact in facts])
    planted = int(odd.sum())
    first = [str(fact.get("odd") or name.rpartition("/")[2][-24:]) for fact, name in zip(facts, names, strict=True)]
    count = len(finding.items)
    return Odd(
        data.images(rows[:SHOWN]), names[:count], planted, int(odd[:planted].sum()), first[:SHOWN], rows[:count]
    )  # fmt: skip


def left_out(work: Work, odd: Odd, data: Dataset, name: str) -> Generator[Event, None, tuple[Odd, Dataset]]:
    """The dataset without its odd scans, unless a label would lose many of its scans with them."""
    import numpy as np

    if any("item" in row for row in data.set_aside()):  # it was done by the same command before
        return dataclasses.replace(odd, left_out=True), data
    if not len(odd.rows):
        return odd, data
    labels = data.conditions(np.arange(len(data)), [name])[name].reshape(-1)
    for label, word in enumerate(data.spec.condition(name).classes):
        if (share := float((labels[odd.rows] == label).sum() / max(1, (labels == label).sum()))) > MOST_LEFT_OUT:
            yield Note(text=f"odd scans are kept: {share:.0%} of the scans of {word!r} are among them")
            return odd, data
    removed = yield from work.do("remove", dataset=str(data.path), finding=["outliers"])
    return dataclasses.replace(odd, left_out=True), removed.value
