"""A studio on a free port in a thread of the test, and one without a socket."""

import asyncio
import contextlib
import http.client
import json
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from maquette.faces.http.access import Access, Guard
from maquette.faces.http.routes import application
from maquette.faces.http.server import Server, _listen
from maquette.faces.http.state import Studio
from maquette.faces.http.verbs import described
from maquette.store.workspace import Workspace

TOKEN = "a-token-for-these-tests"


def finished(coroutine):
    """What a coroutine comes to, in a thread of its own: a browser of another test may keep a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


@dataclass
class Answer:
    status: int
    headers: dict
    content: bytes

    @property
    def json(self):
        return json.loads(self.content)


class Client:
    """Asks one studio, by its token unless told otherwise."""

    def __init__(self, port, server):
        self.port, self.studio, self.stop = port, server.studio, server.stop
        self.host = f"127.0.0.1:{port}"

    def __call__(self, method, path, body=None, *, raw=None, headers=None, token=TOKEN):
        given = {"authorization": f"Bearer {token}"} if token else {}
        content = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, content, {**given, **(headers or {})})
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())

    def get(self, path, **more):
        answer = self("GET", path, **more)
        assert answer.status == 200, answer.content
        return answer.json

    def post(self, path, body=None, **more):
        answer = self("POST", path, {} if body is None else body, **more)
        assert answer.status in (200, 201, 202), answer.content
        return answer.json

    def job(self, verb, values):
        """Do a verb and wait for its end."""
        return self.post(f"/api/{verb}?wait=30", values)["job"]


def studio_of(home, **more):
    studio = Studio.open(Workspace(home), **{"paths": False, "queue": 128, "at_once": 2, **more})
    studio.jobs.describe = lambda job, brief: described(studio, job, brief)
    return studio


@contextlib.contextmanager
def opened(home, **more):
    """A studio that listens."""
    with _listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        server = Server(studio_of(home, **more), Access(TOKEN, "127.0.0.1", port), listening, wake=False)
        failed = []

        def run():
            try:
                server.run()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield Client(port, server)
        finally:
            server.stop()
            thread.join(40)
            assert not thread.is_alive() and not failed, failed


class Direct:
    """The whole application without a socket, for thousands of requests."""

    def __init__(self, home, **more):
        self.studio = studio_of(home, **more)
        self.app = Guard(application(self.studio), Access(TOKEN, "127.0.0.1", 8737), "1")

    async def __call__(self, method, path, headers=(), body=b""):
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": urllib.parse.unquote(path), "raw_path": path.encode(), "query_string": query.encode(),
            "root_path": "", "headers": [(k.encode(), v.encode("latin-1")) for k, v in headers],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8737),
        }  # fmt: skip
        sent, parts = [], [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            return parts.pop() if parts else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await self.app(scope, receive, send)
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, content)


def tree(home):
    """Every file below a folder and what it holds, but for the index, which is made anew when it is asked."""
    paths = [path for path in sorted(Path(home).rglob("*")) if not path.name.startswith(("index.sqlite", ".index"))]
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths}
