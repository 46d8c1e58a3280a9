"""Refining in a worker: one image at a time, from the bytes of its file to those of the finished one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maquette.core.errors import MaquetteError
from maquette.core.settings import from_json
from maquette.data.ingest.decode import Decoder
from maquette.engine.bulk.bulk import Answer
from maquette.engine.bulk.bulk import Work as Does
from maquette.engine.files.batch import Batch, Work
from maquette.engine.files.refine import LIMITS, read, refined, sentence_of
from maquette.engine.files.signed import Finisher
from maquette.refining.recipe import from_json as recipe_of
from maquette.store.workspace import Workspace
from maquette.trust.examine import Examiner
from maquette.trust.keys import Keys
from maquette.trust.press import Press


def make(settings: Mapping[str, Any]) -> Does:
    """The function that refines one image."""
    import cv2

    import maquette
    from maquette.operations.refine import Refine, models

    cv2.setNumThreads(1)
    request = from_json(Refine, settings["request"], what="refine")
    workspace = Workspace(settings["home"])
    batch = Batch(
        recipe=recipe_of(settings["recipe"]), to=Path(request.to), format=request.format, seed=request.seed,
        tile=request.tile, metadata=request.metadata, software=settings["software"], hand=models(workspace),
    )  # fmt: skip
    press = Press(workspace.home, format=request.format, sign=request.sign == "on", maker=request.maker)
    finish = Finisher(press, Examiner(Keys(workspace.home).anchors()), batch, {"maquette": maquette.__version__})
    batch, decoder = dataclasses.replace(batch, finish=finish), Decoder(1, LIMITS)
    reading = functools.lru_cache(maxsize=4)(read)

    def work(head: Mapping[str, Any], body: bytes) -> Answer:
        content: bytes | Path = Path(head["path"]) if "path" in head else body
        given = Work(head["name"], content, Path(head["to"]), "", head["seed"], head["recipe"])
        try:
            return {}, refined(given, batch, decoder, reading)
        except MaquetteError as error:
            return {"failed": {"what": error.what, "where": error.where, "do": error.do}}, b""
        except Exception as error:
            return {"failed": {"what": sentence_of(error), "where": "", "do": ""}}, b""

    return work
