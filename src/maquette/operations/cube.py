"""The verb `cube`: what a recipe does to colours, as a look-up table that other programs read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Result
from maquette.core.settings import setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.refining.recipe import Recipe
    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Cube:
    """Which recipe, how fine, and where to."""

    with_: str = setting("", "what is done, in words", form='"OP DIAL=VALUE, ..."')
    recipe: str = setting("", "what is done, by the name of a recipe or its file", form="NAME|FILE")
    to: str = setting("", "the file that is written", form="FILE.cube")
    size: int = setting(33, "colours a side: 17 is enough for soft looks, 65 for hard ones", ge=2, le=129)
    overwrite: bool = setting(False, "write over a file that is there already")


@operation
def cube(request: Cube, workspace: Workspace) -> Iterator[Event]:
    """Write the look of a recipe as a .cube file, for video and photo programs.

    The recipe must treat each pixel by itself: what blurs, or measures the image first, has no table.
    """
    from maquette.operations.refine import chosen
    from maquette.refining.colour.cube import Cube as Table

    if not request.to:
        raise UsageError("cube needs a file to write", do="give it with --to FILE.cube")
    to = Path(request.to).expanduser()
    if to.suffix.lower() != ".cube":
        raise UsageError(f"a look-up table is not written as {to.name!r}", do="let the name end with .cube")
    if to.exists() and not request.overwrite:
        raise UsageError("there is a file already", where=to, do="choose another name, or give --overwrite")
    recipe = chosen(request.with_, request.recipe)
    _check_pointwise(recipe)
    table = Table.of(lambda colours: _run(recipe, colours), request.size, str(recipe))
    table.write(to)
    yield Made(path=str(to), what="look-up table")
    yield Result(
        verb="cube", facts={"file": str(to), "size": request.size, "recipe": str(recipe)}, value=to,
        summary=f"{to}: {request.size} x {request.size} x {request.size} colours",
        next=(f'maquette refine photo.jpg --to out --with "lut file={to}"',),
    )  # fmt: skip


def _run(recipe: Recipe, colours: Any) -> Any:
    from maquette.refining.op import Context
    from maquette.refining.run import run

    result = run(recipe, colours, Context())
    if result.shape != colours.shape:
        raise UsageError("the recipe changes the size, the alpha or the number of channels", do="leave that out")
    return result


def _check_pointwise(recipe: Recipe) -> None:
    """Fail if what becomes of a colour depends on the others, by trying some alone, mixed up, and apart."""
    import numpy as np

    generator = np.random.default_rng(11)
    colours = generator.random((24, 24, 3), dtype=np.float32)
    whole = _run(recipe, colours)
    order = generator.permutation(24 * 24)
    mixed = _run(recipe, colours.reshape(-1, 3)[order].reshape(24, 24, 3)).reshape(-1, 3)
    part = _run(recipe, np.ascontiguousarray(colours[:5, :7]))
    off = max(np.abs(mixed - whole.reshape(-1, 3)[order]).max(), np.abs(part - whole[:5, :7]).max())
    if off > 1e-3:
        raise UsageError(
            "this recipe looks at more than one pixel at a time, so no table of colours can hold it",
            do="leave out what blurs, sharpens, adds grain or measures the image first (white-balance, clahe, enhance)",
        )
