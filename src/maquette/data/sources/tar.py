"""Tar archives, packed or not, read as a stream from front to back. Files that share a name up to its first dot belong
together, as in WebDataset: one image, with what .txt, .cls and .json files say about it, and further pictures.

Links and special files are refused, names stay inside, other archives inside are not opened, and nothing is unpacked
onto the disk.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maquette.data.beside import MOST_BESIDE, SIDECARS, assumption, sidecar
from maquette.data.dataset import Part
from maquette.data.kinds import HEAD, container
from maquette.data.limits import Limits, Refused
from maquette.data.members import MOST_METADATA, Described, hidden, inner_name, is_metadata, is_patient, nested
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

    @classmethod
    def claim(cls, path: Path, head: bytes) -> int:
        """A tar, or a packed file, which is taken for one."""
        return 10 if container(head) == "tar" else 0

    def entries(self, *, content: bool = True) -> Iterator[Entry]:
        """All images."""
        try:
            yield from self._samples(content)
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError) as error:
            raise Refused(f"the archive is damaged or cut short ({str(error).lower()[:80]})") from None

    def _samples(self, content: bool) -> Iterator[Entry]:
        self._described = Described(self.notes)
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
            if is_metadata(path):
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

    def sample(self, count: int) -> Iterator[Entry]:
        """Files from the front: what lies behind would have to be unpacked first."""
        for number, entry in enumerate(self.entries()):
            if number >= count:
                return
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
            yield Entry(
                path=file.path, content=file.content, said=said, folders=tuple(file.path.split("/")[:-1]),
                part=self._part, trouble=file.trouble,
                stamp=file.stamp + "".join(more.stamp for more in further.values()),
            )  # fmt: skip

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


class _Unpacked(io.RawIOBase):
    """The content of a packed file as a stream, with bounds on how much comes out of how little."""

    def __init__(self, raw: Any, limits: Limits) -> None:
        self._raw, self._given = raw, 0
        head = raw.read(6)
        raw.seek(0)
        self._length = os.fstat(raw.fileno()).st_size
        self._new: Any = None
        if head[:2] == b"\x1f\x8b":
            self._new = lambda: zlib.decompressobj(31)
        elif head[:3] == b"BZh":
            self._new = bz2.BZ2Decompressor
        elif head == b"\xfd7zXZ\x00":
            self._new = lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.memory // 4)
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
