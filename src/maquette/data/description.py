"""The description of a dataset, `dataset.json`: read, and checked before anything in it is believed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from maquette.core.errors import DataError
from maquette.data.decoding.arrays import damaged

VERSION = 1
_FILE = re.compile(r"(?:conditions/)?\w[\w-]{0,63}(?:\.\d{1,9})?\.(?:npy|jsonl)")
_MAX_DESCRIPTION = 64 << 20


def read_description(path: Path) -> dict[str, Any]:
    """The description in a dataset's folder; whatever is missing, damaged or of another kind is said."""
    file = path / "dataset.json"
    if not path.exists():
        raise DataError("there is no dataset here", where=path, do="make one with maquette ingest")
    if not file.is_file():
        raise DataError("this is not a dataset", where=path, do="make one from it with maquette ingest")
    if file.stat().st_size > _MAX_DESCRIPTION:
        raise damaged(file, "it is far too long")
    try:
        description = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        raise damaged(file, "it cannot be read as JSON") from None
    if not isinstance(description, dict) or description.get("maquette") != "dataset":
        raise DataError("this is not a dataset", where=path, do="make one from it with maquette ingest")
    if description.get("version") != VERSION:
        raise DataError(
            f"the dataset has format {description.get('version')!r}, this program reads {VERSION}",
            where=path,
            do="update maquette, or make the dataset again",
        )
    kinds = {"digest": str, "count": int, "spec": dict, "settings": dict, "arrays": dict, "records": dict}
    for key, kind in kinds.items():
        if not isinstance(description.get(key), kind):
            raise damaged(file, f"{key!r} is missing or of the wrong kind")
    files = description.get("files", {})
    if not isinstance(files, dict) or not all(isinstance(f, str) and _FILE.fullmatch(f) for f in files.values()):
        raise damaged(file, "it names files that no dataset has")
    if not 0 < description["count"] < 2**40:
        raise damaged(file, f"it says that there are {description['count']} images")
    return description
