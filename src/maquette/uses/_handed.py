"""What leaves: the gates before it, the DICOM files beside the signed images, and what the report says of both."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError
from maquette.core.event import Event, Note, Progress
from maquette.operations._uses import Figure, Work
from maquette.uses._measures import judged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.engine.trial import Labelled


MANY = 0.05
"""A model that surely copies in more cases than this hands nothing out; what it copies less often stays behind by the
gate, one by one."""


def told(unit: str, done: int, total: int) -> Progress:
    """How far a part of the work is."""
    return Progress(verb="use", done=done, total=total, unit=unit, seconds=0.0)


def refused(facts: Mapping[str, Any], tells: float) -> str:
    """Why nothing may leave, from the facts of `evaluate`; empty when it may."""
    metrics = facts["metrics"]
    copies, attack = metrics.get("copies"), metrics.get("membership")
    if copies is None or attack is None:
        return f"nothing can be said about copies ({facts.get('no_copies') or 'the images do not allow it'})"
    if copies["low"] > MANY:
        return f"{copies['value']:.1%} of what the model makes is too like one training scan"
    if attack["low"] > tells:
        return (
            f"somebody with the made scans could tell in {attack['value']:.0%} of cases which of two scans was learned "
            "from (half is guessing)"
        )
    return ""


def out(work: Work, label: str, count: int) -> Generator[Event, None, tuple[list[Path], int]]:
    """Signed images that passed the gate, and a DICOM file beside each; the files, and how many pairs are whole."""
    from maquette.core.files import write_bytes

    made = yield from work.do(
        "sample",
        run=work.at("model"),
        to=work.at("handed-out", "images"),
        label=label,
        count=count,
        release=True,
        sheet=False,
    )
    images = [Path(path) for path in made.facts["images"]]
    from maquette.trust.dicom import fresh_uid, paired, synthetic

    try:
        study, series = fresh_uid(), fresh_uid()
    except UsageError as error:  # without pydicom there are no DICOM files, and that is said
        yield Note(text=f"no DICOM files are written: {error}")
        return images, 0
    whole = 0
    for number, path in enumerate(images, 1):
        signed = path.read_bytes()
        beside = work.to / "handed-out" / "dicom" / f"{path.stem}.dcm"
        if not beside.is_file() or paired(beside.read_bytes(), signed):
            beside.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(beside, synthetic(signed, study=study, series=series, number=number))
        whole += not paired(beside.read_bytes(), signed)
        yield told("DICOM files", number, len(images))
    return images, whole


def shown(files: Sequence[Path], made: Labelled, rare: int) -> NDArray[Any]:
    """Made scans for the sheet: those that left, or those of the trial where none did."""
    import numpy as np

    from maquette.core.image import load

    return np.stack([load(path) for path in files[:24]]) if files else made.images[made.of(rare)][:24]


def figures(facts: Mapping[str, Any], tells: float, dicom: int, files: int) -> list[Figure]:
    """Copies, membership, what was learned from made scans alone, and the DICOM pairs."""
    metrics = facts["metrics"]
    found = [figure for figure in judged(facts) if figure.name == "copies"]
    if (attack := metrics.get("membership")) is not None:
        found.append(Figure(
            name="membership", value=attack["value"], low=attack["low"], high=attack["high"],
            goal=f"not surely above {tells}", reached=attack["low"] <= tells,
            says="how often a stranger who has the made scans tells which of two real scans was learned from; half is "
            "guessing. That this attack fails does not show that every attack fails.",
        ))  # fmt: skip
    if (alone := metrics.get("use-for-learning")) is not None:
        found.append(Figure(
            name="made scans alone", value=alone["value"], low=alone["low"], high=alone["high"],
            says="how well labels of real scans are recognised by what was learned from made scans alone, as a share "
            "of what as many real ones teach.",
        ))  # fmt: skip
    if files:
        found.append(Figure(
            name="DICOM files", value=dicom, goal=f"all {files}", reached=dicom == files,
            says="beside so many signed images lies a DICOM file with the same pixels, manifest and digest.",
        ))  # fmt: skip
    return found
