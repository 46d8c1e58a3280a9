"""A crowd is refused before its requests are taken apart; who is let in, and who is not, stays the same."""

import contextlib
import json
import socket
import threading
import time

import pytest

from maquette.faces.http.server import _listen
from tests.faces.http.served import TOKEN, opened

PATH = "/v1/images/generations"


def request(port, *, token=TOKEN, path=PATH, seed=0, body=None, more=""):
    content = body if body is not None else json.dumps({"prompt": "", "seed": seed, "response_format": "b64_json"})
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {token}\r\n{more}"
    return f"{head}content-length: {len(content)}\r\n\r\n{content}".encode()


class Line:
    """One connection, as plain as may be."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.left = b""

    def send(self, content):
        self.socket.sendall(content)
        return self

    def answer(self):
        while b"\r\n\r\n" not in self.left:
            self.left += self.socket.recv(1 << 16) or pytest.fail("the connection was closed")
        head, _, self.left = self.left.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        size = int(headers["content-length"])
        while len(self.left) < size:
            self.left += self.socket.recv(1 << 16)
        body, self.left = self.left[:size], self.left[size:]
        return int(status.split()[1]), headers, json.loads(body)


@pytest.fixture(scope="module")
def client(furnished, tmp_path_factory):
    import shutil

    home = tmp_path_factory.mktemp("door") / "home"
    shutil.copytree(furnished, home, ignore=shutil.ignore_patterns("index.sqlite*"))
    with opened(home, queue=2) as client:
        client.post(PATH, {"prompt": ""})
        yield client


@pytest.fixture
def line(client):
    """Opens connections, and closes them all at the end."""
    with contextlib.ExitStack() as stack:

        def open_one():
            one = Line(client.port)
            stack.callback(one.socket.close)
            return one

        yield open_one


@contextlib.contextmanager
def crowded(client, line):
    """All places taken by two who wait, until this ends."""
    hold, warm = threading.Event(), client.studio.warm
    real, warm._make = warm._make, lambda batch: (hold.wait(20), real(batch))[1]
    inside = [line().send(request(client.port, seed=seed)) for seed in (1, 2)]
    until(lambda: warm.waiting == 2)
    try:
        yield
    finally:
        hold.set()
        assert [line.answer()[0] for line in inside] == [200, 200]
        warm._make = real


def until(true):
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_all_of_a_crowd_are_refused_in_the_same_words_however_their_requests_come(client, line):
    lines = [line() for _ in range(12)]
    with crowded(client, line):
        for one in lines:
            one.send(request(client.port))
        answers = [one.answer() for one in lines]
        whole = request(client.port)
        apart = line().send(whole[:60])
        time.sleep(0.05)
        answers.append(apart.send(whole[60:]).answer())
        many = line().send(whole + whole + whole)
        answers += [many.answer() for _ in range(3)]
        again = lines[0].send(whole).answer()
        answers.append(again)
        for status, headers, body in answers:
            assert status == 429 and int(headers["retry-after"]) >= 1
            assert "waiting already" in body["error"]["message"]
            assert (
                headers["x-content-type-options"] == "nosniff"
                and "default-src 'none'" in headers["content-security-policy"]
            )
        assert len({frozenset(headers) - {"date"} for _, headers, _ in answers}) == 1
        live = line().send(request(client.port, path="/api/live", body='{"run": "first", "seeds": [1]}'))
        status, _, body = live.answer()
        assert status == 429 and "waiting already" in body["error"]
    assert lines[0].send(request(client.port)).answer()[0] == 200
    counted = client.studio.metrics.requests
    assert counted["POST", PATH, 429] == len(answers) and counted["POST", "/api/live", 429] == 1


@pytest.mark.parametrize("token", ["wrong", "", TOKEN + "x", TOKEN[:-1]])
def test_strangers_in_a_crowd_are_strangers_still(client, line, token):
    with crowded(client, line):
        assert line().send(request(client.port)).answer()[0] == 429  # such a head is known now
        assert line().send(request(client.port, token=token)).answer()[0] == 401
        foreign = request(client.port, more="origin: http://elsewhere.example\r\n")
        assert line().send(foreign).answer()[0] == 403
        assert line().send(request(client.port).replace(b"127.0.0.1", b"elsewhere")).answer()[0] == 403


def test_other_routes_have_no_crowd(client, line):
    with crowded(client, line):
        assert client.get("/health")["status"] == "ok"
        assert client("POST", "/api/live?a=1", {}).status in (400, 429)


def test_whoever_leaves_or_is_refused_for_another_reason_frees_the_place(client, line):
    for k in range(6):
        until(lambda: line().send(request(client.port, body="[]")).answer()[0] == 400)
        leaving = line().send(request(client.port, seed=k))
        leaving.socket.close()
        half = line().send(request(client.port)[:-5])
        half.socket.close()
    until(lambda: client("POST", PATH, {"prompt": ""}).status == 200)
    assert line().send(request(client.port)).answer()[0] == 200


def test_answers_are_sent_at_once():
    with _listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP  # asyncio sets TCP_NODELAY on such sockets alone
