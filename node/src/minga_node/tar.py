"""Many files in one stream: tar in its pax form (POSIX.1-2017, pax, "Interchange Format").

Written and read a file at a time, never as a whole. Only regular files are taken. ``tarfile`` makes and reads
the headers; the walk over them is here, since ``tarfile`` reads an extended header of any length into memory.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from minga_node.errors import BadRequest
from minga_node.model import Attributes

MEDIA_TYPE = "application/x-tar"
ID = "MINGA.id"
"""Keyword of the extended header that holds the content's id (vendor keywords are in capitals)."""
BLOCK_BYTES = 512
END = bytes(2 * BLOCK_BYTES)
LONGEST_EXTENSION_BYTES = 64 * 1024
"""Bytes of an extended header that are read at most."""
READ_BYTES = 1024 * 1024


class TarSource(Protocol):
    """Anything with ``read``, which may give less than it is asked for but only the end as nothing."""

    def read(self, size: int, /) -> bytes: ...


def header(name: str, size: int, modified_ms: int, identity: str = "", *, executable: bool = False) -> bytes:
    """What comes before the bytes of a regular file."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, max(0, modified_ms // 1000)
    info.mode = 0o755 if executable else 0o644
    if identity:
        info.pax_headers = {ID: identity}
    return info.tobuf(tarfile.PAX_FORMAT)


def padding(size: int) -> bytes:
    """What comes after them."""
    return bytes(-size % BLOCK_BYTES)


class _Reader:
    """Reads whole blocks out of a source that likes to be asked for a lot at once."""

    def __init__(self, source: TarSource) -> None:
        self._source = source
        self._buffer = b""
        self._at = 0

    def exactly(self, size: int) -> bytes:
        """Raises BadRequest where the source ends before."""
        data = self._buffer[self._at : self._at + size]
        self._at += len(data)
        parts = [data]
        missing = size - len(data)
        while missing:
            self._buffer = self._source.read(max(READ_BYTES, missing))
            if not self._buffer:
                raise BadRequest("the archive is cut off")
            self._at = min(missing, len(self._buffer))
            parts.append(self._buffer[: self._at])
            missing -= self._at
        return b"".join(parts) if len(parts) > 1 else data


@dataclass
class TarMember:
    """One entry of an archive; its bytes are read before the next one is asked for."""

    name: str
    size: int
    id: str
    """The id that the archive claims for it; empty if none."""
    problem: str
    """Why it is no regular file; empty for one."""
    attributes: Attributes
    _reader: _Reader = field(repr=False)
    _left: int = 0

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most ``size``; nothing at the end.

        Raises:
            BadRequest: the archive ends before.
        """
        data = self._reader.exactly(min(size, self._left))
        self._left -= len(data)
        return data

    def skip(self) -> None:
        """Goes on behind it."""
        while self._left:
            self.read(READ_BYTES)
        self._reader.exactly(-self.size % BLOCK_BYTES)


def members(source: TarSource) -> Iterator[TarMember]:
    """All entries but folders; whatever of an entry is not read is skipped.

    Raises:
        BadRequest: this is no archive, or it is cut off.
    """
    reader = _Reader(source)
    extended: dict[str, str] = {}
    while True:
        block = reader.exactly(BLOCK_BYTES)
        if not any(block):
            return
        info = _parse(block)
        if info.type in {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE}:
            extended.update(_records(_extension(reader, info)))
        elif info.type == tarfile.GNUTYPE_LONGNAME:
            extended["path"] = _text(_extension(reader, info).split(b"\0", 1)[0])
        elif info.type in {tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK}:
            _extension(reader, info)
        else:
            member = _member(reader, info, extended)
            if not info.isdir():
                yield member
            member.skip()
            extended = {}


_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


def _member(reader: _Reader, info: tarfile.TarInfo, extended: dict[str, str]) -> TarMember:
    regular = info.type in {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE}
    problem = "" if regular else _KINDS.get(info.type, f"of the unknown type {info.type!r}")
    if any(key.startswith("GNU.sparse") for key in extended):
        problem = _KINDS[tarfile.GNUTYPE_SPARSE]
    size = info.size if regular else 0
    if regular and "size" in extended:
        if not re.fullmatch("[0-9]{1,18}", extended["size"]):
            raise BadRequest("the archive has a size that is no number, or beyond any disk")
        size = int(extended["size"])
    elif info.type == tarfile.GNUTYPE_SPARSE:
        # Its map may go on in further blocks, which only who unpacks it needs to find.
        raise BadRequest("the archive has sparse files in GNU's old form: make it without --sparse")
    name = extended.get("path", info.name).removeprefix("./")
    return TarMember(
        name,
        size,
        extended.get(ID, ""),
        problem,
        Attributes(info.mtime, bool(info.mode & 0o111)),
        reader,
        size,
    )


def _parse(block: bytes) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise BadRequest(f"this is no tar archive: {error}") from None
    if info.size < 0:
        raise BadRequest("the archive has a negative size")
    return info


def _extension(reader: _Reader, info: tarfile.TarInfo) -> bytes:
    if info.size > LONGEST_EXTENSION_BYTES:
        raise BadRequest(f"the archive has an extended header of {info.size} bytes")
    data = reader.exactly(info.size)
    reader.exactly(-info.size % BLOCK_BYTES)
    return data


def _records(data: bytes) -> dict[str, str]:
    """The records of an extended header: ``<length> <keyword>=<value>\\n`` each."""
    found: dict[str, str] = {}
    while data:
        digits, space, rest = data.partition(b" ")
        length = int(digits) if space and digits.isdigit() and len(digits) < 10 else 0
        if not len(digits) + 2 < length <= len(data):
            raise BadRequest("the archive has a damaged extended header")
        key, _, value = rest[: length - len(digits) - 2].partition(b"=")
        found[_text(key)] = _text(value)
        data = data[length:]
    return found


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
