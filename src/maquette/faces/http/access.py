"""Who is let in: asked before anything else of every request, whatever its route, and never by the route itself.

A page of another site can make a browser send requests here, and by a name of its own that it points at this machine
(DNS rebinding) even read the answers. So beside the token, the names in Host and Origin must be ours.
"""

from __future__ import annotations

import hmac
import html
import ipaddress
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import Response

from maquette.faces.http.endpoint import is_number, sentence

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; worker-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
"""On every answer; a route may say something stricter or of its own."""
_OPEN = "open the address that `maquette studio` printed when it was started"


class Access:
    """Judges requests."""

    def __init__(self, token: str, host: str, port: int, names: Sequence[str] = ()) -> None:
        self._token = token.encode()
        self.cookie = f"maquette-{port}"  # cookies know no ports: two studios of one machine must not share one
        self._names = {*LOOPBACK, *(name.lower() for name in names)}
        self._elsewhere = not is_loopback(host)

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Why a request is not let in: a status and a sentence; None when it is."""
        headers = _headers(scope)
        if len(headers.get("host", ())) != 1 or not self._is_ours(headers["host"][0]):
            return 403, "this name of the studio is not known; open it by the address that it printed."
        host = headers["host"][0].lower()
        origins = headers.get("origin", [])
        if any(origin.lower() not in (f"http://{host}", f"https://{host}") for origin in origins):
            return 403, "requests of other sites are refused."
        arriving = scope["method"] == "GET" and scope["path"] == "/"
        sites = headers.get("sec-fetch-site", [])
        if any(site not in ("same-origin", "none") for site in sites) and not (
            arriving and headers.get("sec-fetch-mode") == ["navigate"]
        ):
            return 403, "requests of other sites are refused."
        if not self._has_token(headers):
            known = "authorization" in headers or any(self.cookie in word for word in headers.get("cookie", ()))
            what = "the token is not the one of this studio (any more)" if known else "this needs the studio's token"
            return 401, f"{what}; {_OPEN}."
        return None

    def enters(self, scope: Scope) -> bool:
        """Whether somebody arrives at the page with the token in the address."""
        if scope["method"] != "GET" or scope["path"] != "/" or len(_headers(scope).get("host", ())) != 1:
            return False
        try:
            words = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=8).get("token", [])
        except ValueError:
            return False
        return (
            len(words) == 1
            and self._is_token(words[0])
            and self._is_ours(_headers(scope)["host"][0])
            and not _headers(scope).get("origin")
        )

    def welcome(self) -> Response:
        """Keep the token in a cookie and go on to the page, so that the address loses it."""
        headers = {
            "location": "/",
            "set-cookie": f"{self.cookie}={self._token.decode()}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000",
        }
        return Response(status_code=303, headers=headers)

    def _is_ours(self, host: str) -> bool:
        name, port = _split(host.lower())
        if port == -1:
            return False
        if name in self._names:  # at any port: a tunnel has one of its own, and what a foreign page needs is a name
            return True
        # What DNS rebinding needs is a name; an address as such can only be this machine's.
        return self._elsewhere and _is_address(name)

    def _has_token(self, headers: Mapping[str, Sequence[str]]) -> bool:
        words = headers.get("authorization", ())
        if len(words) == 1 and words[0][:7].lower() == "bearer " and self._is_token(words[0][7:].strip()):
            return True
        if words:
            return False
        for line in headers.get("cookie", ()):
            try:
                found = SimpleCookie(line).get(self.cookie)
            except CookieError:
                continue
            if found is not None and self._is_token(found.value):
                return True
        return False

    def _is_token(self, word: str) -> bool:
        return hmac.compare_digest(word.encode("utf-8", "surrogateescape"), self._token)


class Guard:
    """Stands before the whole application."""

    def __init__(self, app: App, access: Access, version: str) -> None:
        self._app, self._access, self._version = app, access, version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        send = self._with_headers(send)
        if self._access.enters(scope):
            await self._access.welcome()(scope, receive, send)
            return
        refused = self._access.refusal(scope)
        if refused is None:
            await self._app(scope, receive, send)
            return
        await _refused(scope, *refused)(scope, receive, send)

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                there = {name.lower() for name, _ in given}
                more = {**HEADERS, "x-maquette-version": self._version}
                given += [(k.encode(), v.encode()) for k, v in more.items() if k.encode() not in there]
                message = {**message, "headers": given}
            await send(message)

        return sending


def _refused(scope: Scope, status: int, text: str) -> Response:
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    if scope["method"] in ("GET", "HEAD") and scope["path"] == "/":
        page = (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>Maquette</title><p>{html.escape(text)}</p></html>"
        )
        return Response(page, status, headers, media_type="text/html")
    return sentence(status, text, headers, scope["path"])


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _split(host: str) -> tuple[str, int | None]:
    """Name and port of a Host; the port is None when it is not said, and -1 when it is none."""
    name, sign, port = host.rpartition(":")
    if not sign or host.endswith("]"):
        return host, None
    return name, int(port) if is_number(port) and len(port) < 6 else -1


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach this address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
