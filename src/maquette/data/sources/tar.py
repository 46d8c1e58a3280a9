"""Tar archives, packed or not, read as a stream from front to back. Files that share a name up to its first dot belong
together, as in WebDataset: one image, with what .txt, .cls and .json files say about it, and further pictures.

Links and special files are refused, names stay inside, other archives inside are not opened, and nothing is unpacked
onto the disk.
"""

from __future__ import annotations

import bz2
import contextlib
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from maquette.data.dataset import Part
from maquette.data.decoding.kinds import HEAD, container
from maquette.data.decoding.limits import Limits, Refused
from maquette.data.ingest.beside import MOST_BESIDE, SIDECARS, assumption, sidecar
from maquette.data.ingest.members import MOST_METADATA, Described, hidden, inner_name, is_metadata, is_patient, nested
from maquette.data.source import Entry, part_of

_MOST_RATIO, _RATIO_FROM = 200, 1 << 30
_HEADER = 1 << 20
"""What one header (with long names) may have at most."""


@dataclass
class _File:
    """One file of the archive that is being gathered into a sample."""

    path: str
    name: str
    """What stands between the first and the last dot of its file name: the name of a further picture."""
    content: bytes | None
    head: bytes
    stamp: str
    trouble: str = ""


@dataclass
class _Sample:
    key: str = ""
    files: list[_File] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)


class Tar:
    """The files of a tar archive, in its order."""

    contained = True
    names: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, path: Path, limits: Limits) -> None:
        self.where, self._path, self._limits = str(path), path, limits
        self.notes: list[str] = []
        self.private = False
        self.pictures: frozenset[str] = frozenset()
        self._part: Part | None = part_of(path)
        self._described = Described(self.notes)
        self._places: dict[str, tuple[int, int]] | None = None
        """Where the pictures lie that metadata names; None in an archive that is packed."""

    @classmethod
    def claim(cls, path: Path, head: bytes) -> int:
        """A tar, or a packed file, which is taken for one."""
        return 10 if container(head) == "tar" else 0

    def entries(self, *, content: bool = True) -> Iterator[Entry | None]:
        """All images; None as a sign of life while there is nothing to hand over."""
        try:
            yield from self._look()
            yield from self._samples(content)
        except RecursionError:
            raise Refused("the archive is damaged (headers of long names follow one another without end)") from None
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError) as error:
            raise Refused(f"the archive is damaged or cut short ({str(error).lower()[:80]})") from None

    def _look(self) -> Iterator[None]:
        """Of an archive that is not packed, read what metadata says and find the pictures that it names."""
        self._described, self._places = Described(self.notes), None
        with open(self._path, "rb") as raw:
            if _packing(raw) is not None:
                return
            self._places = {}
            for path, member in self._heads(raw):
                if is_metadata(path) and member.size <= MOST_METADATA:
                    raw.seek(member.offset_data)
                    self._described.read(path, raw.read(member.size))
                yield None
            if self._described.further:
                for path, member in self._heads(raw):
                    if path in self._described.further and member.size <= self._limits.file:
                        self._places[path] = (member.offset_data, member.size)
                    yield None

    def _heads(self, raw: BinaryIO) -> Iterator[tuple[str, tarfile.TarInfo]]:
        """The plain files of an archive that is not packed, as far as it is whole; what is wrong then, is said later.

        A header that says less than nothing follows would lead back to itself, for ever.
        """
        raw.seek(0)
        last = -1
        damage = (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, RecursionError)
        with contextlib.suppress(*damage), tarfile.open(fileobj=raw, mode="r:") as archive:
            for member in archive:
                if member.size < 0 or member.offset <= last:
                    return
                last = member.offset
                archive.members = []  # type: ignore[attr-defined]
                path, trouble = inner_name(member.name)
                if not trouble and member.isreg() and member.sparse is None:
                    yield path, member

    def _samples(self, content: bool) -> Iterator[Entry]:
        sample = _Sample()
        for path, member, stream, trouble in self._members():
            if trouble:
                yield Entry(path=path, trouble=trouble, part=self._part)
                continue
            folder, _, name = path.rpartition("/")
            base, _, rest = name.partition(".")
            key = f"{folder}/{base}"
            if key != sample.key:
                yield from self._finished(sample)
                sample = _Sample(key)
            file = stream.extractfile(member)
            if file is None:
                continue
            if not self._described.is_image(path):
                continue
            if is_metadata(path):
                if self._places is not None and member.size <= MOST_METADATA:
                    continue
                if sample.files or member.size > MOST_METADATA:
                    self.notes.append(f"{path} is too long to be read inside an archive; unpack it first")
                else:
                    self._described.read(path, file.read(MOST_METADATA))
            elif "." + rest.rpartition(".")[2].lower() in SIDECARS and member.size <= MOST_BESIDE:
                more, assumed = sidecar(file.read(MOST_BESIDE), "." + rest.rpartition(".")[2].lower())
                sample.said |= more
                note = assumption("text beside the images", assumed)
                if assumed and note not in self.notes:
                    self.notes.append(note)
            else:
                sample.files.append(self._file(path, rest.rpartition(".")[0], member, file, content))
        yield from self._finished(sample)
        yield from self._described.rest()

    def sample(self, count: int) -> Iterator[Entry | None]:
        """Files from the front: what lies behind would have to be unpacked first."""
        for entry in self.entries():
            if entry is not None and count <= 0:
                return
            count -= entry is not None
            yield entry

    def _file(self, path: str, name: str, member: tarfile.TarInfo, file: Any, content: bool) -> _File:
        if member.size > self._limits.file:
            size, most = member.size / 2**20, self._limits.file / 2**20
            return _File(path, name, None, b"", "", f"it has {size:.0f} MB, more than {most:.0f} are not read")
        head = file.read(HEAD)
        body = head + file.read(self._limits.file) if content else None
        stamp = f"{int(member.mtime)}.{member.size:x}"
        self.private |= is_patient(path, head)
        return _File(path, name, body, head, stamp, nested(head))

    def _finished(self, sample: _Sample) -> Iterator[Entry]:
        """The images of one sample: those that have a name of their own are further pictures of the first."""
        further = {file.name: file for file in sample.files if file.name and not file.trouble}
        plain = [file for file in sample.files if file.name not in further]
        if not plain and further:  # Names with several dots, and no image without: then they are images like others.
            plain, further = list(sample.files), {}
        if further and len(plain) == 1:
            self.pictures |= further.keys()
        else:
            plain, further = list(sample.files), {}
        for file in plain:
            said = {**sample.said, **self._described.said(file.path)}
            said |= {name: more.content or b"" for name, more in further.items()}
            trouble = file.trouble or self._named_pictures(file, said)
            yield Entry(
                path=file.path, content=file.content, said=said, folders=tuple(file.path.split("/")[:-1]),
                part=self._part, trouble=trouble,
                stamp=file.stamp + "".join(more.stamp for more in further.values()),
            )  # fmt: skip

    def _named_pictures(self, file: _File, said: dict[str, Any]) -> str:
        """Put the pictures that an image's row names in the place of their names; returns what is wrong with them."""
        for column, places in self._described.pictures(file.path).items():
            if self._places is None:
                return f"its {column} is named, not beside it, and the archive is packed; unpack it first"
            found = next((self._places[place] for place in places if place in self._places), None)
            if found is None:
                continue
            start, size = found
            with open(self._path, "rb") as raw:
                raw.seek(start)
                body = raw.read(HEAD if file.content is None else size)
            self.private |= is_patient(places[0], body[:HEAD])
            said[column] = b"" if file.content is None else body
            file.stamp += f".{start:x}.{size:x}"
            self.pictures |= {column}
        return ""

    def _members(self) -> Iterator[tuple[str, tarfile.TarInfo, tarfile.TarFile, str]]:
        """Path, header, archive and trouble of every file."""
        with open(self._path, "rb") as raw:
            stream = _Unpacked(raw, self._limits)
            with tarfile.open(fileobj=stream, mode="r|", errorlevel=0) as archive:
                for member in archive:
                    archive.members = []  # type: ignore[attr-defined]  # It would remember them all.
                    path, trouble = inner_name(member.name)
                    if member.isdir() or (not trouble and hidden(path)):
                        continue
                    if member.issym() or member.islnk():
                        trouble = "it is a link, which is not followed"
                    elif not member.isreg():
                        trouble = "it is not a plain file"
                    elif member.sparse is not None:
                        trouble = "it is stored with holes, which is not read"
                    yield path, member, archive, trouble
            if stream.is_cut:
                raise Refused("the archive is cut short")


