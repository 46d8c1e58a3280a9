"""The image routes of the OpenAI API over one's own models: clients that know them need another address, no more."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import StreamingResponse

from maquette.core.errors import DataError, UsageError
from maquette.core.noise import SEED_LIMIT
from maquette.faces.http.catalogue import image_id
from maquette.faces.http.endpoint import Call, Refusal, bounded, endpoint, to_json
from maquette.faces.http.live import WISHES, crowd, dials_of, given_of, made_of, ready_of, taken
from maquette.faces.http.printing import Printed, Printer
from maquette.faces.http.verbs import take

if TYPE_CHECKING:
    from maquette.engine.warm import Ready
    from maquette.faces.http.state import Studio
    from maquette.store.index import Entry

MOST, LONGEST_PROMPT = 64, 32_000
MOST_PIXELS = 1 << 26
LARGEST = 64 << 20
"""Bytes of the pictures of one edit."""
PATIENCE = 600.0
"""Seconds that an edit may take."""
THEIRS = re.compile(r"(dall-e|gpt-image|chatgpt-image)")
"""Names of models that clients ask for when nobody told them another: the newest of one's own stands for them."""
_STYLES = ("url", "b64_json")
_FORMATS = ("png", "jpeg", "webp")
_BODY = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string", "maxLength": LONGEST_PROMPT}, "model": {"type": ["string", "null"]},
        "n": {"type": ["integer", "null"], "minimum": 1, "maximum": MOST},
        "size": {"type": ["string", "null"], "description": "auto, or WIDTHxHEIGHT"},
        "response_format": {"enum": [*_STYLES, None]}, "output_format": {"enum": [*_FORMATS, None]},
        "stream": {"type": ["boolean", "null"]},
        "partial_images": {"type": ["integer", "null"], "minimum": 0, "maximum": 8},
        "seed": {"type": ["integer", "null"], "minimum": 0, "maximum": SEED_LIMIT - 1},
        **WISHES,
    },
    "description": "Further fields are let pass.",
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What a client asks for, whichever route it takes."""

    prompt: str
    model: str
    count: int
    size: tuple[int, int] | None
    style: str
    """url, b64_json, or empty for both."""
    format: str
    stream: bool
    partial: int
    seed: int
    wishes: Mapping[str, Any]

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Asked:
        """The fields that are known, checked; numbers may come as text, as forms send them."""
        prompt = body.get("prompt") or ""
        if not isinstance(prompt, str) or len(prompt) > LONGEST_PROMPT:
            raise UsageError(f"prompt is text of at most {LONGEST_PROMPT:,} letters")
        model = body.get("model") or ""
        if not isinstance(model, str):
            raise UsageError("model is the name of a run")
        count, size = _number(body, "n", 1, 1, MOST) or 1, _size(body.get("size"))
        if size is not None and count * size[0] * size[1] > MOST_PIXELS:
            raise UsageError(f"{count} images of {size[0]}x{size[1]} are too many at once", do="ask for fewer")
        seed = _number(body, "seed", None, 0, SEED_LIMIT - 1 - MOST)
        return cls(
            prompt=prompt, model=model, count=count, size=size,
            style=_one_of(body, "response_format", _STYLES), format=_one_of(body, "output_format", _FORMATS) or "png",
            stream=body.get("stream") in (True, "true"), partial=_number(body, "partial_images", 0, 0, 8) or 0,
            seed=secrets.randbelow(2**31) if seed is None else seed,
            wishes={key: body[key] for key in WISHES if body.get(key) is not None},
        )  # fmt: skip


def _number(body: Mapping[str, Any], key: str, default: int | None, low: int, high: int) -> int | None:
    value = body.get(key)
    if value is None or value == "":
        return default
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise UsageError(f"{key} = {str(value)[:40]} is not possible", do=f"give a whole number of {low} to {high}")
    return value


def _one_of(body: Mapping[str, Any], key: str, known: Sequence[str]) -> str:
    value = body.get(key) or ""
    if value and value not in known:
        raise UsageError(f"{key} = {str(value)[:40]!r} is not possible", do=f"give {' or '.join(known)}")
    return str(value)


def _size(value: Any) -> tuple[int, int] | None:
    if value in (None, "", "auto"):
        return None
    found = re.fullmatch(r"(\d{1,4})x(\d{1,4})", value) if isinstance(value, str) else None
    if found is None or not all(8 <= int(side) <= 4096 for side in found.groups()):
        raise UsageError(f"size = {str(value)[:40]!r} is not possible", do="give auto, or WIDTHxHEIGHT up to 4096x4096")
    return int(found[1]), int(found[2])


# Models


@endpoint("GET", "/v1/models", "Models that make images", group="OpenAI")
def models(studio: Studio, call: Call) -> Any:
    """Runs, the newest first."""
    return {"object": "list", "data": [_model(name, entry) for name, entry in _makers(studio).items()]}


@endpoint("GET", "/v1/models/{id}", "One model", group="OpenAI")
def model(studio: Studio, call: Call) -> Any:
    """By the id of its run."""
    found = _makers(studio).get(call.path["id"])
    if found is None:
        raise Refusal(404, f"there is no model {call.path['id'][:100]!r}.")
    return _model(call.path["id"], found)


def _model(name: str, entry: Entry) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(entry.added), "owned_by": "you"}


def _makers(studio: Studio) -> dict[str, Entry]:
    """Runs that can be sampled from."""
    from maquette.faces.http.things import can_sample

    return {name: entry for name, entry in studio.catalogue.all("run").items() if can_sample(entry)}


def _run(studio: Studio, name: str) -> Path:
    there = _makers(studio)
    if name in there:
        return there[name].path
    if not there:
        raise Refusal(404, "there is no model yet; train one first.")
    if name and not THEIRS.match(name):
        raise Refusal(404, f"there is no model {name[:100]!r}; there are: {', '.join(list(there)[:10])}.")
    return next(iter(there.values())).path


# Generations


def understood(ready: Ready, options: Any, prompt: str, wishes: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """What a prompt asks of a model that takes words, or that knows labels; and what of it was understood."""
    body = dict(wishes)
    conditions = ready.form(options).conditions
    kinds = {one.kind for one in conditions}
    said = ""
    if prompt.strip() and "text" in kinds and body.get("text") is None:
        body["text"], said = prompt, prompt
    elif prompt.strip() and "label" in kinds and body.get("label") is None:
        classes = next(one.classes for one in conditions if one.kind == "label")
        words = prompt.casefold()
        found = [name for name in classes if re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", words)]
        if found:
            body["label"] = said = max(found, key=len)
    return given_of(ready, options, body), said


@endpoint("POST", "/v1/images/generations", "Make images", group="OpenAI", body=_BODY, crowd=crowd,
          media="application/json, text/event-stream")  # fmt: skip
async def generations(studio: Studio, call: Call) -> Any:
    """By a model that is kept ready; the same pixels as those of the verb `sample` for the same seeds, signed too."""
    asked = Asked.read(call.body)
    path = _run(studio, asked.model)
    ready = await ready_of(studio, path)
    options = dials_of(ready, asked.wishes)
    given, said = understood(ready, options, asked.prompt, asked.wishes)
    seeds = range(asked.seed, asked.seed + asked.count)
    printer = studio.printer(ready, asked.format, options, asked.size)
    if asked.stream:
        steps = _Steps(asked.partial)
        future = taken(lambda: studio.warm.ask(ready, seeds, given, options, steps=steps.take))
        parts = _streamed(asked, printer, ready.rows(options, given, seeds), steps, future)
        return StreamingResponse(parts, media_type="text/event-stream")
    future = taken(lambda: studio.warm.ask(ready, seeds, given, options))
    made = await made_of(call, future)
    rows = ready.rows(options, given, seeds)
    printed = await studio.aside(lambda: [printer.print(one, rows, at) for at, one in enumerate(made)])
    if asked.style != "b64_json":
        printed = await asyncio.to_thread(printer.keep, printed)
        studio.catalogue.changed()
    return _answer(call, asked, printed, said)


def _answer(call: Call, asked: Asked, printed: Sequence[Printed], said: str) -> dict[str, Any]:
    return {
        "created": int(time.time()), "data": [_image(call, asked, one, said) for one in printed],
        "output_format": asked.format, "size": printed[0].size,
    }  # fmt: skip


def _image(call: Call, asked: Asked, one: Printed, said: str) -> dict[str, Any]:
    found: dict[str, Any] = {"seed": one.seed}
    if asked.style != "url":
        found["b64_json"] = base64.b64encode(one.content).decode()
    if asked.style != "b64_json" and one.path is not None:
        found["url"] = f"{call.base}/api/images/{image_id(one.path)}/file"
    if said and said != asked.prompt:
        found["revised_prompt"] = said
    return found


class _Steps:
    """Images as they form, handed from the thread that makes them to the stream of whoever watches."""

    def __init__(self, most: int) -> None:
        self._loop, self._most, self._seen, self._sent = asyncio.get_running_loop(), most, 0, 0
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    def take(self, images: Any) -> None:
        """The first step, the fourth, the sixteenth and so on, as many as were asked for."""
        self._seen += 1
        if self._sent < self._most and self._seen == 4**self._sent:
            self._sent += 1
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.queue.put_nowait, images)


async def _streamed(
    asked: Asked, printer: Printer, rows: Mapping[str, Any], steps: _Steps, future: Any
) -> AsyncIterator[bytes]:
    waiting = asyncio.wrap_future(future)
    number = 0
    try:
        while not waiting.done() or not steps.queue.empty():
            step = asyncio.create_task(steps.queue.get())
            await asyncio.wait({step, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if step.done():
                content = await asyncio.to_thread(printer.plain, step.result()[0])
                yield _event("image_generation.partial_image", asked, content, partial_image_index=number)
                number += 1
            step.cancel()
        try:
            made = waiting.result()
        except Exception as error:
            yield b"event: error\ndata: " + to_json({"type": "error", "error": str(error)}) + b"\n\n"
            return
        for at, one in enumerate(made):
            printed = await asyncio.to_thread(printer.print, one, rows, at)
            yield _event("image_generation.completed", asked, printed.content, seed=printed.seed, size=printed.size)
    finally:
        future.cancel()


def _event(kind: str, asked: Asked, content: bytes, **more: Any) -> bytes:
    data = {
        "type": kind, "b64_json": base64.b64encode(content).decode(), "created_at": int(time.time()),
        "output_format": asked.format, "quality": "auto", "background": "auto", "size": "auto", **more,
    }  # fmt: skip
    return f"event: {kind}\ndata: ".encode() + to_json(data) + b"\n\n"


# Edits and variations: by the verbs, since files of strangers go in


_FORM = {
    "type": "object",
    "properties": {
        "image": {"type": "string", "format": "binary"}, "mask": {"type": "string", "format": "binary"},
        "prompt": {"type": "string"}, "model": {"type": "string"}, "n": {"type": "integer"}, "size": {"type": "string"},
        "response_format": {"enum": list(_STYLES)}, "output_format": {"enum": list(_FORMATS)},
    },
    "required": ["image"],
}  # fmt: skip


@endpoint("POST", "/v1/images/edits", "Change images", group="OpenAI", raw=True, form=_FORM, largest=LARGEST)
async def edits(studio: Studio, call: Call) -> Any:
    """With a mask: what is transparent in it is made anew. Else by a model that takes an image, or by a recipe."""
    async with _received(studio, call) as (asked, batch, files):
        path = _run(studio, asked.model)
        run = studio.catalogue.id_of(next(e for e in studio.catalogue.all("run").values() if e.path == path))
        ready = await ready_of(studio, path)
        options = dials_of(ready, asked.wishes)
        pictures = {one.kind for one in ready.form(options).conditions} & {"image", "map"}
        shared = {"format": asked.format, "to": batch}
        sheets = {"sheet": False, "count": asked.count, "seed": asked.seed, **asked.wishes, **shared}
        if "mask" in files:
            white = await asyncio.to_thread(_white, studio, studio.catalogue.path_of(files["mask"][0]))
            values = {"run": run, "source": files["image"][0], "mask": f"upload:{batch}/{white}", **sheets}
            verb = "complete"
        elif pictures:
            verb, values = "sample", {"run": run, "image": files["image"], **sheets}
        elif asked.prompt.strip():
            verb, values = "refine", {"source": files["image"], "with": asked.prompt, **shared}
        else:
            raise UsageError(
                "there is nothing to do", do="give a mask, a model that takes images, or a recipe as prompt"
            )
        return await _done(studio, call, asked, verb, values)


@endpoint("POST", "/v1/images/variations", "Images like one", group="OpenAI", raw=True, form=_FORM, largest=LARGEST)
async def variations(studio: Studio, call: Call) -> Any:
    """By the verb `edit-vary`."""
    async with _received(studio, call) as (asked, batch, files):
        run = studio.catalogue.id_of(
            next(e for e in studio.catalogue.all("run").values() if e.path == _run(studio, asked.model))
        )
        values = {
            "run": run, "source": files["image"][:1], "count": asked.count, "seed": asked.seed % 2**32, "sheet": False,
            "format": asked.format, "to": batch, **asked.wishes,
        }  # fmt: skip
        return await _done(studio, call, asked, "edit-vary", values)


@contextlib.asynccontextmanager
async def _received(studio: Studio, call: Call) -> AsyncIterator[tuple[Asked, str, dict[str, list[str]]]]:
    """The fields of a form, and its files as a batch of uploads that goes when all is done."""
    if not call.request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise UsageError("images come as a form here", do="send multipart/form-data with image")
    parser = MultiPartParser(
        call.request.headers, bounded(call.request, LARGEST), max_files=17, max_fields=64, max_part_size=1 << 20
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, UnicodeError) as error:
        raise UsageError(f"the form cannot be read ({error})") from None
    batch = f"api-{secrets.token_hex(8)}"
    folder = studio.catalogue.batch(batch)
    try:
        fields: dict[str, Any] = {}
        files: dict[str, list[str]] = {}
        for key, value in form.multi_items():
            name = key.removesuffix("[]")
            if not isinstance(value, UploadFile):
                fields[name] = value
            elif name in ("image", "mask"):
                number = sum(map(len, files.values()))
                place = f"{name}-{number}"
                await asyncio.to_thread(_put, value, folder, place)
                files.setdefault(name, []).append(f"upload:{batch}/{place}")
        if "image" not in files:
            raise UsageError("image must be given, as a file of the form")
        yield Asked.read({**fields, **_objects(fields)}), batch, files
    finally:
        await form.close()
        await asyncio.to_thread(shutil.rmtree, folder, True)


def _objects(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is an object elsewhere comes as JSON text in forms."""
    found = {}
    for key in ("number", "dials"):
        if key in fields:
            try:
                found[key] = json.loads(fields[key])
            except (ValueError, RecursionError):
                raise UsageError(f"{key} is no JSON") from None
    return found


