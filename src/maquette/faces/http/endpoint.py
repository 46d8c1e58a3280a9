"""What one route of the API is: its path, what may be asked with it, and the work. The table of all is in routes.py."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from maquette.core.errors import MaquetteError, UsageError
from maquette.faces import trouble
from maquette.store import disk

if TYPE_CHECKING:
    from maquette.faces.http.state import Studio

SMALL = 1 << 20
"""Bytes of a body, where a route does not say otherwise."""


class Refusal(Exception):
    """An answer that is no success: its status, and one sentence."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})


def missing(what: str) -> Refusal:
    """There is no such thing."""
    return Refusal(404, f"there is no {what}; it may have been removed since.")


@dataclass(frozen=True)
class Parameter:
    """One word of a query."""

    kind: str
    """integer, number or text."""
    help: str
    default: Any = None
    ge: float | None = None
    le: float | None = None
    choices: tuple[str, ...] = ()

    def read(self, name: str, word: str) -> Any:
        """The value of a word, within its bounds."""
        if self.kind == "text":
            if len(word) > 4096 or (self.choices and word not in self.choices):
                told = f"one of {', '.join(self.choices)}" if self.choices else "at most 4,096 letters"
                raise UsageError(f"{name} = {word[:40]!r} is not possible", do=f"give {told}")
            return word
        try:
            value: float = int(word) if self.kind == "integer" and len(word) < 20 else float(word)
        except ValueError:
            raise UsageError(f"{name} = {word[:40]!r} is no number") from None
        if not (self.ge is None or value >= self.ge) or not (self.le is None or value <= self.le):
            raise UsageError(f"{name} = {word[:40]} is not possible", do=f"give {self.ge:g} to {self.le:g}")
        return int(value) if self.kind == "integer" else value

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        found: dict[str, Any] = {"type": {"text": "string"}.get(self.kind, self.kind)}
        if self.ge is not None:
            found["minimum"] = self.ge
        if self.le is not None:
            found["maximum"] = self.le
        if self.choices:
            found["enum"] = list(self.choices)
        if self.default is not None:
            found["default"] = self.default
        return found


@dataclass
class Call:
    """One request that was let in: the words of its path and query, and its body."""

    request: Request
    path: Mapping[str, Any]
    query: Mapping[str, Any]
    body: Any = None
    """The JSON of the body, where the route takes one."""

    @property
    def base(self) -> str:
        """The address of the studio as the caller sees it."""
        return f"{self.request.url.scheme}://{self.request.headers['host']}"


Work = Callable[["Studio", Call], Any]


@dataclass(frozen=True)
class Endpoint:
    """One route."""

    method: str
    path: str
    summary: str
    work: Work
    group: str = "Things"
    query: Mapping[str, Parameter] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    """JSON Schema of the body; None where there is none, or where the work reads it itself."""
    raw: bool = False
    """Whether the work reads the body itself."""
    form: Mapping[str, Any] | None = None
    """JSON Schema of the form that such a body is; None where it is the bytes of a file."""
    largest: int = SMALL
    """Bytes of the body."""
    media: str = "application/json"
    """What it answers with; where it depends on what is asked, all of them with commas between."""
    status: int = 200
    crowd: Callable[[Studio], Refusal] | None = None
    """How a request is refused, before its body is read, where all places for images are taken; None needs no place."""
    samples: Mapping[str, str] = field(default_factory=dict)
    """Words for the path, for the matrix of tests, where any word does not do."""

    async def __call__(self, studio: Studio, request: Request) -> Response:
        """Answer one request; whatever goes wrong becomes a status and a sentence."""
        try:
            if self.crowd is not None and studio.crowded:
                raise self.crowd(studio)
            call = Call(request, request.path_params, self._query(request))
            if self.body is not None:
                call.body = _object(await read_body(request, self.largest))
            elif not self.raw:
                await read_body(request, 0 if request.headers.get("content-length", "0") == "0" else SMALL)
            if inspect.iscoroutinefunction(self.work):
                return answer(await self.work(studio, call), self.status)
            return answer(await run_in_threadpool(self.work, studio, call), self.status)
        except Refusal as refusal:
            return self._said(refusal.status, refusal.sentence, refusal.headers)
        except ClientDisconnect:
            return self._said(400, "the connection was closed before all had come.")
        except UsageError as error:
            return self._said(400, str(error))
        except MaquetteError as error:
            return self._said(409, str(error))
        except Exception as error:
            told = trouble.circumstance(error)
            full = isinstance(error, OSError) and error.errno in FULL
            if told is None:
                told = trouble.fault(error, f"{self.method} {self.path}", [str(studio.workspace.home / "faults")])
            return self._said(507 if full else 500, told)

    def _said(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
        return sentence(status, text, headers, self.path)

    def _query(self, request: Request) -> dict[str, Any]:
        given = request.query_params
        values = {name: parameter.default for name, parameter in self.query.items()}
        for name, word in given.multi_items():
            if name not in self.query:
                known = ", ".join(self.query) or "none"
                raise UsageError(f"there is no {name[:40]!r} to ask for here", do=f"there are: {known}")
            if word != "":
                values[name] = self.query[name].read(name, word)
        return values


FULL = trouble.FULL


def endpoint(method: str, path: str, summary: str, **more: Any) -> Callable[[Work], Endpoint]:
    """Make a function the work of a route."""
    return lambda work: Endpoint(method=method, path=path, summary=summary, work=work, **more)


async def read_body(request: Request, most: int) -> bytes:
    """The body, refused before it is held where it is larger than allowed."""
    parts: list[bytes] = []
    size = 0
    async for part in bounded(request, most):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


async def bounded(request: Request, most: int) -> Any:
    """The pieces of the body as they come, as long as they are within the bound."""
    said = request.headers.get("content-length")
    if said is not None and (not is_number(said) or int(said) > most):
        raise too_large(most)
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_large(most)
        if part:
            yield part


def is_number(word: str) -> bool:
    """Whether it is a whole number in plain digits: Python takes many other signs for digits."""
    return word.isascii() and word.isdigit() and len(word) < 20


def too_large(most: int) -> Refusal:
    """The body has more bytes than the route takes."""
    told = f"{most / 2**20:,.0f} MB" if most >= 2**20 else f"{most:,} bytes"
    return Refusal(413, f"that is more than the {told} that are taken here at once.", {"connection": "close"})


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = disk.parse_json(content or b"{}")
    except ValueError as error:
        raise UsageError(f"the body cannot be read: {error}", do="send a JSON object") from None
    if not isinstance(value, dict):
        raise UsageError("the body is no JSON object", do="send one, such as {}")
    return value


def answer(value: Any, status: int = 200) -> Response:
    """A response as it is; all else as JSON."""
    if isinstance(value, Response):
        return value
    return Response(to_json(value), status, media_type="application/json")


def to_json(value: Any) -> bytes:
    """JSON with null for numbers that are not finite. ASCII, so that names that are no Unicode can be said too."""
    return json.dumps(disk.without_infinities(_plain(value)), separators=(",", ":"), allow_nan=False).encode()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def sentence(status: int, text: str, headers: Mapping[str, str] | None = None, path: str = "") -> Response:
    """An error as JSON; on the routes of OpenAI in the form in which its clients look for it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": text, "type": kind, "param": None, "code": None} if path.startswith("/v1/") else text
    return Response(to_json({"error": error}), status, headers=headers, media_type="application/json")


def busy(seconds: float, what: str) -> Refusal:
    """Too much is waiting already."""
    wait = max(1, round(seconds))
    return Refusal(429, f"{what}; try again in about {wait} s.", {"retry-after": str(wait)})
