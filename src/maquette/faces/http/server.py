"""Opening the studio: one socket, one loop, and a gentle end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import re
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from maquette.core.errors import MaquetteError, UsageError
from maquette.core.event import Event, Note, Ready, Result
from maquette.core.files import make_folder
from maquette.faces.http import routes
from maquette.faces.http.access import Access, Guard, is_loopback
from maquette.faces.http.door import Door
from maquette.faces.http.state import Studio
from maquette.faces.http.verbs import described
from maquette.store import disk
from maquette.store.lock import Held, file_lock

if TYPE_CHECKING:
    from maquette.store.workspace import Workspace

PATIENCE = 30
"""Seconds that requests in work have after the server was asked to end."""
SWITCH = 0.0005
"""Seconds for which a thread may keep Python to itself while another waits."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,200}")


class Server:
    """One server on one socket. `run` returns when `stop` was called, from any thread or by a signal."""

    def __init__(self, studio: Studio, access: Access, listening: socket.socket, *, wake: bool = True) -> None:
        self.studio, self._socket, self._wake = studio, listening, wake
        app = Guard(routes.application(studio), access, studio.page.version)
        door = Door(access, routes.crowds(studio), studio.queue, studio.page.version, studio.metrics.count)
        config = uvicorn.Config(
            app, http=door.protocol(), log_config=None, access_log=False, lifespan="off", server_header=False,
            date_header=True, ws="none", timeout_graceful_shutdown=PATIENCE, timeout_keep_alive=30, proxy_headers=False,
            backlog=2048,
        )  # fmt: skip
        # What uvicorn has to say (such as of requests that are none) is no news for people.
        logging.getLogger("uvicorn").propagate = bool(os.environ.get("MAQUETTE_DEBUG"))
        logging.getLogger("uvicorn").addHandler(logging.NullHandler())
        self._server = _Uvicorn(config)
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        """Serve until the end."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """Take no more requests, finish those that were taken, and end."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self.studio.hub.close()
        if self._server.should_exit:
            self._server.force_exit = True
        self._server.should_exit = True

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        # Threads that compute give way to the loop ten times as often as they would: a crowd is answered at once.
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH)
        studio = self.studio
        studio.hub.open()
        studio.jobs.recover()
        watching = asyncio.create_task(studio.jobs.watch())
        # Torch and the newest model are loaded while the page is already there.
        if self._wake:
            threading.Thread(target=_wake, args=(studio,), name="waking", daemon=True).start()
        try:
            with self._signals():
                await self._server.serve(sockets=[self._socket])
        finally:
            watching.cancel()
            sys.setswitchinterval(before)
            studio.close()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, lambda *_: self.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are this program's business."""
        yield


def _wake(studio: Studio) -> None:
    """Load torch, and the newest model if there is one, before somebody waits for them."""
    warm = studio.warm
    newest = (entry for entry in studio.catalogue.all("run").values() if not entry.missing)
    with contextlib.suppress(MaquetteError):
        for entry in newest:
            warm.open(entry.path)
            break
    # What was loaded stays. Looking through all of it for garbage would hold everything up for half a second each time.
    gc.collect()
    gc.freeze()


def serve(request: Any, workspace: Workspace) -> Iterator[Event]:
    """Open the studio; the first event says where it is, the last comes when it was closed."""
    token = _token(request, workspace)
    with contextlib.ExitStack() as stack:
        _alone(stack, workspace)
        listening = stack.enter_context(_listen(request.host, request.port))
        port = int(listening.getsockname()[1])
        studio = Studio.open(
            workspace, paths=request.allow_paths, queue=request.queue, at_once=request.at_once
        )  # fmt: skip
        studio.jobs.describe = lambda job, brief: described(studio, job, brief)
        name = request.host if request.host not in ("0.0.0.0", "::") else "127.0.0.1"
        url = f"http://{f'[{name}]' if ':' in name else name}:{port}/"
        disk.write_object(_folder(workspace) / "address.json", {"url": url, "pid": os.getpid()})
        yield Ready(url=url, token=token)
        if request.allow_paths:
            yield Note(text="whoever holds the token may read the files that you may read (--allow-paths)")
        if request.browser:
            _browse(f"{url}?token={token}")
        server = Server(studio, Access(token, request.host, port, request.allow_host), listening)
        server.run()
    left = [f"{job.verb} ({job.id})" for job in studio.jobs.listed() if job.state in ("running", "queued")]
    more = f" Still in work: {', '.join(left[:5])}; open it again to see them." if left else ""
    facts = {"url": url, "jobs": [job.id for job in studio.jobs.listed() if not job.is_over]}
    yield Result(verb="studio", facts=facts, summary=f"The studio is closed.{more}")


def _folder(workspace: Workspace) -> Path:
    return workspace.home / "studio"


def _alone(stack: contextlib.ExitStack, workspace: Workspace) -> None:
    """One studio for each workspace: two would do its jobs twice."""
    make_folder(_folder(workspace))
    try:
        stack.enter_context(file_lock(_folder(workspace) / ".lock"))
    except Held:
        where = "elsewhere"
        with contextlib.suppress(OSError, ValueError):
            where = f"at {disk.read_object(_folder(workspace) / 'address.json')['url']}"
        raise MaquetteError(
            f"a studio of this workspace is open already, {where}", where=workspace.home, do="use that one or end it"
        ) from None


def _token(request: Any, workspace: Workspace) -> str:
    """The token that was given, else the one that is kept in the workspace for its owner alone."""
    given = request.token or os.environ.get("MAQUETTE_TOKEN", "")
    if given:
        if not _TOKEN.fullmatch(given):
            raise UsageError("the token is not possible", do="take 16 to 200 letters, digits, - and _")
        return str(given)
    if not is_loopback(request.host):
        raise UsageError(
            f"{request.host} can be reached by other machines, so the studio needs a token of yours",
            do="set MAQUETTE_TOKEN (python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one)",
        )
    file = make_folder(_folder(workspace)) / "token"
    if not request.new_token:
        with contextlib.suppress(OSError, ValueError):
            if os.name == "nt" or not os.stat(file).st_mode & 0o077:
                kept = file.read_text("ascii").strip()
                if _TOKEN.fullmatch(kept):
                    return kept
    fresh = secrets.token_urlsafe(32)
    partial = file.with_name(f".token.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
        stream.write(fresh + "\n")
    os.replace(partial, file)
    return fresh


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    name = host.strip("[]")
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # asyncio sends at once only where the protocol is named; else each answer waits 40 ms for its head to be noted.
        listening = socket.socket(found[0], socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        raise UsageError(f"{host!r} is no address of this machine", do="leave --host out") from None
    try:
        if os.name != "nt":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(found[4])
            listening.listen(2048)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise MaquetteError(
                f"the port {port} of {host} cannot be had ({reason})", do="choose another: --port 0 takes a free one"
            ) from None
        listening.setblocking(False)
        yield listening
    finally:
        listening.close()


def _browse(address: str) -> None:
    """Show the page where there is a screen and somebody before it."""
    import webbrowser

    known = os.name == "nt" or sys.platform == "darwin"
    if (known or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and sys.stderr.isatty():
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(address)
