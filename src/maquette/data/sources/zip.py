"""Zip archives, read where they lie: nothing is unpacked onto the disk, and memory stays the same however many files.

Refused with a reason: files that overlap (bombs), names that lead out of the archive, links, encrypted files, other
archives inside, and more than the limits allow. A zip of nothing but NumPy arrays (.npz) is read as such.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from maquette.data.decoding.kinds import HEAD
from maquette.data.decoding.limits import Limits, Refused
from maquette.data.ingest.beside import IMAGES, MOST_BESIDE, SIDECARS, assumption, sidecar
from maquette.data.ingest.members import MOST_METADATA, Described, hidden, inner_name, is_metadata, is_patient, nested
from maquette.data.source import Entry

_END, _END64, _LOCATOR64 = struct.Struct("<4s4H2IH"), struct.Struct("<4sQ2H2I4Q"), struct.Struct("<4sIQI")
_RECORD, _LOCAL = struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s5H3I2H")
_MOST_FILES = 20_000_000
_MOST_RATIO, _RATIO_FROM = 200, 1 << 30
"""How many times its own size an archive may unpack to, from a gigabyte on."""
_FULL = 0xFFFFFFFF


@dataclass(frozen=True)
class _Member:
    name: str
    raw: bytes
    """The name as it is stored."""
    method: int
    flags: int
    check: int
    packed: int
    size: int
    offset: int
    attributes: int


class Zip:
    """The files of a zip archive, in the order of its directory."""

    contained = True
    names: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, path: Path, limits: Limits) -> None:
        self.pictures: frozenset[str] = frozenset()
        self.where, self._limits = str(path), limits
        self.notes: list[str] = []
        self.private = False
        self._stream: BinaryIO = open(path, "rb")  # noqa: SIM115 (closed with the process, or by the next question)
        self._length = os.fstat(self._stream.fileno()).st_size
        self._start, self._count, self._shift = self._directory()
        self._hashes, self._places = np.zeros(0, np.uint64), np.zeros(0, np.uint64)
        self._described = Described(self.notes)

    @classmethod
    def claim(cls, path: Path, head: bytes) -> int:
        """A zip's first file or its empty directory begins with these letters."""
        return 10 if head[:4] in (b"PK\x03\x04", b"PK\x05\x06") else 0

    def entries(self, *, content: bool = True) -> Iterator[Entry | None]:
        """All files but texts beside images; None as a sign of life while there is nothing to hand over."""
        yield from self._look()
        self._read_metadata()
        seen = self._twice()
        for member in self._members():
            path, trouble = inner_name(member.name)
            if member.name.endswith("/") or (not trouble and (hidden(path) or is_metadata(path))):
                continue
            if not trouble and (self._is_beside(path) or not self._described.is_image(path)):
                continue
            key = hash(path)
            if key in seen:
                trouble = trouble or ("" if seen[key] == 0 else "another file of the archive has the same name")
                seen[key] += 1
            yield self._entry(member, path, trouble, content)
        yield from self._described.rest()

    def _read_metadata(self) -> None:
        self._described = Described(self.notes)
        for member in self._members():
            path, trouble = inner_name(member.name)
            if not trouble and is_metadata(path) and member.size <= MOST_METADATA:
                self._described.read(path, self._content(member))

    def sample(self, count: int) -> Iterator[Entry | None]:
        """Files at even distances."""
        yield from self._look()
        self._read_metadata()
        step = max(1, self._count // max(1, count))
        for number, member in enumerate(self._members()):
            path, trouble = inner_name(member.name)
            if number % step or trouble or member.name.endswith("/") or hidden(path):
                continue
            if self._described.is_image(path):
                yield self._entry(member, path, "", True)

    def _entry(self, member: _Member, path: str, trouble: str, content: bool) -> Entry:
        body = None
        said: dict[str, Any] = {}
        stamp = _stamp(member)
        try:
            self._check(member, trouble)
            head = self._content(member, HEAD)
            self.private |= is_patient(path, head)
            if reason := nested(head):
                raise Refused(reason)
            said = {**self._beside(path), **self._described.said(path)}
            stamp += self._named_pictures(path, said, content)
            body = self._content(member) if content else None
        except Refused as error:
            trouble = str(error)
        return Entry(
            path=path, content=body, said=said, folders=tuple(path.split("/")[:-1]), trouble=trouble, stamp=stamp
        )

    def _named_pictures(self, path: str, said: dict[str, Any], content: bool) -> str:
        """Put the pictures that an image's row names in the place of their names; returns their stamps."""
        stamp = ""
        for column, places in self._described.pictures(path).items():
            member = next((found for place in places if (found := self._find(place)) is not None), None)
            if member is None:
                continue
            try:
                self._check(member, "")
                self.private |= is_patient(member.name, self._content(member, HEAD))
                said[column] = self._content(member) if content else b""
            except Refused as error:
                raise Refused(f"its {column}: {error}") from None
            self.pictures |= {column}
            stamp += _stamp(member)
        return stamp

    def _check(self, member: _Member, trouble: str) -> None:
        """Refuse what is never read, before anything of it is."""
        kind = stat.S_IFMT(member.attributes >> 16)
        if trouble:
            raise Refused(trouble)
        if kind == stat.S_IFLNK:
            raise Refused("it is a link, which is not followed")
        if kind not in (0, stat.S_IFREG):
            raise Refused("it is not a plain file")
        if member.flags & 1:
            raise Refused("it is encrypted")
        if member.method not in (0, 8):
            raise Refused(f"it is packed in a way that is not read (method {member.method})")
        if member.size > self._limits.file:
            most = self._limits.file / 2**20
            raise Refused(f"it has {member.size / 2**20:.0f} MB, more than {most:.0f} are not read")

    def _content(self, member: _Member, most: int | None = None) -> bytes:
        """What a file holds, or its start; never more than the directory says."""
        self._stream.seek(member.offset + self._shift)
        raw = self._stream.read(_LOCAL.size)
        if len(raw) < _LOCAL.size or raw[:4] != b"PK\x03\x04":
            raise Refused("the archive is damaged here")
        *_, name_length, extra_length = _LOCAL.unpack(raw)
        name = self._stream.read(name_length)
        if name != member.raw:
            raise Refused("the archive gives it two different names")
        self._stream.seek(extra_length, os.SEEK_CUR)
        wanted = member.size if most is None else min(most, member.size)
        if member.method == 0:
            content = self._stream.read(min(wanted, member.packed))
        else:
            content = self._unpacked(member.packed, wanted)
        if len(content) != wanted or (most is None and zlib.crc32(content) != member.check):
            raise Refused("the archive is damaged here: its content is not what its directory says")
        return content

    def _unpacked(self, packed: int, wanted: int) -> bytes:
        unpacker, found, left = zlib.decompressobj(-15), bytearray(), packed
        try:
            while len(found) < wanted and not unpacker.eof:
                piece = unpacker.unconsumed_tail or self._stream.read(min(1 << 16, left))
                left -= 0 if unpacker.unconsumed_tail else len(piece)
                if not piece:
                    break
                found += unpacker.decompress(piece, wanted - len(found))
        except zlib.error:
            raise Refused("the archive is damaged here") from None
        return bytes(found)

    # What lies beside an image

    def _is_beside(self, path: str) -> bool:
        stem, dot, ending = path.rpartition(".")
        return bool(dot) and dot + ending.lower() in SIDECARS and any(self._find(stem + e) for e in _both(IMAGES))

    def _beside(self, path: str) -> dict[str, Any]:
        said: dict[str, Any] = {}
        stem = path.rpartition(".")[0]
        for ending in SIDECARS if stem else ():
            member = self._find(stem + ending)
            if member is not None and member.size <= MOST_BESIDE and member.method in (0, 8):
                more, assumed = sidecar(self._content(member), ending)
                said |= more
                note = assumption("text beside the images", assumed)
                if assumed and note not in self.notes:
                    self.notes.append(note)
        return said

    def _find(self, path: str) -> _Member | None:
        wanted = np.uint64(hash(path) & 0xFFFFFFFFFFFFFFFF)
        place = int(np.searchsorted(self._hashes, wanted))
        if place >= len(self._hashes) or self._hashes[place] != wanted:
            return None
        return self._record(int(self._places[place]))[0]

    # The directory

    def _directory(self) -> tuple[int, int, int]:
        """Where the directory starts, how many records it has, and how far everything is shifted by what precedes."""
        tail = min(self._length, _END.size + 65535)
        self._stream.seek(self._length - tail)
        raw = self._stream.read(tail)
        at = len(raw)
        while (at := raw.rfind(b"PK\x05\x06", 0, at)) >= 0:  # The comment behind it may hold the same letters.
            if at + _END.size <= len(raw) and at + _END.size + _END.unpack_from(raw, at)[-1] == len(raw):
                break
        if at < 0:
            raise Refused("the archive is damaged or cut short: it has no directory")
        _, _, _, _, count, size, offset, _ = _END.unpack_from(raw, at)
        end = self._length - tail + at
        if 0xFFFF in (count,) or _FULL in (size, offset):
            count, size, offset, end = self._directory64(end, count, size, offset)
        if size > end or count > _MOST_FILES or count * _RECORD.size > size:
            raise Refused("the archive is damaged: its directory does not fit into it")
        shift = end - size - offset
        if shift < 0:
            raise Refused("the archive is damaged: its directory lies elsewhere than it says")
        return end - size, count, shift

    def _directory64(self, end: int, count: int, size: int, offset: int) -> tuple[int, int, int, int]:
        """The same from the larger directory that archives with many or large files have."""
        if end < _LOCATOR64.size:
            return count, size, offset, end
        self._stream.seek(end - _LOCATOR64.size)
        mark, _, place, _ = _LOCATOR64.unpack(self._stream.read(_LOCATOR64.size))
        if mark != b"PK\x06\x07":
            return count, size, offset, end
        if place > end - _END64.size:
            raise Refused("the archive is damaged: its directory lies elsewhere than it says")
        self._stream.seek(place)
        mark, _, _, _, _, _, _, count, size, offset = _END64.unpack(self._stream.read(_END64.size))
        if mark != b"PK\x06\x06":
            raise Refused("the archive is damaged: it has no directory")
        return count, size, offset, place

    def _look(self) -> Iterator[None]:
        """Note the hashes of all names, with the places of their records; refuse bombs before anything is unpacked."""
        hashes, places, starts, ends = array("Q"), array("Q"), array("Q"), array("Q")
        unpacked = 0
        for member, place in self._records():
            hashes.append(hash(inner_name(member.name)[0]) & 0xFFFFFFFFFFFFFFFF)
            places.append(place)
            starts.append(member.offset)
            ends.append(member.offset + _LOCAL.size + len(member.raw) + member.packed)
            unpacked += member.size
            if len(places) % 10_000 == 0:
                yield None
        if unpacked > max(_RATIO_FROM, _MOST_RATIO * self._length):
            times = unpacked / max(1, self._length)
            raise Refused(f"it would unpack to {times:,.0f} times its size, as archives do that are made to fill disks")
        order = np.argsort(np.array(starts, np.uint64), kind="stable")
        first, last = np.array(starts, np.uint64)[order], np.array(ends, np.uint64)[order]
        if len(first) and ((last[:-1] > first[1:]).any() or int(last[-1]) + self._shift > self._start):
            raise Refused("files in it overlap, as in archives that are made to fill disks")
        by_name = np.argsort(np.array(hashes, np.uint64), kind="stable")
        self._hashes, self._places = np.array(hashes, np.uint64)[by_name], np.array(places, np.uint64)[by_name]

    def _twice(self) -> dict[int, int]:
        """The hashes of names that several files have, each with the number of those that were seen."""
        if len(self._hashes) < 2:
            return {}
        again = self._hashes[1:][self._hashes[1:] == self._hashes[:-1]]
        return {int(value) - (1 << 64) if value >= 1 << 63 else int(value): 0 for value in np.unique(again)}

    def _members(self) -> Iterator[_Member]:
        return (member for member, _ in self._records())

    def _records(self) -> Iterator[tuple[_Member, int]]:
        place = self._start
        for _ in range(self._count):
            member, following = self._record(place)
            yield member, place
            place = following

    def _record(self, place: int) -> tuple[_Member, int]:
        """The record at a place of the directory, and the place of the next one."""
        self._stream.seek(place)
        raw = self._stream.read(_RECORD.size)
        if len(raw) < _RECORD.size or raw[:4] != b"PK\x01\x02":
            raise Refused("the archive is damaged: its directory cannot be read")
        (_, _, _, flags, method, _, _, check, packed, size, name_length, extra_length, comment_length, _, _, attributes,
         offset) = _RECORD.unpack(raw)  # fmt: skip
        raw_name = self._stream.read(name_length)
        extra = self._stream.read(extra_length)
        if _FULL in (size, packed, offset):
            size, packed, offset = _large(extra, size, packed, offset)
        member = _Member(_name(raw_name, flags), raw_name, method, flags, check, packed, size, offset, attributes)
        return member, place + _RECORD.size + name_length + extra_length + comment_length


def _stamp(member: _Member) -> str:
    return f"{member.check:08x}{member.size:x}"


def _name(raw: bytes, flags: int) -> str:
    if flags & 0x800:
        return raw.decode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")  # Most tools write UTF-8 without saying so.
    except UnicodeDecodeError:
        return raw.decode("cp437")


def _large(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Sizes and offset from the extra field, in which archives keep what does not fit into 32 bits."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            values = iter(struct.unpack_from(f"<{min(length, len(extra) - at - 4) // 8}Q", extra, at + 4))
            size = next(values, size) if size == _FULL else size
            packed = next(values, packed) if packed == _FULL else packed
            offset = next(values, offset) if offset == _FULL else offset
            break
        at += 4 + length
    return size, packed, offset


def _both(endings: tuple[str, ...]) -> Iterator[str]:
    for ending in endings:
        yield ending
        yield ending.upper()


SOURCE = Zip
