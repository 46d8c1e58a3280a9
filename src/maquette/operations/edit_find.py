"""The verb `edit-find`: directions along which the images of a model change."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maquette.core.errors import ConditionError, DataError, UsageError, nearest
from maquette.core.event import Event, Made, Note, Result
from maquette.core.settings import argument, parse_seconds, setting
from maquette.operations._edits import Bench, bench
from maquette.operations._strips import strips
from maquette.operations.operation import operation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maquette.store.workspace import Workspace

SIDE = 1000
"""Training images of each side that are looked at."""


@dataclass(frozen=True, kw_only=True)
class Find:
    """Of which model, and what the directions are to lead to; by themselves when nothing is said."""

    run: str = argument("the run of a generator")
    name: str = setting("", "what the direction is to be called; a name is made up when left out")
    count: int = setting(6, "how many, where nothing says what they lead to", ge=1, le=64)
    class_: str = setting("", "towards training images of this label, and away from the others", form="LABEL")
    word: str = setting("", "towards training images whose caption has this word, and away from the others")
    like: tuple[str, ...] = setting((), "towards these images: ten are a good number", repeat=True, form="FILE|FOLDER")
    unlike: tuple[str, ...] = setting((), "and away from these", repeat=True, form="FILE|FOLDER")
    keep: tuple[str, ...] = setting((), "directions of the run along which nothing is to change", form="NAME,NAME")
    to: str = setting("", "also write a sheet of strips here: a row a direction", form="FOLDER")
    seed: int = setting(0, "the seed whose image the strips change", ge=0)
    fit: float = setting(
        60.0, "how long to train the encoder of a run that needs one and has none", read=parse_seconds, gt=0, le=86400,
        form="TIME",
    )  # fmt: skip
    label: str | None = setting(None, "the label of the images that are looked at, of those the model knows")
    text: str | None = setting(None, "their text")
    number: tuple[str, ...] = setting((), "a number the model knows", repeat=True, form="NAME=VALUE")


@operation
def edit_find(request: Find, workspace: Workspace) -> Iterator[Event]:
    """Find directions along which a model's images change: by themselves, or from labels, words or examples.

    For example: maquette edit find first; or maquette edit find first --like smiling --unlike serious --name smile.
    They are kept with the run: see edit directions, edit apply.
    """
    from maquette.engine.latent.directions import NAME, Direction, keep, named, read, scaled, without

    verb = "edit-find"
    ways = [bool(request.class_), bool(request.word), bool(request.like or request.unlike)]
    if sum(ways) > 1:
        raise UsageError("a direction leads to one thing", do="give one of --class, --word, and --like with --unlike")
    if request.name and not NAME.fullmatch(request.name):
        raise UsageError(f"{request.name!r} cannot be a name", do="take up to 64 letters, digits, - and _")
    on = yield from bench(request, workspace, verb, images=False)
    known = read(on.run, on.latents.width)
    kept = [named(known, name) for name in request.keep]
    rows = on.rows_of(range(on.latents.model.together))
    new: list[Direction] = []
    if any(ways):
        vector, how, where = yield from _sided(request, on, verb)
        name = request.name or re.sub(r"[^\w-]+", "-", request.class_ or request.word or "examples").strip("-")[:64]
        new.append(Direction(name or "direction", scaled(on.latents, without(vector, kept), rows), how, where))
    else:
        from maquette.engine.latent.directions import PASSES, strongest

        found: list[NDArray[np.float32]] = []
        for step in strongest(on.latents, request.count, rows):
            if isinstance(step, int):
                yield on.progress(verb, step, PASSES, "looks")
            else:
                found = step
        stem = request.name or "found"
        new += [
            Direction(f"{stem}-{number}", scaled(on.latents, without(vector, kept), rows), "found")
            for number, vector in enumerate(found, start=1)
        ]
    known |= {direction.name: direction for direction in new}
    keep(on.run, list(known.values()))
    sheet = ""
    if request.to:
        sheet = strips(on, new, request.seed)
        yield Made(path=sheet, what="sheet")
    yield Note(text=f"maquette edit apply {on.run.path.name} --seeds 1,2 --direction {new[0].name}=1 --to out")
    facts = {"directions": [d.name for d in new], "how": [d.how for d in new], "all": list(known), "sheet": sheet}
    summary = f"{len(new)} directions ({', '.join(d.name for d in new[:6])}) are kept with {on.run.path.name}."
    yield Result(verb=verb, facts=facts, value=facts["directions"], summary=summary)


def _sided(
    request: Find, on: Bench, verb: str
) -> Generator[Event, None, tuple[NDArray[np.float32], str, NDArray[np.float32]]]:
    """The direction from one side to the other, in words how it was learned, and where the sides differ."""
    from maquette.engine.latent.directions import towards, where_of

    examples = bool(request.like or request.unlike)
    if examples:
        if not (request.like and request.unlike):
            raise UsageError("a direction has two sides", do="give --like and --unlike")
        sides = [_files(request.like, on), _files(request.unlike, on)]
        likely = [dict(on.latents.likely(images, on.table, on.given)) if _own(on) else {} for images in sides]
        how = f"{len(sides[0])} and {len(sides[1])} examples"
    else:
        sides, likely, how = _training_sides(request, on)
    looked = on.rows_of(range(512))
    vector: Any = None
    for step in towards(on.latents, sides[0], sides[1], likely[0], likely[1], looked):
        if isinstance(step, int):
            yield on.progress(verb, step, max(step, 2048), "images looked at")
        else:
            vector = step
    return vector, how, where_of(sides[0], sides[1])


def _own(on: Bench) -> bool:
    """Whether the model finds latents by itself, for which it must know conditions."""
    from maquette.families.family import Inverts

    return isinstance(on.latents.model, Inverts) and bool(on.latents.specs)


def _files(words: tuple[str, ...], on: Bench) -> NDArray[Any]:
    import numpy as np

    from maquette.engine.files.fitted import Files

    images = [fitted.image for fitted in Files(words, on.latents.model.spec) if fitted.image is not None]
    if not images:
        raise DataError("there is no image in it", where=words[0], do="give images or folders of them")
    return np.stack(images[:SIDE])


def _training_sides(request: Find, on: Bench) -> tuple[list[NDArray[Any]], list[dict[str, NDArray[Any]]], str]:
    """Training images with a label or a word, and others; their conditions; and how, in words."""
    import numpy as np

    from maquette.judge.evidence import pick

    if on.dataset is None:
        raise DataError("the dataset that the model learned from is not there", where=on.run.path,
                        do="give examples: --like FOLDER --unlike FOLDER")  # fmt: skip
    kind = "label" if request.class_ else "text"
    specs = [spec for spec in on.dataset.spec.conditions if spec.kind == kind]
    if not specs:
        raise ConditionError(f"the dataset has no {kind}", where=on.dataset.path, do="give examples: --like, --unlike")
    spec, indices = specs[0], on.dataset.indices("train")
    values = np.asarray(on.dataset.conditions(indices, [spec.name])[spec.name])
    if request.class_:
        if request.class_ not in spec.classes:
            raise ConditionError(
                f"there is no {spec.name} {request.class_!r}", do=nearest(request.class_, spec.classes)
            )
        has = values == spec.classes.index(request.class_)
        how = f"{spec.name} {request.class_}"
    else:
        word = request.word.lower()
        has = np.array([word in re.findall(r"[\w'-]+", (spec.describe(row) or "").lower()) for row in values])
        how = f"captions with {request.word}"
        if not has.any():
            raise ConditionError(f"no caption has the word {request.word!r}", where=on.dataset.path)
    chosen = [pick(indices[side], SIDE, seed=4) for side in (has, ~has)]
    names = [one.name for one in on.latents.specs]
    rows = [dict(on.dataset.conditions(some, names)) for some in chosen]
    return [on.dataset.images(some) for some in chosen], rows, how
