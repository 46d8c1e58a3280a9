"""Parquet files in the layout of Hugging Face: a column of images as {bytes, path}, and columns that say more.

One file, or a folder of them (shards). Read piece by piece, so that memory stays the same however long they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maquette.core.errors import DataError
from maquette.data.dataset import Part
from maquette.data.decoding.limits import Limits
from maquette.data.source import SPLITS, Entry, part_of, unreadable, wanted

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_ROWS, _PIECE_BYTES = 64, 8 << 20
_INPUT = re.compile(r"input|source|condition|control|sketch|edges|before|original|mask|map|depth|segment")
"""Columns of pictures that an image is made from."""
_USUAL = ("image", "img", "picture", "photo", "png", "jpg", "jpeg", "bytes", "image_bytes")


class Parquet:
    """The rows of one or more Parquet files of one form."""

    contained = True

    def __init__(self, path: Path, limits: Limits) -> None:
        self.where, self._limits = str(path), limits
        self.notes: list[str] = []
        self.private = False
        self._stamp = ""
        self._root = path if path.is_dir() else path.parent
        self._files = _shards(path) if path.is_dir() else [path]
        schema = self._open(self._files[0]).schema_arrow
        features = _features(schema)
        images = [field.name for field in schema if _is_image(field, features)]
        outputs = [column for column in images if not _INPUT.search(column.lower())] or images
        usual = [name for name in _USUAL for column in outputs if column.lower() == name]
        if not images:
            raise DataError(
                f"it has no column of images (its columns: {', '.join(schema.names)})",
                where=self._files[0],
                do=_instead(schema),
            )
        chosen = next((column for column in outputs if usual and column.lower() == usual[0]), outputs[0])
        self._column, self._schema = chosen, schema
        self.pictures = frozenset(name for name in images if name != chosen)
        self.names: Mapping[str, tuple[str, ...]] = {
            name: tuple(str(word) for word in feature["names"])
            for name, feature in features.items()
            if isinstance(feature, dict) and isinstance(feature.get("names"), list) and feature["names"]
        }

    @classmethod
    def claim(cls, path: Path, head: bytes) -> int:
        """A Parquet file, or a folder that holds some at its top or one folder down, and nothing else."""
        if path.is_file():
            return 10 if head[:4] == b"PAR1" else 5 if path.suffix.lower() == ".parquet" else 0
        return 10 if _shards(path) and not _others(path) else 0

    def entries(self, *, content: bool = True) -> Iterator[Entry]:
        """All rows, file by file."""
        for file in self._files:
            opened = self._open(file)
            if content:
                columns = list(self._schema.names)
            else:
                columns = [name for name in self._schema.names if name != self._column and name not in self.pictures]
            yield from self._rows(file, opened, columns, range(opened.num_row_groups))

    def sample(self, count: int) -> Iterator[Entry]:
        """Some rows of some row groups."""
        pieces = []
        for file in self._files[:: max(1, len(self._files) // 8)]:
            opened = self._open(file)
            step = max(1, opened.num_row_groups // 8)
            pieces += [(file, group) for group in range(0, opened.num_row_groups, step)]
        each = max(1, count // max(1, len(pieces)))
        for file, group in pieces[:count]:
            rows = self._rows(file, self._open(file), list(self._schema.names), [group])
            for _, entry in zip(range(each), rows, strict=False):
                yield entry

    def _open(self, file: Path) -> pq.ParquetFile:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            # A buffered stream: columns are read in pieces, not whole row groups at once.
            opened = pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
        except OSError as error:
            raise unreadable(file, error) from None
        except pa.ArrowException as error:
            raise _damaged(file, error) from None
        if opened.metadata.num_rows > file.stat().st_size:
            raise DataError("the Parquet file is damaged: it has more rows than bytes", where=file)
        return opened

    def _rows(self, file: Path, opened: pq.ParquetFile, columns: list[str], groups: Any) -> Iterator[Entry]:
        import pyarrow as pa

        missing = [name for name in columns if name not in opened.schema_arrow.names]
        if missing:
            raise DataError(f"it has no column {missing[0]!r}, which the first file has", where=file)
        shard = part_of(file)
        number = _rows_before(opened, groups)
        name = file.relative_to(self._root).as_posix()
        form = file.stat()
        self._stamp = f"{form.st_size:x}.{form.st_mtime_ns:x}"
        if not columns:
            for row in range(opened.metadata.num_rows):
                yield Entry(path=f"{name}, row {row}", part=shard, stamp=self._stamp)
            return
        try:
            count = _rows_at_once(opened, groups)
            for batch in opened.iter_batches(count, list(groups), columns, use_threads=False):
                for row in batch.to_pylist():
                    yield self._entry(f"{name}, row {number}", row, shard)
                    number += 1
        except (pa.ArrowException, OSError) as error:
            raise _damaged(file, error) from None

    def _entry(self, place: str, row: dict[str, Any], shard: Part | None) -> Entry:
        value = row.pop(self._column, None)
        content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
        for name in self.pictures & row.keys():
            further = row[name]
            row[name] = further.get("bytes") if isinstance(further, dict) else further
        split = next((str(v).lower() for name, v in row.items() if name.lower() == "split"), "")
        # The row is part of the name: paths in such files are often not unique, or missing.
        return Entry(
            path=f"{place} ({path})" if isinstance(path, str) and path else place,
            content=content if isinstance(content, bytes) else None,
            said=row,
            part=SPLITS.get(split, shard),
            stamp=self._stamp,
        )


def _rows_before(opened: pq.ParquetFile, groups: Any) -> int:
    """The number of the first row of the first of these row groups."""
    first = next(iter(groups), 0)
    return sum(opened.metadata.row_group(group).num_rows for group in range(first))


def _shards(folder: Path) -> list[Path]:
    try:
        found = [*folder.glob("*.parquet"), *folder.glob("*/*.parquet")]
    except OSError:
        return []
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def _others(folder: Path) -> bool:
    """Whether there are files besides the Parquet files that may be images: then they are not passed over."""
    known = (".parquet", ".json", ".jsonl", ".md", ".txt", ".yaml", ".yml", ".csv", ".lock", ".py")
    try:
        for path in (*folder.glob("*"), *folder.glob("*/*")):
            if path.is_file() and wanted(path.name) and path.suffix.lower() not in known:
                return True
    except OSError:
        return False
    return False


def _rows_at_once(opened: pq.ParquetFile, groups: Any) -> int:
    """So many rows that memory stays small, however large the images are."""
    rows = [opened.metadata.row_group(group) for group in groups]
    size = max((group.total_byte_size / max(1, group.num_rows) for group in rows), default=0)
    return max(1, min(_ROWS, int(_PIECE_BYTES / max(1, size))))


def _features(schema: pa.Schema) -> dict[str, Any]:
    """What Hugging Face's datasets wrote about the columns, if anything."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _instead(schema: pa.Schema) -> str:
    """What to do about a table without pictures."""
    import pyarrow as pa

    words = [f.name for f in schema if f.name.lower() in _USUAL and pa.types.is_string(f.type)]
    if words:
        return f"its column {words[0]} holds names of files: give their folder, with this table in it as metadata.csv"
    return "store images as bytes, or as {bytes, path}"


def _is_image(field: pa.Field[Any], features: Mapping[str, Any]) -> bool:
    import pyarrow.types as types

    feature = features.get(field.name)
    if isinstance(feature, dict) and feature.get("_type") == "Image":
        return True
    if types.is_struct(field.type):
        inner = {field.type.field(k).name: field.type.field(k).type for k in range(field.type.num_fields)}
        return "bytes" in inner and _is_bytes(inner["bytes"])
    return _is_bytes(field.type)


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _damaged(file: Path, error: Exception) -> DataError:
    return DataError(f"the Parquet file is damaged or of another kind ({str(error).splitlines()[0][:120]})", where=file)


SOURCE = Parquet
