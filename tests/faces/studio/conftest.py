"""A real server and a real browser: the studio as a person meets it.

The browser is Debian's Chromium (or whatever Chrome is on the path). Where there is none, these tests are skipped and
say so; `.ci/run` installs it.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.browsers import BROWSER

PATIENCE = 60_000
"""Milliseconds that a page may take where the machine is busy."""


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    if BROWSER is None:
        skip = pytest.mark.skip(reason="NO BROWSER: the studio was NOT tested; install chromium (apt install chromium)")
        for item in items:
            if here in Path(item.path).parents and "browser" in getattr(item, "fixturenames", ()):
                item.add_marker(skip)


class Studio:
    """The server of one workspace, started, ended, and started again at the same address."""

    def __init__(self, home):
        self.home, self.port, self.process = home, 0, None
        self.start()

    def start(self):
        command = [sys.executable, "-m", "maquette", "studio", "--port", str(self.port), "--no-browser", "--json"]
        environment = {**os.environ, "MAQUETTE_HOME": str(self.home), "OMP_NUM_THREADS": "1"}
        environment.pop("PYTEST_CURRENT_TEST", None)
        with (self.home / "studio.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=self.home)
        ready = json.loads(self.process.stdout.readline())
        assert ready["event"] == "ready"
        self.url, self.token = ready["url"].rstrip("/"), ready["token"]
        self.port = int(self.url.rsplit(":", 1)[1])

    @property
    def door(self):
        return f"{self.url}/?token={self.token}"

    def fetch(self, path, values=None, method=None):
        body = None if values is None else json.dumps(values).encode()
        request = urllib.request.Request(self.url + path, data=body, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def ask(self, path, values=None, method=None):
        return json.loads(self.fetch(path, values, method))

    def do(self, verb, **values):
        """Do a verb and wait for its end."""
        job = self.ask(f"/api/{verb}?wait=30", values)["job"]
        end = time.monotonic() + 200
        while job["state"] in ("queued", "running") and time.monotonic() < end:
            time.sleep(0.2)
            job = self.ask(f"/api/jobs/{job['id']}")
        assert job["state"] == "done", job
        return job

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        self.process.stdout.close()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    server = Studio(tmp_path_factory.mktemp("studio"))
    yield server
    server.end()


class Visit:
    """One tab, and everything that went wrong in it."""

    def __init__(self, browser, studio, **look):
        self.studio = studio
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **look})
        self.context.set_default_timeout(PATIENCE)
        self.expected = ()
        self.troubles = []
        self.page = self.tab()

    def tab(self):
        page = self.context.new_page()
        page.on("console", lambda message: message.type in ("error", "warning") and self.note(message.text))
        page.on("pageerror", lambda error: self.note(str(error)))
        page.on("dialog", lambda dialog: (self.note(f"a dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(self.studio.door)
        page.wait_for_selector("main.room:not(.waiting)")
        return page

    def note(self, text):
        if not any(word in text for word in self.expected):
            self.troubles.append(text)


@pytest.fixture
def visit(browser, studio):
    visits = []

    def come(**look):
        visits.append(Visit(browser, studio, **look))
        return visits[-1]

    yield come
    for each in visits:
        each.context.close()
        assert each.troubles == []


def picture(seed, side=24):
    """A small picture unlike the others: bars of two colours."""
    rng = np.random.default_rng([11, seed])
    image = np.full((side, side, 3), rng.integers(40, 220, 3), np.uint8)
    for _ in range(4):
        at, wide = rng.integers(0, side - 6), rng.integers(3, 8)
        image[:, at : at + wide] = rng.integers(0, 256, 3)
    return Pillow.fromarray(np.clip(image + rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Two labels with pictures, one of which has markup in its name, and a file that is no image."""
    folder = tmp_path_factory.mktemp("drop") / "photos"
    for label in ("red", "blue"):
        (folder / label).mkdir(parents=True)
    for seed in range(24):
        picture(seed).save(folder / ("red", "blue")[seed % 2] / f"{seed:02d}.png")
    picture(90).save(folder / "red" / "<img src=x onerror=alert(1)>.png")
    (folder / "blue" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    return folder
