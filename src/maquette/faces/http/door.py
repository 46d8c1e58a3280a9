"""The door: refuses a crowd before its requests are taken apart, so that a thousand at once are told within a moment.

A request that goes the whole way costs the server's one thread about half a millisecond until it is refused; that of
the last of a thousand would be told after half a second. Here it costs the look-up of its head, which is known when
one like it was let in before, and one write. Nobody is let in or refused here who would not be without it: heads are
judged by `access` like every other, and places are counted for the routes that have a gate.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from maquette.faces.http.access import HEADERS, Access
from maquette.faces.http.endpoint import Refusal, is_number, sentence

KNOWN, LONGEST = 512, 8192
"""Heads that are remembered, and bytes of the longest."""
FRESH = 0.05
"""Seconds for which a refusal may be said again word for word."""
_END = b"\r\n\r\n"

App = Callable[[Any, Any, Any], Awaitable[None]]
Scope = MutableMapping[str, Any]


class Door:
    """Counts who is inside, and refuses whoever finds no place."""

    def __init__(
        self,
        access: Access,
        gates: Mapping[tuple[str, str], Callable[[], Refusal]],
        places: int,
        version: str,
        count: Callable[[str, str, int, float], None] = lambda *_: None,
    ) -> None:
        """`gates` says how a crowd is refused, for each method and path that has places."""
        self._access, self._gates, self._places, self._count = access, gates, places, count
        self._more = {**HEADERS, "x-maquette-version": version}
        self._heads: dict[bytes, tuple[str, int] | None] = {}
        self._said: dict[str, tuple[float, bytes]] = {}
        self._line: deque[asyncio.Event] = deque()
        self.inside = 0

    @property
    def full(self) -> bool:
        """Whether there is no place."""
        return self.inside >= self._places

    def admits(self, scope: Scope) -> bool | None:
        """Whether a request finds a place; None where it needs none, or is not let in at all."""
        if (scope["method"], scope["path"]) not in self._gates or self._access.refusal(scope) is not None:
            return None
        return not self.full

    def within(self, app: App) -> App:
        """The application for one request that holds a place until it is answered."""
        self.inside += 1

        async def held(scope: Any, receive: Any, send: Any) -> None:
            try:
                await self._turn()
                await app(scope, receive, send)
            finally:
                self.inside -= 1

        return held

    async def _turn(self) -> None:
        """Begin one after the other, with a look at who else has come between: those are told first."""
        loop, mine = asyncio.get_running_loop(), asyncio.Event()
        self._line.append(mine)
        if len(self._line) == 1:
            loop.call_soon(self._next)
        await mine.wait()

    def _next(self) -> None:
        self._line.popleft().set()
        if self._line:
            asyncio.get_running_loop().call_soon(self._next)

    async def refusing(self, scope: Any, receive: Any, send: Any) -> None:
        """The application for one request that found no place."""
        refusal = self._gates[scope["method"], scope["path"]]()
        headers = {**refusal.headers, **self._more}
        self._count(scope["method"], scope["path"], refusal.status, 0.0)
        await sentence(refusal.status, refusal.sentence, headers, scope["path"])(scope, receive, send)

    def learn(self, data: bytes, scope: Scope) -> None:
        """Remember the head of a whole request that was let in, so that others with the same need no judging."""
        end = data.find(_END)
        words = [value for name, value in scope["headers"] if name == b"content-length"]
        plain = data.startswith(b"POST ") and b" HTTP/1.1\r\n" in data[:200]
        framed = any(
            name in (b"transfer-encoding", b"expect") or (name == b"connection" and value.lower() != b"keep-alive")
            for name, value in scope["headers"]
        )
        if not plain or framed or not 0 < end < LONGEST or len(words) != 1 or not is_number(words[0].decode("latin-1")):
            return
        if len(self._heads) >= KNOWN:
            self._heads.clear()
        self._heads[data[: end + 4]] = (scope["path"], int(words[0]))

    def refuse(self, data: bytes) -> bytes | None:
        """The answer to a whole request of a known head, where there is no place; None lets it go its way."""
        end = data.find(_END, 0, LONGEST + 4)
        known = self._heads.get(data[: end + 4]) if end > 0 else None
        if known is None or len(data) != end + 4 + known[1]:
            return None
        path, now = known[0], time.monotonic()
        until, said = self._said.get(path, (0.0, b""))
        if now > until:
            said = self._written(path)
            self._said[path] = now + FRESH, said
        self._count("POST", path, 429, 0.0)
        return said

    def _written(self, path: str) -> bytes:
        refusal = self._gates["POST", path]()
        answer = sentence(refusal.status, refusal.sentence, {**refusal.headers, **self._more}, path)
        lines = [b"HTTP/1.1 429 Too Many Requests", *(b": ".join(pair) for pair in answer.raw_headers)]
        return b"\r\n".join(lines) + _END + bytes(answer.body)

    def protocol(self) -> type[HttpToolsProtocol]:
        """What uvicorn speaks with: HTTP as ever, behind this door."""
        door = self

        class Guarded(HttpToolsProtocol):
            _between, _data = True, b""

            @property
            def _free(self) -> bool:
                return self.cycle is None or bool(self.cycle.response_complete)

            def data_received(self, data: bytes) -> None:
                said = door.refuse(data) if door.full and self._between and self._free else None
                if said is not None:
                    self.transport.write(said)
                    self._unset_keepalive_if_required()
                    after, end = self.timeout_keep_alive, self.timeout_keep_alive_handler
                    self.timeout_keep_alive_task = self.loop.call_later(after, end)
                    return
                self._data = data if self._between else b""
                super().data_received(data)
                self._data = b""

            def on_message_begin(self) -> None:
                self._between = False
                super().on_message_begin()

            def on_message_complete(self) -> None:
                self._between = True
                super().on_message_complete()

            def on_headers_complete(self) -> None:
                scope = {"type": "http", "method": self.parser.get_method().decode("ascii"), "headers": self.headers,
                         "path": self.url.decode("latin-1"), "query_string": b""}  # fmt: skip
                # One that came behind another on its line may never begin, so it takes no place here.
                admitted = door.admits(scope) if self._free else None
                if admitted is None:
                    super().on_headers_complete()
                    return
                door.learn(self._data, scope)
                plain, before = self.app, door.inside
                self.app = door.within(plain) if admitted else door.refusing
                try:
                    super().on_headers_complete()
                except BaseException:
                    door.inside = before
                    raise
                finally:
                    self.app = plain

        return Guarded
