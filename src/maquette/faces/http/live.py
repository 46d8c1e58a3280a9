"""Images at once: of a model that is kept ready, between seeds, and previews of recipes at the size of the screen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from maquette.core.errors import UsageError
from maquette.core.noise import Mix
from maquette.faces.http.endpoint import Call, Refusal, busy, endpoint
from maquette.faces.http.looks import WIDEST, fitted, quick, scaled
from maquette.faces.http.recipes import read

if TYPE_CHECKING:
    from maquette.engine.warm import Ready
    from maquette.faces.http.state import Studio

MOST_ROWS, WIDEST_STRIP, MOST_PIXELS = 64, 16_000, 1 << 25
"""Points of one strip, how wide it is at most, and how many pixels it has."""
PREVIEWS = 8
"""Previews that may wait; the page sends the newest alone."""
_POINT = {
    "seeds": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 64},
    "weights": {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 64},
}
WISHES = {
    "label": {"type": ["string", "null"]}, "text": {"type": ["string", "null"], "maxLength": 10_000},
    "number": {"type": "object", "additionalProperties": {"type": ["number", "string"]}},
    "dials": {"type": "object", "additionalProperties": {"type": ["number", "string", "boolean"]}},
}  # fmt: skip
_LIVE = {
    "type": "object",
    "properties": {
        "run": {"type": "string"}, **_POINT,
        "rows": {"type": "array", "items": {"type": "object", "properties": _POINT}, "maxItems": MOST_ROWS},
        **WISHES, "width": {"type": "integer", "minimum": 8, "maximum": WIDEST},
        "format": {"enum": ["png", "jpeg", "webp"]},
    },
    "required": ["run"],
}  # fmt: skip
_PREVIEW = {
    "type": "object",
    "properties": {
        "image": {"type": "string"}, "recipe": {"type": ["string", "array", "object"]},
        "width": {"type": "integer", "minimum": 8, "maximum": WIDEST},
        "seed": {"type": "integer", "minimum": 0}, "format": {"enum": ["png", "jpeg", "webp"]},
    },
    "required": ["image"],
}  # fmt: skip


async def ready_of(studio: Studio, path: Path) -> Ready:
    """The model of a run, loaded if it is not."""
    warm = await studio.waked()
    known: Ready | None = warm.fresh(path)
    return known if known is not None else await asyncio.to_thread(warm.open, path)


def given_of(ready: Ready, options: Any, body: Mapping[str, Any]) -> dict[str, Any]:
    """Label, text and numbers, by name of condition."""
    from maquette.operations._inputs import flat

    numbers = body.get("number") or {}
    if not isinstance(numbers, Mapping):
        raise UsageError("number is an object of names and values", do='send {"number": {"size": 0.5}}')
    words = {key: body.get(key) for key in ("label", "text")}
    for key, value in words.items():
        if value is not None and (not isinstance(value, str) or len(value) > 10_000):
            raise UsageError(f"{key} is text of at most 10,000 letters")
    request = SimpleNamespace(**words, number=[f"{name}={value}" for name, value in numbers.items()])
    return flat(request, ready.form(options))


def dials_of(ready: Ready, body: Mapping[str, Any]) -> Any:
    """The family's dials, checked."""
    dials = body.get("dials") or {}
    if not isinstance(dials, Mapping):
        raise UsageError("dials is an object of names and values")
    return ready.options({str(name).replace("-", "_"): _word(value) for name, value in dials.items()})


def _word(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float)) else str(value)


async def made_of(call: Call, future: Future[list[Any]]) -> list[Any]:
    """What a wish becomes; given up when nobody listens any more, so that its place is free."""
    waiting = asyncio.wrap_future(future)
    gone = asyncio.create_task(_gone(call))
    either: set[asyncio.Future[Any]] = {waiting, gone}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise Refusal(499, "the connection was closed.")
        return waiting.result()
    finally:
        gone.cancel()
        future.cancel()
        waiting.cancel()


async def _gone(call: Call) -> None:
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


def crowd(studio: Studio) -> Refusal:
    """The answer where as many wait as may, without looking at what is asked: a crowd is answered at once."""
    warm = studio._warm
    return busy(warm.patience if warm is not None else 1, f"{studio.queue} requests for images are waiting already")


def taken(ask: Any) -> Future[list[Any]]:
    """A wish that was taken; a full queue is told with the time to come again."""
    from maquette.engine.warm import BusyError

    try:
        future: Future[list[Any]] = ask()
    except BusyError as error:
        raise busy(error.seconds, error.what) from None
    return future


def _known(body: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    for key in body:
        if key not in schema["properties"]:
            raise UsageError(f"there is no {key[:40]!r} here", do=f"there are: {', '.join(schema['properties'])}")
    for key in schema["required"]:
        if not isinstance(body.get(key), str):
            raise UsageError(f"{key} must be given, as text")


def _whole(body: Mapping[str, Any], key: str, default: int | None, low: int, high: int) -> int | None:
    value = body.get(key)
    if value is None:
        return default
    if type(value) is not int or not low <= value <= high:
        raise UsageError(f"{key} = {str(value)[:40]} is not possible", do=f"give a whole number of {low} to {high}")
    return value


def _kind(body: Mapping[str, Any]) -> str:
    kind = body.get("format") or ""
    if kind not in ("", "png", "jpeg", "webp"):
        raise UsageError(f"format = {str(kind)[:40]!r} is not possible", do="give png, jpeg or webp")
    return str(kind)


def _rows(body: Mapping[str, Any]) -> Sequence[int | Mix]:
    rows = body.get("rows")
    if rows is None:
        rows = [{key: body[key] for key in ("seeds", "weights") if body.get(key) is not None}]
    if not isinstance(rows, list) or not 0 < len(rows) <= MOST_ROWS or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"rows are 1 to {MOST_ROWS} objects with seeds and weights")
    return [_row(row) for row in rows]