def _packing(raw: BinaryIO) -> str | None:
    """How a file is packed; None if it is not. It stands at its start then."""
    head = raw.read(6)
    raw.seek(0)
    marks = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\x00"}
    return next((name for name, mark in marks.items() if head.startswith(mark)), None)


class _Unpacked(io.RawIOBase):
    """The content of a packed file as a stream, with bounds on how much comes out of how little."""

    def __init__(self, raw: Any, limits: Limits) -> None:
        self._raw, self._given = raw, 0
        self._length = os.fstat(raw.fileno()).st_size
        packing = _packing(raw)
        makers: dict[str, Any] = {
            "gzip": lambda: zlib.decompressobj(31),
            "bzip2": bz2.BZ2Decompressor,
            "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.memory // 4),
        }
        self._new: Any = makers[packing] if packing else None
        self._unpacker: Any = self._new() if self._new else None
        self._left, self._ended, self._empty = b"", False, 0

    @property
    def is_cut(self) -> bool:
        """Whether a packed file ended in the middle."""
        return self._ended and self._unpacker is not None and not self._unpacker.eof

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        if size < 0 or size > _HEADER * 16:
            size = _HEADER * 16
        if self._unpacker is None:
            return self._seen(bytes(self._raw.read(size)))
        found = bytearray()
        while len(found) < size:
            piece = self._piece(size - len(found))
            if not piece and self._ended:
                break
            found += piece
        self._given += len(found)
        if self._given > max(_RATIO_FROM, _MOST_RATIO * self._length):
            raise Refused(
                f"it unpacks to more than {_MOST_RATIO} times its size, as archives do that are made to fill disks"
            )
        return self._seen(bytes(found))

    def _seen(self, found: bytes) -> bytes:
        """A header may lie about how much follows, and its reader would go on at the end for ever."""
        self._empty = 0 if found else self._empty + 1
        if self._empty > 8:
            raise Refused("the archive is cut short: a file in it is longer than what is left")
        return found

    def _piece(self, size: int) -> bytes:
        if self._unpacker.eof:  # Several packed streams may follow each other.
            rest = self._unpacker.unused_data or self._raw.read(1 << 16)
            if not rest.strip(b"\0"):
                self._ended = True
                return b""
            self._unpacker, self._left = self._new(), rest
        zipped = hasattr(self._unpacker, "unconsumed_tail")
        if zipped:
            feed = self._unpacker.unconsumed_tail or self._left or self._raw.read(1 << 16)
        else:
            feed = self._left or (self._raw.read(1 << 16) if self._unpacker.needs_input else b"")
        self._left = b""
        if not feed and (zipped or self._unpacker.needs_input):
            self._ended = True
            return b""
        return bytes(self._unpacker.decompress(feed, size))


SOURCE = Tar
