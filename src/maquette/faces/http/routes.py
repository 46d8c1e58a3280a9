"""The table of all routes. Whatever is served stands here: documents and tests of access are made from it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from maquette.faces.http import (
    live,
    metrics,
    openai,
    openapi,
    page,
    pictures,
    recipes,
    streams,
    things,
    uploads,
    verbs,
)
from maquette.faces.http.endpoint import Endpoint, Refusal, sentence

if TYPE_CHECKING:
    from maquette.faces.http.state import Studio

MODULES = (page, verbs, streams, things, pictures, uploads, recipes, live, openai, metrics, openapi)


@functools.cache
def table() -> Sequence[Endpoint]:
    """Every route, in the order in which a path is looked for."""
    own = [thing for module in MODULES for thing in vars(module).values() if isinstance(thing, Endpoint)]
    every = [*own, *verbs.endpoints()]
    seen = [(one.method, one.path) for one in every]
    double = {pair for pair in seen if seen.count(pair) > 1}
    if double:
        raise TypeError(f"two routes have one name: {double}")
    # The more of a path is fixed, the earlier it is looked for: recipes/check before {name}, {id}.png before {id}.
    return sorted(every, key=lambda one: [part.startswith("{") + part.endswith("}") for part in one.path.split("/")])


def application(studio: Studio) -> Starlette:
    """The routes of one studio."""
    return Starlette(
        routes=[Route(one.path, _work(studio, one), methods=[one.method]) for one in table()],
        exception_handlers={404: _no_route, 405: _no_method, 500: _fault},
    )


def crowds(studio: Studio) -> dict[tuple[str, str], Callable[[], Refusal]]:
    """How a crowd is refused, by method and path."""
    return {(one.method, one.path): functools.partial(one.crowd, studio) for one in table() if one.crowd is not None}


def _work(studio: Studio, one: Endpoint) -> Any:
    async def work(request: Request) -> Response:
        began = time.perf_counter()
        response = await one(studio, request)
        studio.metrics.count(one.method, one.path, response.status_code, time.perf_counter() - began)
        return response

    return work


async def _no_route(request: Request, error: Exception) -> Response:
    return sentence(404, "there is nothing at this address.", path=request.url.path)


async def _no_method(request: Request, error: Exception) -> Response:
    allowed = getattr(error, "headers", None) or {}
    return sentence(405, f"{request.method[:16]} is not possible at this address.", allowed, request.url.path)


async def _fault(request: Request, error: Exception) -> Response:
    return sentence(500, f"this is a fault in Maquette ({type(error).__name__}).")
