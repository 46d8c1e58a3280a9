"""The verb `palette`: the few colours that images are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Result, Table
from maquette.core.settings import argument, setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace

ENDINGS = (".png", ".css", ".gpl", ".json")


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Of which images, how many colours, and where to."""

    image: tuple[str, ...] = argument("image files; several give one palette of all of them", many=True)
    count: int = setting(6, "how many colours", ge=1, le=256)
    to: str = setting(
        "", "also write it: a picture, or colours for style sheets, GIMP or programs", form="FILE.png|css|gpl|json"
    )
    overwrite: bool = setting(False, "write over a file that is there already")


@operation
def palette(request: Palette, workspace: Workspace) -> Iterator[Event]:
    """Say which few colours images are made of, the commonest first.

    Use them in a recipe: maquette refine photo.jpg --to out --with "palette colours=#102030:#d0a060".
    """
    from maquette.core.files import write_bytes
    from maquette.engine.files.refine import read
    from maquette.refining.colour.palette import extract, hexadecimal

    to = Path(request.to).expanduser() if request.to else None
    if to is not None and to.suffix.lower() not in ENDINGS:
        raise UsageError(f"a palette is not written as {to.suffix or to.name!r}", do=f"use one of {', '.join(ENDINGS)}")
    if to is not None and to.exists() and not request.overwrite:
        raise UsageError("there is a file already", where=to, do="choose another name, or give --overwrite")
    if not request.image:
        raise UsageError("there is no image to look at", do="give one or more image files")
    found, shares = extract(*_together([read(path) for path in request.image]), count=request.count)
    names = hexadecimal(found)
    rows = [(name, f"{share:.1%}") for name, share in zip(names, shares, strict=True)]
    yield Table(title="Palette", columns=("colour", "share"), rows=rows)
    if to is not None:
        write_bytes(to, written(names, [float(share) for share in shares], to.suffix.lower()))
        yield Made(path=str(to), what="palette")
    facts: dict[str, Any] = {"colours": names, "shares": [round(float(share), 4) for share in shares]}
    facts |= {"file": str(to)} if to else {}
    yield Result(verb="palette", facts=facts, value=names, summary=f"colours={':'.join(names)}")


def _together(images: Sequence[Any]) -> tuple[Any, Any]:
    """A sample of all images as one, and how much each pixel counts; every image counts alike."""
    import numpy as np

    from maquette.refining.colour.measure import apart, sample
    from maquette.refining.pixels import to_depth, to_float, with_channels

    pixels, counts = [], []
    for image in images:
        colour, weights, _ = apart(with_channels(image, 3))
        some, count = sample(to_depth(to_float(colour), np.uint8), weights, 60_000 // len(images))
        pixels.append(some)
        counts.append(count / max(float(count.sum()), 1e-9))
    return np.concatenate(pixels)[None], np.concatenate(counts)[None]


def written(names: Sequence[str], shares: Sequence[float], ending: str) -> bytes:
    """The palette as the bytes of a file."""
    if ending == ".css":
        lines = [f"  --colour-{at}: {name};" for at, name in enumerate(names, 1)]
        return "\n".join([":root {", *lines, "}", ""]).encode()
    if ending == ".gpl":
        levels = [tuple(int(name[at : at + 2], 16) for at in (1, 3, 5)) for name in names]
        lines = [
            f"{red:3d} {green:3d} {blue:3d}\t{name}" for (red, green, blue), name in zip(levels, names, strict=True)
        ]
        return "\n".join(["GIMP Palette", "Name: Maquette", f"Columns: {len(names)}", "#", *lines, ""]).encode()
    if ending == ".json":
        import json

        rows = [{"colour": name, "share": round(share, 4)} for name, share in zip(names, shares, strict=True)]
        return (json.dumps(rows, indent=2) + "\n").encode()
    import numpy as np

    from maquette.core.image import encode
    from maquette.refining.colour.palette import cells, from_hexadecimal

    if not names:
        raise UsageError("nothing is visible in the images, so there is no palette to draw")
    return encode(cells(from_hexadecimal(tuple(names)), np.asarray(shares, np.float32)))
