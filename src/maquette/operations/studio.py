"""The verb `studio`: the page in the browser and the API, on this machine, for whoever holds the token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from maquette.core.event import Event
from maquette.core.registry import Registry
from maquette.core.settings import setting
from maquette.operations.operation import operation

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace

PORT = 8737


@dataclass(frozen=True, kw_only=True)
class Studio:
    """Where it listens, who may come in, and how much it takes on."""

    port: int = setting(PORT, "the port; 0 takes any that is free", ge=0, le=65535)
    host: str = setting("127.0.0.1", "the address to listen at; one that other machines reach needs a token of yours")
    browser: bool = setting(True, "open the page in your browser, where there is one")
    token: str = setting(
        "", "the token that lets in, of at least 16 letters; else MAQUETTE_TOKEN, else the workspace's own"
    )
    new_token: bool = setting(False, "make another token for the workspace; what holds the old one is locked out")
    allow_host: tuple[str, ...] = setting(
        (), "a further name under which this machine is asked, such as one of a proxy", repeat=True, form="NAME"
    )
    allow_paths: bool = setting(
        False, "let requests name files and folders of this machine, as the command line does; off, they name uploads, "
        "images, datasets and runs of the workspace alone",
    )  # fmt: skip
    queue: int = setting(128, "how many jobs, and how many images at once, may wait", ge=1, le=10_000)
    at_once: int = setting(2, "how many jobs work at a time beside one that trains", ge=1, le=64)


@operation
def studio(request: Studio, workspace: Workspace) -> Iterator[Event]:
    """Open the studio: a page in the browser and an API, where all that the command line can is done.

    It listens on this machine alone and lets in who holds the token. Ctrl-C ends it; what is in work goes on, and is
    there again when the studio is opened the next time.
    """
    yield from SERVERS.get("http")(request, workspace)


def _pick(module: ModuleType) -> Callable[[Any, Any], Iterator[Event]]:
    serve: Callable[[Any, Any], Iterator[Event]] = module.serve
    return serve


SERVERS: Registry[Callable[[Any, Any], Iterator[Event]]] = Registry("maquette.faces", "server", _pick)
"""Faces stand above the verbs, which never import them: like a verb, a server is found by the name of its file."""