def _row(row: dict[str, Any]) -> int | Mix:
    mix = Mix.from_json(row)
    return mix.seeds[0] if len(mix.seeds) == 1 and mix.weights[0] > 0 else mix


@endpoint(
    "POST", "/api/live", "Images between seeds, at once", group="At once", body=_LIVE, media="image/*", crowd=crowd
)
async def live(studio: Studio, call: Call) -> Any:
    """One image, or several side by side; made by a pass as small as they are, and not signed."""
    began = time.perf_counter()
    body = call.body
    _known(body, _LIVE)
    width, kind, rows = _whole(body, "width", None, 8, WIDEST), _kind(body), _rows(body)
    ready = await ready_of(studio, studio.catalogue.named("run", body["run"]).path)
    options = dials_of(ready, body)
    given = given_of(ready, options, body)
    form = ready.form(options)
    wide = width or form.width
    if len(rows) * wide > WIDEST_STRIP or wide * wide * form.height // form.width * len(rows) > MOST_PIXELS:
        raise UsageError(
            f"{len(rows)} tiles of {wide} pixels are too large a strip", do="ask for fewer or smaller ones"
        )
    future = taken(lambda: studio.warm.ask(ready, rows, given, options, exact=False))
    images = await made_of(call, future)
    content, media, shape = await asyncio.to_thread(_strip, images, width, kind)
    headers = {
        "x-seconds": f"{time.perf_counter() - began:.4f}", "x-count": str(len(images)),
        "x-tile-width": str(shape[1]), "x-tile-height": str(shape[0]),
    }  # fmt: skip
    return Response(content, media_type=media, headers=headers)


def _strip(images: Sequence[Any], width: int | None, kind: str) -> tuple[bytes, str, tuple[int, ...]]:
    import numpy as np

    tiles = [scaled(image, width) for image in images]
    content, media = quick(np.concatenate(tiles, axis=1), kind)
    return content, media, tiles[0].shape


class Previews:
    """Two previews at a time, a few that wait, and no more."""

    def __init__(self) -> None:
        self._two, self._lock, self._waiting = threading.Semaphore(2), threading.Lock(), 0

    @contextlib.contextmanager
    def turn(self) -> Any:
        """One's turn, or that there are too many."""
        with self._lock:
            if self._waiting >= PREVIEWS:
                raise busy(1, f"{self._waiting} previews are waiting already")
            self._waiting += 1
        try:
            with self._two:
                yield
        finally:
            with self._lock:
                self._waiting -= 1


PREVIEWING = Previews()


@endpoint("POST", "/api/preview", "What a recipe makes of an image, at the size of the screen", group="At once",
          body=_PREVIEW, media="image/*")  # fmt: skip
def preview(studio: Studio, call: Call) -> Any:
    """The image is made smaller first; an empty recipe shows it as it is."""
    from maquette.refining.op import Context
    from maquette.refining.recipe import shrunk, to_json
    from maquette.refining.run import run

    began = time.perf_counter()
    body = call.body
    _known(body, _PREVIEW)
    width, kind = _whole(body, "width", 1024, 8, WIDEST), _kind(body)
    seed = _whole(body, "seed", 0, 0, 2**63 - 1)
    path = studio.catalogue.path_of(body["image"])
    if path.is_dir():
        raise UsageError("the image is a folder", do="name one file of it")
    recipe = body.get("recipe") or ""
    ready = read(recipe, studio.catalogue, paths=studio.paths) if recipe else None
    with PREVIEWING.turn():
        image, whole = studio.looks.small(path, width or 1024)
        if ready is not None:
            shape, halves = image.shape[:2], studio.looks.halves(path, width or 1024)
            if (width or 1024) < whole:
                ready = shrunk(ready, (width or 1024) / whole)
            halves.files |= {Path(word) for word in _words(to_json(ready)) if os.path.isabs(word)}

            def beside(name: str) -> Any:
                halves.files.add(Path(name))
                return _beside(studio, Path(name), shape)

            def hand(name: str) -> Any:
                halves.models = True
                return _hand(studio, name)

            image = run(ready, image, Context(seed=seed or 0, read=beside, hand=hand), halves)
        content, media = quick(scaled(image, None), kind)
    headers = {
        "x-seconds": f"{time.perf_counter() - began:.4f}", "x-width": str(image.shape[1]),
        "x-height": str(image.shape[0]), "x-scale": f"{min(1.0, (width or 1024) / whole):.4f}",
    }  # fmt: skip
    return Response(content, media_type=media, headers=headers)


def _words(value: Any) -> Iterator[str]:
    """All text in a JSON value: what may be the name of a file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _words(part)


def _beside(studio: Studio, path: Path, shape: tuple[int, ...]) -> Any:
    """A mask or another image that a recipe names: of the shape of the image as it is shown, where it has its form."""
    image = studio.looks.image(path)
    if abs(image.shape[0] * shape[1] / (image.shape[1] * shape[0]) - 1) > 0.02:
        return image
    return fitted(image, shape[1], shape[0])


def _hand(studio: Studio, run: str) -> Any:
    """A trained model for an op that takes one."""
    from maquette.operations.refine import models

    return models(studio.workspace)(run)