def _put(value: UploadFile, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / name, "xb") as stream:
        shutil.copyfileobj(value.file, stream)


def _white(studio: Studio, path: Path) -> str:
    """The mask as the verb takes it: white where something is to be made anew, which is where it is transparent."""
    import numpy as np

    from maquette.core.image import encode

    mask = studio.looks.image(path)
    if mask.shape[2] != 4:
        raise DataError("the mask has no transparency", do="send an image that is transparent where it is to change")
    white = np.where(mask[..., 3:] == 0, np.uint8(255), np.uint8(0))
    (path.parent / "white.png").write_bytes(encode(white))
    return "white.png"


async def _done(studio: Studio, call: Call, asked: Asked, verb: str, values: Mapping[str, Any]) -> Any:
    """Do a verb and answer with the images that it made."""
    job = await take(studio, verb, values)
    try:
        await studio.jobs.wait(job, PATIENCE)
    finally:
        if not job.is_over:
            studio.jobs.cancel(job)
    if job.state != "done" or job.result is None:
        raise DataError(job.error or "the job was stopped")
    paths = [Path(path) for path in job.result.get("images", ())]
    if not paths:
        raise DataError("no image could be used", do="send PNG, JPEG or WebP")

    def printed() -> list[Printed]:
        return [Printed(content=path.read_bytes(), seed=None, size="auto", path=path) for path in paths]

    studio.catalogue.changed()
    return _answer(call, asked, await asyncio.to_thread(printed), "")
