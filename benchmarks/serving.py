"""Load and safety of the studio's server: what docs/promises.md counts.

    python benchmarks/serving.py --run RUN [--home HOME] [PART...]

Parts: start, first, walk, preview, uploads, load, burst, disconnects, sigterm, traversal, schemas; all when none is
named.
RUN is a run of 64 pixels that makes images (maquette train starter --family gan --time 2m --to RUN). Prints a line a
figure and ends with 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import io
import json
import os
import platform
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

MISSED: list[str] = []


def say(what: str, figure: str, met: bool | None = None) -> None:
    word = "" if met is None else "  ok" if met else "  MISSED"
    print(f"{what:<62} {figure}{word}", flush=True)
    if met is False:
        MISSED.append(what)


@dataclass
class Server:
    """One server in a process of its own."""

    home: str
    words: Sequence[str] = ()
    process: Any = None
    port: int = 0
    token: str = ""
    started: float = 0.0
    connections: list[Any] = field(default_factory=list)

    def __enter__(self) -> Server:
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "maquette", "studio", "--port", "0", "--json", "--no-browser", "--quiet", "--home",
             self.home, *self.words],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        ready = json.loads(self.process.stdout.readline())
        self.port, self.token = int(ready["url"].split(":")[2].strip("/")), ready["token"]
        self.started = time.perf_counter() - began
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()

    def memory(self) -> int:
        """Bytes that it holds."""
        words = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(words[1]) * os.sysconf("SC_PAGE_SIZE")

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """A request as it goes over the line."""
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nauthorization: Bearer {self.token}\r\n"
            f"content-length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content


class Line:
    """One connection that stays open, as plain as may be: the client must not be what is measured."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def open(self) -> Line:
        """Connect."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.server.port, limit=1 << 24)
        return self

    def send(self, request: bytes) -> None:
        """Send without waiting."""
        assert self.writer is not None
        self.writer.write(request)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        assert self.reader is not None
        head = await self.reader.readuntil(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(status.split()[1]), headers, body

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
        """Send and wait."""
        if self.writer is None:
            await self.open()
        self.send(self.server.request(method, path, body))
        return await self.answer()

    def close(self) -> None:
        """Leave."""
        if self.writer is not None:
            self.writer.close()


def wish(run: str, seed: int, **more: Any) -> dict[str, Any]:
    return {"prompt": "", "model": run, "seed": seed, "n": 1, "response_format": "b64_json", **more}


def picture(body: bytes) -> bytes:
    """The digest of the pixels of an answer."""
    import numpy as np
    from PIL import Image as Pillow

    content = base64.b64decode(json.loads(body)["data"][0]["b64_json"])
    return hashlib.sha256(np.asarray(Pillow.open(io.BytesIO(content))).tobytes()).digest()


async def warmed(server: Server, run: str) -> None:
    line = Line(server)
    status, _, body = await line.ask("POST", "/v1/images/generations", wish(run, 0))
    assert status == 200, body
    line.close()


def start(home: str, run: str, scale: int) -> None:
    seconds = []
    for _ in range(5):
        with Server(home) as server:
            seconds.append(server.started)
    figure = f"{statistics.median(seconds):.2f} s (median of 5, worst {max(seconds):.2f})"
    say("start of the server until it listens", figure, statistics.median(seconds) < 2)


async def first(server: Server, run: str, scale: int) -> None:
    await warmed(server, run)
    line = Line(server)
    for name, path, body in (
        ("one signed image of a warm model", "/v1/images/generations", lambda k: wish(run, k)),
        ("one live image of a warm model", "/api/live", lambda k: {"run": run, "seeds": [k]}),
    ):
        seconds = []
        for k in range(60):
            began = time.perf_counter()
            status, _, _ = await line.ask("POST", path, body(1000 + k))
            assert status == 200
            seconds.append(time.perf_counter() - began)
        middle = statistics.median(seconds)
        say(name, f"{1000 * middle:.0f} ms (median of 60, 95 %: {1000 * sorted(seconds)[57]:.0f} ms)", middle < 0.1)


async def walk(server: Server, run: str, scale: int) -> None:
    await warmed(server, run)
    line, count = Line(server), 150
    began = time.perf_counter()
    for k in range(count):
        share = k / count
        status, _, _ = await line.ask("POST", "/api/live", {"run": run, "seeds": [3, 4], "weights": [1 - share, share]})
        assert status == 200
    rate = count / (time.perf_counter() - began)
    say("walk between seeds, one image a request", f"{rate:.1f} images/s", rate >= 15)
    began = time.perf_counter()
    for k in range(20):
        rows = [{"seeds": [3, 4], "weights": [1 - (k * 8 + r) / 160, (k * 8 + r) / 160]} for r in range(8)]
        status, _, _ = await line.ask("POST", "/api/live", {"run": run, "rows": rows})
        assert status == 200
    rate = 160 / (time.perf_counter() - began)
    say("walk between seeds, eight images a request", f"{rate:.1f} images/s", rate >= 15)


async def preview(server: Server, run: str, scale: int) -> None:
    import numpy as np
    from PIL import Image as Pillow

    stream = io.BytesIO()
    chance = np.random.default_rng(0)
    small = Pillow.fromarray(chance.integers(0, 255, (24, 36, 3), np.uint8)).resize(
        (3000, 2000), Pillow.Resampling.BICUBIC
    )
    small.save(stream, "JPEG", quality=90)
    line = Line(server)
    content = stream.getvalue()
    await line.open()
    head = server.request("POST", "/api/uploads?into=bench&name=photo.jpg").replace(
        b"content-length: 0", f"content-length: {len(content)}".encode()
    )
    line.send(head + content)
    assert (await line.answer())[0] == 201
    for recipe in ("", "exposure stops=0.5", "white-balance, sharpen amount=0.4", "clahe", "gaussian-blur radius=6",
                   "vignette, grain"):  # fmt: skip
        body = {"image": "upload:bench/photo.jpg", "recipe": recipe, "width": 1024}
        await line.ask("POST", "/api/preview", body)
        seconds = []
        for _ in range(10):
            began = time.perf_counter()
            status, _, told = await line.ask("POST", "/api/preview", body)
            assert status == 200, told
            seconds.append(time.perf_counter() - began)
        middle = statistics.median(seconds)
        say(f"preview of 1024 x 683: {recipe or 'as it is'}", f"{1000 * middle:.0f} ms (median of 10)", middle < 0.1)
    await line.ask("DELETE", "/api/uploads/bench")
    line.close()


async def load(server: Server, run: str, scale: int) -> None:
    """Ten thousand requests at 64 clients."""
    total, at = 10_000 // scale, 1000 // scale
    await warmed(server, run)
    expected = sampled(server.home, run, 256 // scale)
    seen: dict[int, bytes] = {}
    wrong: list[Any] = []
    memory = [0]
    left = iter(range(total))
    began = time.perf_counter()

    async def client() -> None:
        line = Line(server)
        for seed in left:
            status, _, body = await line.ask("POST", "/v1/images/generations", wish(run, seed))
            while status == 429:
                await asyncio.sleep(0.05)
                status, _, body = await line.ask("POST", "/v1/images/generations", wish(run, seed))
            if status != 200:
                wrong.append((seed, status, body[:200]))
                continue
            seen[seed] = picture(body)
            if len(seen) == at:
                memory[0] = server.memory()
        line.close()

    await asyncio.gather(*(client() for _ in range(64)))
    seconds = time.perf_counter() - began
    line, alone = Line(server), 0
    for seed in range(0, total, max(1, total // 100)):
        _, _, body = await line.ask("POST", "/v1/images/generations", wish(run, seed))
        alone += picture(body) == seen.get(seed)
    end = server.memory()
    say(
        f"{total:,} requests at 64 clients",
        f"{len(seen):,} answered in {seconds:.0f} s ({len(seen) / seconds:.0f}/s)",
        not wrong,
    )
    say("  distinct images", f"{len(set(seen.values())):,} of {total:,}", len(set(seen.values())) == total)
    same = sum(seen[seed] == found for seed, found in expected.items())
    say("  the pixels of `sample`", f"{same:,} of {len(expected):,}", same == len(expected))
    say("  the same pixels when asked alone", f"{alone} of 100", alone == len(range(0, total, max(1, total // 100))))
    grown = end / memory[0] - 1
    say("  memory at the end beside that at 1,000", f"{end >> 20} MB, {grown:+.1%}", grown < 0.05)


def sampled(home: str, run: str, count: int) -> dict[int, bytes]:
    """The pixels that the verb `sample` makes, by seed."""
    import numpy as np
    from PIL import Image as Pillow

    with tempfile.TemporaryDirectory() as folder:
        words = ["sample", run, "--count", str(count), "--to", folder, "--home", home, "--no-sheet", "--quiet"]
        subprocess.run([sys.executable, "-m", "maquette", *words], check=True)
        files = sorted(Path(folder).glob("seed-*.png"))
        return {int(file.stem[5:]): hashlib.sha256(np.asarray(Pillow.open(file)).tobytes()).digest() for file in files}


def burst(server: Server, run: str, scale: int) -> None:
    """A thousand at once against a queue of 128. Plain sockets and one poll, so that the client is not what is slow."""
    total = 1000 // min(scale, 4)
    asyncio.run(warmed(server, run))
    address = ("127.0.0.1", server.port)
    for name, paused in (("sent as fast as one can", 0.0), ("sent again a second later", 1.0)):
        time.sleep(paused)
        lines = [socket.create_connection(address) for _ in range(total)]
        time.sleep(0.5)
        told = crowd(lines, [server.request("POST", "/v1/images/generations", wish(run, k)) for k in range(total)])
        for line in lines:
            line.close()
        taken = sum(answer.startswith(b"HTTP/1.1 200") for answer, _ in told)
        refused = [(answer, seconds) for answer, seconds in told if answer.startswith(b"HTTP/1.1 429")]
        say(f"{total:,} at once against a queue of 128, {name}",
            f"{taken} answered, {len(refused)} refused with 429", taken + len(refused) == total)  # fmt: skip
        times = sorted(seconds for _, seconds in refused)
        figure = f"median {1000 * statistics.median(times):.0f} ms, last {1000 * times[-1]:.0f} ms"
        say("  each 429 after it was sent", figure, times[-1] < 0.1)
        kept = sum(b"retry-after" in answer for answer, _ in refused)
        say("  with Retry-After", f"{kept}", kept == len(refused))


def crowd(lines: Sequence[socket.socket], requests: Sequence[bytes]) -> list[tuple[bytes, float]]:
    """The first bytes of each answer, and how long after its request was sent they came."""
    poll = select.epoll()
    places = {line.fileno(): k for k, line in enumerate(lines)}
    sent, found = [0.0] * len(lines), [(b"", 0.0)] * len(lines)
    for line in lines:
        line.setblocking(False)
        poll.register(line.fileno(), select.EPOLLIN | select.EPOLLONESHOT)
    for k, line in enumerate(lines):
        sent[k] = time.perf_counter()
        line.send(requests[k])
    left, end = len(lines), time.monotonic() + 60
    while left and time.monotonic() < end:
        for number, _ in poll.poll(1.0, 4096):
            k = places[number]
            found[k] = lines[k].recv(1 << 16), time.perf_counter() - sent[k]
            left -= 1
    poll.close()
    return found


async def disconnects(server: Server, run: str, scale: int) -> None:
    """Five hundred who leave before they are answered."""
    total = 500 // min(scale, 10)
    await warmed(server, run)
    for k in range(total):
        line = await Line(server).open()
        line.send(server.request("POST", "/v1/images/generations", wish(run, k)))
        await asyncio.sleep(0.002)
        line.close()
    began = time.perf_counter()
    line = Line(server)
    while True:
        _, _, body = await line.ask("GET", "/metrics")
        waiting = next(
            text.split()[1] for text in body.decode().split("\n") if text.startswith("maquette_images_waiting ")
        )
        if waiting == "0" or time.perf_counter() - began > 10:
            break
        await asyncio.sleep(0.02)
    seconds = time.perf_counter() - began
    say(f"{total} who left: all places free after", f"{seconds:.2f} s", seconds < 2)


async def sigterm(server: Server, run: str, scale: int) -> None:
    """The server is asked to end under load: whatever it had read is answered."""
    await warmed(server, run)
    lines = [await Line(server).open() for _ in range(64)]
    for k, line in enumerate(lines):
        line.send(server.request("POST", "/v1/images/generations", wish(run, k, n=4)))
    probe = Line(server)
    while True:  # until all of them were taken
        _, _, body = await probe.ask("GET", "/metrics")
        waiting = next(
            text.split()[1] for text in body.decode().split("\n") if text.startswith("maquette_images_waiting ")
        )
        if int(waiting) >= 32:
            break
    server.process.send_signal(signal.SIGTERM)
    began = time.perf_counter()
    answers = await asyncio.gather(*(line.answer() for line in lines), return_exceptions=True)
    good = sum(not isinstance(one, BaseException) and one[0] == 200 for one in answers)
    code = await asyncio.to_thread(server.process.wait, 60)
    say("SIGTERM with 64 requests in work", f"{good} answered, exit {code} after {time.perf_counter() - began:.1f} s",
        good == 64 and code == 0)  # fmt: skip


async def uploads(server: Server, run: str, scale: int) -> None:
    """Two gigabytes that are too many, told and untold, and ten thousand small files over four connections."""
    import numpy as np
    from PIL import Image as Pillow

    await warmed(server, run)
    kept = Path(server.home, "uploads", "bench")
    before, large = server.memory(), 2 << 30
    line = await Line(server).open()
    began = time.perf_counter()
    line.send(server.request("POST", "/api/uploads?into=bench&name=a.png").replace(
        b"content-length: 0", f"content-length: {large}".encode()))  # fmt: skip
    status, _, body = await line.answer()
    say("upload of 2 GB that says so", f"{status} after {1000 * (time.perf_counter() - began):.0f} ms: "
        f"{json.loads(body)['error']}", status == 413)  # fmt: skip
    line.close()
    line = await Line(server).open()
    head = server.request("POST", "/api/uploads?into=bench&name=b.png").replace(
        b"content-length: 0", b"transfer-encoding: chunked"
    )
    line.send(head)
    began, part, sent = time.perf_counter(), bytes(1 << 20), 0
    assert line.writer is not None
    answer = asyncio.create_task(line.answer())
    try:
        while sent < large // min(scale, 4) and not answer.done():
            line.writer.writelines([b"100000\r\n", part, b"\r\n"])
            await line.writer.drain()
            sent += len(part)
    except ConnectionError:
        pass
    status = (await answer)[0]
    held = sum(file.stat().st_size for file in kept.rglob("*") if file.is_file())
    say("upload of 2 GB that does not say so", f"{status} after {sent >> 20:,} MB and "
        f"{time.perf_counter() - began:.1f} s, {held} bytes stored, memory {(server.memory() - before) >> 20:+} MB",
        status == 413 and held == 0)  # fmt: skip
    line.close()
    stream = io.BytesIO()
    Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)).save(stream, "PNG")
    content, total = stream.getvalue(), 10_000 // scale
    left, wrong = iter(range(total)), 0
    began = time.perf_counter()

    async def client() -> int:
        one, failed = await Line(server).open(), 0
        for k in left:
            asked = server.request("POST", f"/api/uploads?into=bench&name=folder/{k}.png")
            one.send(asked.replace(b"content-length: 0", f"content-length: {len(content)}".encode()) + content)
            failed += (await one.answer())[0] != 201
        one.close()
        return failed

    wrong = sum(await asyncio.gather(*(client() for _ in range(4))))
    seconds, probe = time.perf_counter() - began, Line(server)
    listed = json.loads((await probe.ask("GET", "/api/uploads/bench"))[2])["total"]
    say(f"{total:,} files of {len(content):,} bytes", f"{listed:,} taken in {seconds:.1f} s ({total / seconds:.0f}/s), "
        f"memory {(server.memory() - before) >> 20:+} MB", not wrong and listed == total)  # fmt: skip
    await probe.ask("DELETE", "/api/uploads/bench")
    probe.close()


def traversal(home: str, run: str, scale: int) -> None:
    """Five thousand words for each path parameter, and as many for each word of a query and each setting of a verb."""
    import maquette as mq
    from tests.faces.http import traversal as trials

    with tempfile.TemporaryDirectory() as folder:
        small, outside = Path(folder, "home"), Path(folder)
        mq.ingest("drawn:shapes", to=str(small / "datasets" / "shapes"), count=24, size=16, home=small)
        mq.train(str(small / "datasets" / "shapes"), family="oracle", to=str(small / "runs" / "first"), images=64,
                 judge=False, given="label", home=small)  # fmt: skip
        mq.sample(str(small / "runs" / "first"), count=2, to=str(small / "images" / "four"), home=small)
        secret = trials.secret_beside(outside)
        for name, work, count in (("path parameter", trials.paths, 5000), ("query and setting", trials.words, 500)):
            began = time.perf_counter()
            tried, wrong = asyncio.run(work(small, secret, count // scale))
            say(f"words that lead out, {count // scale:,} for each {name}", f"{tried:,} tried, {len(wrong)} wrong "
                f"({time.perf_counter() - began:.0f} s)", not wrong)  # fmt: skip
            for one in wrong[:10]:
                print("   ", one)


def schemas(server: Server, run: str, scale: int) -> None:
    """Requests made from the OpenAPI document (needs schemathesis on the path)."""
    import shutil

    program = shutil.which("schemathesis")
    if program is None:
        print("NOT DONE: schemathesis is not installed (pip install schemathesis, in an environment of its own)")
        return
    words = [
        program, "run", f"http://127.0.0.1:{server.port}/openapi.json", "--header",
        f"Authorization: Bearer {server.token}", "--checks", "not_a_server_error,content_type_conformance",
        "--max-examples", str(100 // min(scale, 10)), "--exclude-path-regex", "/events$|studio|/api/(demo|use|train)",
        "--phases", "examples,coverage,fuzzing", "--request-timeout", "60", "--seed", "1",
        "--max-time", str(240 // min(scale, 4)),
    ]  # fmt: skip
    asyncio.run(Line(server).ask("GET", "/openapi.json"))  # made once; the program waits ten seconds for it at most
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.split("\n") if line.strip()]
    print("\n".join(lines[-25:]))
    say("schemathesis: no answer of 500 or more", f"exit {done.returncode}", done.returncode == 0)


SERVED: dict[str, Callable[..., Any]] = {
    "first": first, "walk": walk, "preview": preview, "uploads": uploads, "load": load, "burst": burst,
    "disconnects": disconnects, "sigterm": sigterm, "schemas": schemas,
}  # fmt: skip
ALONE: dict[str, Callable[..., Any]] = {"start": start, "traversal": traversal}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--run", default="")
    parser.add_argument("--home", default=os.environ.get("MAQUETTE_HOME", ""))
    parser.add_argument("--scale", type=int, default=1, help="a part of each count: 100 tries a hundredth")
    given = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    )
    for part in given.parts or [*ALONE, *SERVED]:
        if part in ALONE:
            ALONE[part](given.home, given.run, given.scale)
            continue
        # Made-up requests that happen to be right would become hundreds of jobs: nearly all of them find no room.
        words = ["--queue", "1", "--at-once", "1"] if part == "schemas" else ["--queue", "128"]
        with Server(given.home, words) as server:
            result = SERVED[part](server, given.run, given.scale)
            if asyncio.iscoroutine(result):
                asyncio.run(result)
    return 1 if MISSED else 0


if __name__ == "__main__":
    sys.exit(main())
