"""The verb `edit-walk`: a film that wanders through a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maquette.core.errors import UsageError
from maquette.core.event import Event, Made, Note, Result, Table
from maquette.core.settings import setting
from maquette.operations._edits import Bench, Editing, Point, bench, points_of
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from maquette.core.noise import Mix
    from maquette.engine.latent.walk import Route
    from maquette.store.workspace import Workspace

TILES = 12
"""Frames on the sheet."""
SPAN = 1 << 42
"""The seeds that span a round about one image: far from the seeds of people."""


@dataclass(frozen=True, kw_only=True)
class Walk(Editing):
    """Where it leads, how long it takes, and as what it is written."""

    direction: tuple[str, ...] = setting(
        (), "of one image or seed: to and fro along directions of the run, so far", repeat=True, form="NAME=AMOUNT"
    )
    count: int = setting(120, "frames", ge=2, le=200_000)
    loop: bool = setting(True, "go on from the last image to the first, so that the film can be shown again and again")
    easing: str = setting("none", "smooth slows down at every image", choices=("none", "smooth"))
    even: bool = setting(True, "steps that look equally long; else they are equally long in the model's numbers")
    wander: float = setting(
        0.3, "of one image or seed alone: how far the round about it leads (1: to others)", gt=0, le=1
    )
    film: str = setting("webp", "what the film is written as", choices=("webp", "gif", "mp4", "webm", "none"))
    rate: float = setting(24.0, "frames a second", gt=0, le=50)
    stills: bool = setting(False, "also write every frame as an image of its own, signed")


@operation
def edit_walk(request: Walk, workspace: Workspace) -> Iterator[Event]:
    """Walk through a model from image to image, or seed to seed, as a film: in steps that look equally long.

    For example: maquette edit walk first --seeds 1,5,9 --to out; or a round about your photograph that closes:
    maquette edit walk first photo.png --wander 0.2 --to out --film mp4.
    """
    from maquette.core.film import FILMS
    from maquette.core.motion import Watch
    from maquette.engine.latent.walk import Circle, Curve, Swing, places

    verb = "edit-walk"
    if request.film == "none" and not request.stills:
        raise UsageError("nothing would be written", do="give --stills, or a kind of film")
    on = yield from bench(request, workspace, verb, images=bool(request.source))
    points = yield from points_of(request, on, verb, alike=True)
    route: Route
    directions = _directions(request, on, len(points))
    if directions is not None:
        route = Swing(closed=request.loop)
    elif len(points) == 1:
        route = Circle(request.wander)
        yield Note(text="one image alone: a round about it")
    else:
        route = Curve(len(points), closed=request.loop)
    way = _Way(on, points, directions)

    def look(some: Sequence[float]) -> NDArray[Any]:
        return way.images([route.weights(place) for place in some])

    along = places(route, request.count, smooth=request.easing == "smooth", look=look if request.even else None)
    watch = Watch()
    shown: list[NDArray[Any]] = []
    every = max(1, request.count // TILES)
    frames = way.frames([route.weights(place) for place in along], request.stills)

    def seen() -> Iterator[NDArray[Any]]:
        for number, frame in enumerate(frames):
            watch.see(frame)
            if number % every == 0 and len(shown) < TILES:
                shown.append(frame)
            yield frame

    films = []
    if request.film == "none":
        yield from _counted(seen(), on, request.count)
    else:
        path = on.to / f"walk{FILMS[request.film]}"
        said = {"model": on.model_digest, "seeds": [point.seed for point in points if point.seed is not None]}
        with on.press.film_file(path, request.film, request.rate, said) as film:
            for done, frame in enumerate(seen(), start=1):
                film.add(frame)
                if done % 16 == 0 or done == request.count:
                    yield on.progress(verb, done, request.count, "frames")
        films.append(str(path))
        workspace.index.add_images([path], [{"run": str(on.run.path), "kind": "film"}])
        yield Made(path=str(path), what="film")
        if request.film == "webm" and request.sign == "on":
            yield Note(text="WebM files cannot carry a signature; the sheet and the stills do")
    motion = dataclasses.asdict(watch.motion())
    yield Table(
        title="The walk", columns=("frames", "mean step", "unevenness", "flicker", "closure"),
        rows=[[f"{motion[key]:g}" for key in ("frames", "step", "unevenness", "flicker", "closure")]],
    )  # fmt: skip
    if request.sheet:
        from maquette.core.image import sheet

        scale = max(1, 96 // max(shown[0].shape))
        on.press.sheet(on.to / "sheet.png", sheet(shown, columns=len(shown), scale=scale), {"model": on.model_digest})
        yield Made(path=str(on.to / "sheet.png"), what="sheet")
    yield from on.finish(workspace)
    facts = {"films": films, "images": [str(path) for path in on.written], "motion": motion, "to": str(on.to)}
    summary = f"{request.count:,} frames through {len(points)} images and seeds in {on.to}."
    yield Result(verb=verb, facts=facts, value=films or [str(path) for path in on.written], summary=summary)


def _directions(request: Walk, on: Bench, points: int) -> NDArray[Any] | None:
    """What is added to latents at the far end of a walk along directions; None where it leads along none."""
    from maquette.engine.latent.directions import named, read
    from maquette.operations.edit_apply import amounts_of

    if not request.direction:
        return None
    if points != 1:
        raise UsageError(f"a walk along directions begins at one image, not {points}", do="give one image or seed")
    known = read(on.run, on.latents.width)
    parts = [amount * named(known, name).vector for name, amount in amounts_of(request.direction).items()]
    return sum(parts[1:], parts[0])


def _counted(frames: Iterator[Any], on: Bench, total: int) -> Iterator[Event]:
    for done, _ in enumerate(frames, start=1):
        if done % 16 == 0 or done == total:
            yield on.progress("edit-walk", done, total, "frames")


class _Way:
    """From weights of points to pictures: of seeds as the model makes them, of images through their latents."""

    def __init__(self, on: Bench, points: Sequence[Point], direction: NDArray[Any] | None) -> None:
        import numpy as np

        self._on, self._points, self._direction = on, list(points), direction
        self._seeds = [point.seed for point in points if point.seed is not None]
        self._pure = len(self._seeds) == len(points) and direction is None
        self._row = points[0].found.rows
        if len(points) == 1 and direction is None:
            spanning = range(SPAN, SPAN + 2)
            self._seeds += spanning
            rows = {name: np.repeat(value, 2, 0) for name, value in self._row.items()}
            strange = on.latents.of_seeds(spanning, rows)
            self._latents = [points[0].found.latents[0], *strange.latents]
        else:
            self._latents = [point.found.latents[0] for point in points]

    def images(self, plans: Sequence[Sequence[float]]) -> NDArray[Any]:
        """N H W C."""
        import numpy as np

        return np.stack(list(self.frames(plans, False)))

    def frames(self, plans: Sequence[Sequence[float]], stills: bool) -> Iterator[NDArray[Any]]:
        """One picture for each plan, a few at a time; written on the way where stills are asked for."""
        import numpy as np

        from maquette.core.noise import Mix
        from maquette.engine.latent.latents import Found
        from maquette.engine.sample import vouched

        on, together, number = self._on, self._on.latents.model.together, 0
        for start in range(0, len(plans), together):
            some = plans[start : start + together]
            rows = {name: np.repeat(value, len(some), 0) for name, value in self._row.items()}
            if self._pure:
                mixes: list[int | Mix] = [Mix(tuple(self._seeds), tuple(plan)) for plan in some]
                (made,) = vouched(on.latents.model, on.model_digest, mixes, rows, on.latents.options)
                pictures = [one.picture for one in made]
            else:
                latents = np.stack([self._at(plan) for plan in some])
                pictures = list(on.latents.images(Found(latents, rows)))
            for row, picture in enumerate(pictures):
                if stills and self._pure:
                    on.generated(f"frames/{number + 1:06d}", made[row], rows, row)
                elif stills:
                    step = {"op": "edit-walk", "weights": [round(weight, 6) for weight in some[row]]}
                    on.edited(f"frames/{number + 1:06d}", picture, self._points, step)
                number += 1
                yield picture

    def _at(self, plan: Sequence[float]) -> NDArray[Any]:
        """One row of latents."""
        import numpy as np

        from maquette.engine.latent.latents import blended

        if self._direction is not None:
            return np.asarray(self._latents[0] + self._direction * plan[0], np.float32)
        return blended(self._latents, plan)
