"""The files of the page: listed once, so that no address ever leads to another file."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

import maquette
from maquette import faces
from maquette.faces.http.access import POLICY
from maquette.faces.http.endpoint import Call, endpoint, missing

if TYPE_CHECKING:
    from maquette.faces.http.state import Studio

FOLDER = Path(faces.__file__).with_name("studio")
TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".json": "application/json",
    ".map": "application/json", ".svg": "image/svg+xml",
    ".png": "image/png", ".webp": "image/webp", ".ico": "image/x-icon", ".woff2": "font/woff2",
    ".wasm": "application/wasm", ".txt": "text/plain; charset=utf-8", ".webmanifest": "application/manifest+json",
}  # fmt: skip
_INLINE = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """The page's files, by the name in their address."""

    files: Mapping[str, Path]
    version: str
    """The version of the program and a digest of the page, so that an old tab knows that it is old."""
    policy: str

    @classmethod
    def read(cls) -> Page:
        """The files that are there now."""
        files = {
            path.relative_to(FOLDER).as_posix(): path
            for path in sorted(FOLDER.rglob("*"))
            if path.suffix in TYPES and path.is_file() and not path.is_symlink()
        }
        digest = hashlib.blake2b(digest_size=6)
        for name, path in files.items():
            digest.update(name.encode() + b"\0" + hashlib.blake2b(path.read_bytes()).digest())
        inline = _INLINE.findall(files["index.html"].read_bytes()) if "index.html" in files else []
        hashes = "".join(f" 'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in inline)
        policy = POLICY.replace("script-src 'self'", f"script-src 'self'{hashes}")
        return cls(files, f"{maquette.__version__}+{digest.hexdigest()}", policy)

    def answer(self, name: str, call: Call) -> Response:
        """One file, or that it is still the same."""
        path = self.files.get(name)
        if path is None:
            raise missing("such file of the page")
        content = path.read_bytes()
        tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
        headers = {"etag": tag, "cache-control": "no-cache"}
        if path.suffix == ".html":
            headers["content-security-policy"] = self.policy
        if call.request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=TYPES[path.suffix])


_EMPTY = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Maquette</title>
<p>The API of this studio is open; the page is not part of this installation.</p></html>"""


@endpoint("GET", "/", "The page", group="Page", media="text/html")
def index(studio: Studio, call: Call) -> Any:
    """With the token in the address, `access` has answered before."""
    if "index.html" not in studio.page.files:
        return Response(_EMPTY, media_type="text/html")
    return studio.page.answer("index.html", call)


@endpoint("GET", "/assets/{path:path}", "A file of the page", group="Page", media="*/*")
def asset(studio: Studio, call: Call) -> Any:
    """By its name in the list that was made at the start."""
    return studio.page.answer(call.path["path"], call)
