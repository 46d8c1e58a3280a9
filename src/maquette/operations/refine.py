"""The verb `refine`: take images, generated or not, to the finished ones by a recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.choices import TILES, Format, Tile
from maquette.core.errors import UsageError, nearest
from maquette.core.event import Event, Made, Note, Result, Table
from maquette.core.settings import argument, setting, to_json
from maquette.core.words import plural
from maquette.core.workers import FORM, Workers
from maquette.operations.operation import in_memory, operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.refining.recipe import Recipe
    from maquette.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Refine:
    """Which images, what is done with them, and where to."""

    source: tuple[str, ...] = argument(
        "images, folders of images, or patterns such as 'shots/*.jpg'", many=True, default=()
    )
    to: str = setting("", "the folder for the finished images", form="FOLDER")
    with_: str = setting("", "what is done, in words", form='"OP DIAL=VALUE, ..."')
    recipe: str = setting("", "what is done, by the name of a recipe or its file", form="NAME|FILE")
    format: Format = setting("png", "the kind of file")
    seed: int = setting(0, "another seed, other grain; each image has its own by its name", ge=0, lt=2**63)
    tile: Tile = setting("", "the images are tiles along these axes, and stay seamless")
    sheet: bool = setting(False, "also write a sheet of the first images before and after")
    metadata: bool = setting(True, "keep what the files say about author, camera, place and resolution")
    sign: str = setting("on", "whether images are signed as edits of their source", choices=("on", "off"))
    maker: str = setting("", "the name that signed images carry; none when left out", form="NAME")
    overwrite: bool = setting(False, "write over files that are there already")
    workers: str | int | None = setting(
        None, "images at a time, one a processor when left out; or a Ray cluster", form=FORM
    )
    list: bool = setting(False, "say which ops and recipes there are")
    explain: str = setting("", "say what an op or a recipe does, and what it takes", form="NAME|FILE")


@operation
def refine(request: Refine, workspace: Workspace) -> Iterator[Event]:
    """Finish images by a recipe: sharpen, blur, cut out, colour, resize and more, on one image or ten thousand.

    For example: maquette refine photos --to out --with "white-balance, sharpen amount=0.4". What there is: --list.
    The same command again goes on where it was ended; files that are there already stay as they are.
    """
    if request.list:
        yield from _list()
        return
    if request.explain:
        yield from _explain(request.explain)
        return
    import maquette
    from maquette.core.heap import keep_freed
    from maquette.engine.files.batch import Batch
    from maquette.engine.files.refine import Elsewhere, before_and_after
    from maquette.engine.files.refine import refine as work
    from maquette.engine.files.signed import Finisher
    from maquette.refining import recipe as recipes
    from maquette.trust.examine import Examiner
    from maquette.trust.keys import Keys
    from maquette.trust.press import Press

    if not request.source:
        raise UsageError(
            "there is nothing to refine", do="give images, folders or patterns; --list says what can be done"
        )
    if not request.to:
        raise UsageError("refine needs a folder for the finished images", do="give it with --to FOLDER")
    keep_freed()
    recipe = chosen(request.with_, request.recipe)
    workers = Workers.read(request.workers)
    batch = Batch(
        recipe=recipe, to=Path(request.to).expanduser(), format=request.format, seed=request.seed,
        tile=request.tile, workers=workers.count, metadata=request.metadata, overwrite=request.overwrite,
        software=_software(), hand=models(workspace),
    )  # fmt: skip
    press = Press(workspace.home, format=request.format, sign=request.sign == "on", maker=request.maker)
    with Examiner(Keys(workspace.home).anchors(), workers=batch.threads) as examiner:
        finish = Finisher(press, examiner, batch, {"maquette": maquette.__version__})
        elsewhere = None
        if workers.ray is not None:
            settings = {
                "request": to_json(dataclasses.replace(request, source=(), to=str(batch.to), workers=None)),
                "home": str(workspace.home.absolute()), "recipe": recipes.to_json(recipe), "software": batch.software,
            }  # fmt: skip
            elsewhere = Elsewhere("maquette.operations._refining", settings, workers)
        for event in work(request.source, dataclasses.replace(batch, finish=finish), elsewhere):
            if not isinstance(event, Result):
                yield event
                continue
            result = event
    if request.sheet:
        press.sheet(_sheet_path(batch.to), before_and_after(request.source, batch), {"software": finish.software})
        yield Made(path=str(_sheet_path(batch.to)), what="sheet")
    yield _introduced(result, workspace)


def _sheet_path(to: Path) -> Path:
    return to / "before-after.png"


def _software() -> str:
    import maquette

    return f"Maquette {maquette.__version__}"


def chosen(words: str, named: str) -> Recipe:
    """The recipe that was asked for, written out in full."""
    from maquette.refining.named import named as by_name
    from maquette.refining.named import recipe

    if bool(words) == bool(named):
        raise UsageError(
            "refine needs to know what is to be done" if not words else "--with and --recipe say two things",
            do='give --with "OP, OP ..." or --recipe NAME|FILE',
        )
    return recipe(words) if words else by_name(named)


def models(workspace: Workspace) -> Callable[[str], Callable[..., Any]]:
    """Opens a trained model for an op that takes one, by its run; each once."""
    import functools

    @functools.cache
    def hand(run: str) -> Callable[..., Any]:
        from maquette.engine.files.hand import callable_of

        return callable_of(workspace.run_path(run))

    return hand


def _introduced(result: Result, workspace: Workspace) -> Result:
    """The result with its pictures; the index knows them from now on."""
    from maquette.operations.sample import Pictures

    facts = result.facts
    paths = [Path(path) for path in facts["images"]]
    workspace.index.add_images(paths, [{"recipe": facts["recipe"]}] * len(paths))
    aside = f"; set aside: {len(facts['set_aside']):,}" if facts["set_aside"] else ""
    there = len(paths) - int(facts["new"])
    old = f", {there:,} of them were there already" if there else ""
    return Result(
        verb="refine", facts=facts, value=Pictures(paths),
        summary=f"{plural(len(paths), 'image')} in {facts['to']}{old}{aside}.",
    )  # fmt: skip


# What there is


def _list() -> Iterator[Event]:
    from maquette.refining import named, registry
    from maquette.refining.schema import OP_KINDS

    schemas = registry.schemas()
    for kind in OP_KINDS:
        rows = [(schema.name, schema.summary) for schema in schemas.values() if schema.kind == kind]
        if rows:
            title = {"select": "Masks, for: on MASK: ...", "colour": "Colour", "segment": "Segmentation"}
            yield Table(title=title.get(kind, kind.capitalize()), columns=("op", "what it does"), rows=rows)
    recipes = {name: named.shipped(name) for name in named.names()}
    if recipes:
        rows = [(name, recipe.about) for name, recipe in recipes.items()]
        yield Table(title="Recipes", columns=("recipe", "what it is for"), rows=rows)
    facts: Mapping[str, Any] = {
        "ops": [schema.to_json() for schema in schemas.values()],
        "recipes": [{"name": name, "about": recipe.about} for name, recipe in recipes.items()],
    }
    yield Result(
        verb="refine", facts=facts, summary=f"{len(schemas)} ops and {len(recipes)} recipes.",
        next=("maquette refine --explain NAME",),
    )  # fmt: skip


def _explain(name: str) -> Iterator[Event]:
    from maquette.refining import named, registry
    from maquette.refining import recipe as recipes

    if recipes.is_recipe(name):
        recipe = named.named(name)
        said = named.shipped(name) if name in named.names() else recipe
        yield Note(text=recipe.about or "This recipe does not say what it is for.")
        rows = [(str(at + 1), line) for at, line in enumerate(_lines(said))]
        yield Table(title=name, columns=("step", "what is done"), rows=rows)
        facts = {"recipe": name, "about": recipe.about, "text": str(said), "json": recipes.to_json(said)}
        yield Result(
            verb="refine", facts=facts, next=(f"maquette refine IMAGE --to out --recipe {name}",),
            summary="To change it, write the steps into a file of your own, one a line, and give that: FILE.recipe.",
        )  # fmt: skip
        return
    if name not in registry.schemas():
        do = nearest(name, [*registry.schemas(), *named.names()], recipes.LIST)
        raise UsageError(f"there is no op or recipe {name!r}", do=do)
    from maquette.core.words import form, sentence
    from maquette.refining.schema import STRENGTH

    schema = registry.schema(name)
    kind = {"select": "mask", "segment": "segmentation"}.get(schema.kind, schema.kind)
    yield Note(text=f"{schema.name} ({kind}): {schema.summary}")
    if schema.description:
        yield Note(text=" ".join(schema.description.split()))
    edge = (recipes.GROW, recipes.FEATHER) if schema.kind == "select" else ()
    dials = [dial.described() for dial in (*schema.dials, *edge, STRENGTH)]
    rows = [(f"{dial.option}={form(dial)}", sentence(dial)) for dial in dials]
    yield Table(title="Dials", columns=("dial", "what it does"), rows=rows)
    needed = "".join(f" {dial.option}={form(dial)}" for dial in dials if dial.required)
    words = f"on {name}{needed}: sharpen" if schema.kind == "select" else f"{name}{needed}"
    yield Result(
        verb="refine", facts={"op": schema.to_json()}, next=(f'maquette refine IMAGE --to out --with "{words}"',),
        summary="Dials that are left out keep their defaults.",
    )  # fmt: skip


def _lines(recipe: Recipe) -> Sequence[str]:
    from maquette.refining.text import item_text

    return [*(["precise"] if recipe.precise else []), *(item_text(item) for item in recipe.items)]


# Arrays


@in_memory
def arrays(
    images: Any, recipe: Any, *, seed: int = 0, tile: Tile = "", masks: Mapping[str, Any] | None = None,
    read: Callable[[str], Any] | None = None, hand: Callable[[str], Any] | None = None,
) -> Any:  # fmt: skip
    """An array (height x width x channels; uint8, uint16, or floats in [0, 1]) gives an array; a list gives a list.

    mq.refine(array, "white-balance, sharpen amount=0.4")
    mq.refine(array, "on sky: exposure stops=-0.5", masks={"sky": mask})
    mq.refine(array, [{"op": "sharpen", "amount": 0.4}], seed=7)
    The recipe is text, a path, or what JSON has. `read` reads the image files that a recipe names, `hand` opens models.
    """
    from maquette.refining import named
    from maquette.refining.op import Context
    from maquette.refining.run import refine as work

    if tile not in TILES:
        raise UsageError(f"refine: tile = {tile!r} is not possible", do=nearest(tile, [t for t in TILES if t]))
    context = Context(seed=seed, tile=tile, read=read or _read, hand=hand, masks=masks or {})
    ready = named.recipe(recipe, masks=tuple(context.masks))
    if isinstance(images, (list, tuple)):
        return [work(image, ready, context) for image in images]
    if len(images.shape) == 4:
        import numpy as np

        return np.stack([work(image, ready, context) for image in images])
    return work(images, ready, context)


def _read(path: str) -> NDArray[Any]:
    """An image file, as strangers' files are read."""
    from maquette.engine.files.refine import read

    return read(path)
