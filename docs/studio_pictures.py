"""The studio's pictures for the README and the guide, made in a real browser from the starter dataset.

    python docs/studio_pictures.py [--time 2m] [--home FOLDER]

Takes the starter photographs, trains a model, makes images, and photographs four rooms. Needs Chromium. With --home a
workspace is kept, and what is there is not made again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import skimage.data
from PIL import Image as Pillow

PICTURES = Path(__file__).parent / "pictures"
WIDE, HIGH, SHOWN = 1280, 800, 960
"""The window in pixels, and how wide its picture is in the documents."""
WAIT = {
    "make": ".cell img",
    "map": ".plane canvas",
    "train": ".sheets img",
    "refine": ".divided img",
}
RECIPE = [
    {"op": "temperature", "amount": -0.35},
    {"op": "contrast", "amount": 0.3},
    {"op": "vignette", "amount": 0.8},
]


class Server:
    """The studio's server, for as long as pictures are made."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, "-m", "maquette", "studio", "--port", "0", "--no-browser", "--json"]
        environment = {**os.environ, "MAQUETTE_HOME": str(home)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        self.url, self.token = ready["url"].rstrip("/"), ready["token"]

    def ask(self, path: str, values: Any = None) -> Any:
        """Read something, or begin a verb."""
        body = values if values is None or isinstance(values, bytes) else json.dumps(values).encode()
        request = urllib.request.Request(self.url + path, data=body)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def do(self, verb: str, **values: Any) -> Any:
        """Do a verb, and wait for it as long as it takes."""
        job = self.ask(f"/api/{verb}?wait=30", values)["job"]
        while job["state"] in ("queued", "running"):
            with urllib.request.urlopen(self._events(job["id"])) as stream:
                stream.read()  # ends with the job
            job = self.ask(f"/api/jobs/{job['id']}")
        if job["state"] != "done":
            raise SystemExit(f"{verb}: {job['error']}")
        return job

    def _events(self, job: str) -> urllib.request.Request:
        return urllib.request.Request(
            f"{self.url}/api/jobs/{job}/events", headers={"Authorization": f"Bearer {self.token}"}
        )


def prepare(server: Server, time: str) -> str:
    """The starter dataset, a model and images of it, and a photograph to refine: its name."""
    if not server.ask("/api/datasets"):
        server.do("ingest", source=["starter"], to="materials", size="64")
    if not server.ask("/api/runs"):
        server.do("train", dataset="materials", to="first", time=time)
    if not server.ask("/api/images")["images"]:
        server.do("sample", run="first", to="first", count=48, guidance=1.5, sheet=False)
    held = io.BytesIO()
    Pillow.fromarray(skimage.data.coffee()).save(held, "PNG")
    return str(server.ask("/api/uploads?into=pictures&name=coffee.png", held.getvalue())["id"])


def photograph(server: Server, image: str) -> None:
    """Photograph the rooms."""
    from playwright.sync_api import sync_playwright

    browser = next(found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        places = {
            "make": ("make?run=first", "light"), "map": ("make?run=first&view=map", "dark"),
            "train": ("train?run=first", "dark"), "refine": (f"refine?open={image}", "light"),
        }  # fmt: skip
        for name, (place, scheme) in places.items():
            page = opened.new_page(viewport={"width": WIDE, "height": HIGH}, color_scheme=scheme)
            page.goto(f"{server.url}/?token={server.token}")
            steps = [
                {"id": f"s{k}", "op": item["op"], "values": {key: value for key, value in item.items() if key != "op"},
                 "off": False, "where": "", "not": False, "feather": 2, "painted": None}
                for k, item in enumerate(RECIPE)
            ]  # fmt: skip
            page.evaluate("steps => localStorage.setItem('maquette.recipe', steps)", json.dumps(steps))
            page.goto(f"{server.url}/#/{place}")
            page.reload()
            page.wait_for_selector(WAIT[name], timeout=120_000)
            page.wait_for_timeout(4000)
            page.wait_for_function("() => [...document.images].every(image => image.complete)", timeout=120_000)
            shot = Pillow.open(io.BytesIO(page.screenshot()))
            small = shot.resize((SHOWN, round(SHOWN * HIGH / WIDE)), Pillow.Resampling.LANCZOS)
            path = PICTURES / f"studio-{name}.webp"
            small.save(path, "WEBP", quality=80, method=6)
            print(path, f"{path.stat().st_size / 1000:.0f} kB")
            page.close()
        opened.close()


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description="The studio's pictures.")
    parser.add_argument("--time", default="2m", help="how long to train")
    parser.add_argument("--home", help="a workspace to use and keep")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        home = Path(words.home or passing)
        home.mkdir(parents=True, exist_ok=True)
        server = Server(home)
        try:
            photograph(server, prepare(server, words.time))
        finally:
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
