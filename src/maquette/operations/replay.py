"""The verb `replay`: make an image again from what it says of itself, and compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError, TrustError, UsageError
from maquette.core.event import Event, Made, Note, Result, Warning
from maquette.core.settings import argument, required, setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.store.run import Run
    from maquette.store.workspace import Workspace
    from maquette.trust.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Which image, and the model that is said to have made it."""

    image: str = argument("the image to make again")
    model: str = required("the run that made it", form="RUN")
    given: tuple[str, ...] = setting(
        (), "a file that it was made from (of frames also a folder)", repeat=True, form="NAME=FILE"
    )
    to: str = setting("", "also write the image as it was made now", form="FILE.png")
    device: str = setting("cpu", "where to compute", choices=("cpu", "cuda", "mps"))


@operation
def replay(request: Replay, workspace: Workspace) -> Iterator[Event]:
    """Make an image again from its manifest and its model, and say whether it is identical, or how different and why.

    On one machine, build and number of threads it is identical, watermark included. An image that was refined is made
    again and refined again.
    """
    from maquette.engine.replay import again, difference
    from maquette.store.run import Run
    from maquette.trust.examine import examine
    from maquette.trust.keys import Keys

    path = Path(request.image).expanduser()
    if not path.is_file():
        raise TrustError("there is no such file", where=path, do="check the path")
    (report,) = examine([path], Keys(workspace.home).anchors(), workers=1)
    manifest, edits = _story(report, path)
    if report["status"] != "intact":
        yield Warning(text=f"{path.name} is {report['status']}: {report['words']}")
    run = Run.open(workspace.run_path(request.model))
    made, now = again(run, manifest, _given(request, run, manifest), request.device)
    reasons = _before(manifest, run)
    for edit in edits:
        yield Note(text=f"refined as it was: {', '.join(str(step.get('op', step)) for step in edit.refinements)}")
    picture = _finished(made.picture, manifest, edits, report["media"])
    found = _pixels(path)
    if picture.shape != found.shape or picture.dtype != found.dtype:
        reasons.append(f"the image has the form {_form(found)}, the model makes {_form(picture)}")
        apart: dict[str, float] | None = None
    else:
        apart = difference(picture, found)
    same = apart is not None and apart["largest"] == 0
    if not same:
        reasons += _since(manifest, now, report)
    if request.to:
        from maquette.trust.press import Press

        Press(workspace.home, sign=False).generated(Path(request.to).expanduser(), made, _facts(manifest))
        yield Made(path=request.to)
    facts = {
        "same": same, "difference": apart, "reasons": [] if same else reasons, "seed": manifest.seed,
        "status": report["status"], "model": run.facts.get("model"), "said_by": report.get("manifest_from"),
    }  # fmt: skip
    yield Result(verb="replay", facts=facts, summary=_summary(path, same, apart, facts["reasons"]))


def _story(report: Mapping[str, Any], path: Path) -> tuple[Manifest, list[Manifest]]:
    """The manifest of how a model made it, and those of all edits since, the oldest first."""
    from maquette.trust.manifest import Manifest

    if report["status"] == "unreadable":
        raise DataError(report["words"], where=path)
    chain = [report.get("manifest"), *(parent.get("manifest") for parent in report.get("parents", []))]
    edits: list[Manifest] = []
    for said in chain:
        if said is None:
            continue
        manifest = Manifest.from_json(said)
        if manifest.kind in ("sampled", "guided"):
            return manifest, edits[::-1]
        edits.append(manifest)
    what = "it was not made from a seed" if any(chain) else "it does not say how it was made"
    raise TrustError(what, where=path, do="only images that sample made can be made again")


def _before(manifest: Manifest, run: Run) -> list[str]:
    reasons = []
    if manifest.model != run.facts.get("model"):
        reasons.append(f"another model: then {manifest.model[:12]}..., now {str(run.facts.get('model'))[:12]}...")
    return reasons


def _since(manifest: Manifest, now: Mapping[str, str], report: Mapping[str, Any]) -> list[str]:
    """What is different from when the image was made, of all that pixels depend on."""
    reasons = [
        f"another {_NAMES[key]}: then {manifest.software[key]}, now {now[key]}"
        for key in _NAMES
        if key in manifest.software and manifest.software[key] != now.get(key)
    ]
    if report["status"] not in ("intact", "unknown-signer", "expired", "revoked"):
        reasons.append(f"the file is {report['status']}: its pixels or what it says may not be those that were made")
    return reasons


_NAMES = {
    "device": "device", "processor": "processor", "torch": "version of PyTorch", "threads": "number of threads",
    "numpy": "version of NumPy", "maquette": "version of Maquette",
}  # fmt: skip


def _given(request: Replay, run: Run, manifest: Manifest) -> dict[str, NDArray[Any]]:
    from maquette.engine.replay import form_of
    from maquette.operations._files import read

    if not request.given:
        return {}
    spec = form_of(run, manifest)
    large = {c.name: c for c in spec.conditions if c.kind in ("image", "map", "frames")}
    found: dict[str, NDArray[Any]] = {}
    for word in request.given:
        name, sign, file = word.partition("=")
        if not sign or name not in large:
            raise UsageError(f"{word!r} names no image that the model takes", do=f"there are: {', '.join(large)}")
        found[name] = read(file, large[name], spec)
    return found


def _finished(picture: NDArray[Any], manifest: Manifest, edits: list[Manifest], media: str) -> NDArray[Any]:
    """The pixels as the file would hold them: marked, refined, and through the losses of its format."""
    from maquette.core.image import encode
    from maquette.engine.files.signed import refined_again
    from maquette.trust.press import pixels_of, through_file

    # Before an edit the image lay in a file of its own; of which kind is not known, and losses would show.
    marked = through_file(picture, manifest, "image/png" if edits else media)
    for edit in edits:
        marked = refined_again(marked, edit)
    return pixels_of(encode(marked, _FORMATS.get(media, "png"))) if edits else marked


_FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp", "image/avif": "avif", "image/tiff": "tiff"}


def _pixels(path: Path) -> NDArray[Any]:
    from maquette.data.decoding.shape import WHOLE
    from maquette.data.ingest.decode import Decoder, Task

    with Decoder(1) as decoder:
        (outcome,) = decoder.decode([Task(content=path, form=WHOLE)])
    if outcome.image is None:
        raise DataError(outcome.reason, where=path)
    return outcome.image


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "family": manifest.family, "software": manifest.software, "dials": manifest.dials, "batch": manifest.batch,
        "conditions": manifest.conditions, "dataset": manifest.dataset, "set_aside": manifest.set_aside,
    }  # fmt: skip


def _form(image: NDArray[Any]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}x{image.shape[2]} {image.dtype}"


def _summary(path: Path, same: bool, apart: Mapping[str, float] | None, reasons: list[str]) -> str:
    if same:
        return f"{path.name}: identical, every pixel."
    why = f" ({'; '.join(reasons)})" if reasons else " (nothing that it says of itself differs)"
    if apart is None:
        return f"{path.name}: not the same image{why}."
    return (
        f"{path.name}: different in {apart['pixels']:.1%} of the pixels, by {apart['mean']:.3g} on average and "
        f"{apart['largest']:g} at most{why}."
    )
