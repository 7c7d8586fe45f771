"""The library: which contents this node has under which names, and how they get in and out."""

from __future__ import annotations

import logging
import mimetypes
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from minga_node.disk import disk_errors, sync_directory, sync_filesystem
from minga_node.errors import BadRequest, Conflict, InvalidName, MingaError, NotFound
from minga_node.library.hashes import Hashes
from minga_node.library.scan import Found, Signature, look
from minga_node.manifest import Manifest
from minga_node.metrics import LIBRARY_BYTES, LIBRARY_FILES
from minga_node.model import LocalFile
from minga_node.names import check_name

log = logging.getLogger(__name__)

COPY_BYTES = 1024 * 1024


class Publisher(Protocol):
    """Where the library announces itself; the index is one."""

    def publish(self, files: Sequence[LocalFile]) -> object: ...
    def remove(self, names: Sequence[str]) -> object: ...
    def local(self) -> dict[str, LocalFile]: ...


class ManifestKeeper(Protocol):
    def get(self, identity: str) -> Manifest | None: ...
    def put(self, manifest: Manifest) -> None: ...

    def put_many(self, manifests: Iterable[Manifest]) -> None: ...


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An open file whose bytes are those of :attr:`file`'s id; the caller closes it."""

    stream: IO[bytes]
    file: LocalFile


@dataclass(frozen=True, slots=True)
class _Entry:
    signature: Signature
    file: LocalFile


class Library:
    """Knows the directory's files by name and by id; every change of it goes to the index.

    Thread-safe. What happens on the disk behind its back is brought in by :class:`~.watch.Watcher`.
    """

    def __init__(
        self,
        directory: Path,
        own_directory: Path,
        hashes: Hashes,
        publisher: Publisher,
        manifests: ManifestKeeper,
        hash_file: Callable[[Path], Manifest],
    ) -> None:
        self.directory = directory
        self._incoming = own_directory / "incoming"
        self._hashes = hashes
        self._publisher = publisher
        self._manifests = manifests
        self._hash_file = hash_file
        self._lock = threading.RLock()
        self._entries: dict[str, _Entry] = {}
        self._names: dict[str, set[str]] = {}
        self._bytes = 0
        self.on_shared: list[Callable[[Sequence[LocalFile]], None]] = []
        """Called with files that became part of the library."""

    def files(self) -> tuple[LocalFile, ...]:
        with self._lock:
            return tuple(entry.file for entry in self._entries.values())

    def totals(self) -> tuple[int, int]:
        """How many files, and how many bytes they have together."""
        with self._lock:
            return len(self._entries), self._bytes

    def signatures(self) -> dict[str, Signature]:
        """What every shared name looked like when it was shared."""
        with self._lock:
            return {name: entry.signature for name, entry in self._entries.items()}

    def find(self, name: str) -> LocalFile | None:
        with self._lock:
            entry = self._entries.get(name)
        return entry.file if entry else None

    def names_of(self, identity: str) -> tuple[str, ...]:
        with self._lock:
            return tuple(sorted(self._names.get(identity, ())))

    def open(self, name: str) -> OpenFile:
        """Opens a shared file.

        Raises:
            NotFound: not shared, or not any more what it was when it was shared.
        """
        with self._lock:
            entry = self._entries.get(name)
        if entry is None:
            raise NotFound(f"{name} is not here")
        return OpenFile(self._open(name, entry), entry.file)

    def has(self, name: str, identity: str) -> bool:
        """Whether a file of that name has this content, and still is what it was when it was shared."""
        try:
            opened = self.open(name)
        except NotFound:
            return False
        opened.stream.close()
        return opened.file.id == identity

    def open_id(self, identity: str) -> OpenFile | None:
        """Opens any file with this content, if there is one."""
        for name in self.names_of(identity):
            with self._lock:
                entry = self._entries.get(name)
            if entry is not None and entry.file.id == identity:
                try:
                    return OpenFile(self._open(name, entry), entry.file)
                except NotFound:
                    continue
        return None

    def _open(self, name: str, entry: _Entry) -> IO[bytes]:
        try:
            stream = (self.directory / name).open("rb")
        except OSError:
            raise NotFound(f"{name} is not here any more") from None
        status = os.fstat(stream.fileno())
        now = Signature(status.st_ino & (2**63 - 1), status.st_size, status.st_mtime_ns)
        if now != entry.signature:
            stream.close()
            raise NotFound(f"{name} is being changed")
        return stream

    def put(self, name: str, body: IO[bytes], length: int | None) -> tuple[LocalFile, bool]:
        """Takes a file in: all of it or nothing. Returns it and whether the name is new.

        ``length`` is what the sender announced, in bytes; a body that ends before is not taken.

        Raises:
            InvalidName, BadRequest, Conflict, StorageFull, ReadOnly
        """
        target = self._target(name)
        with disk_errors(name):
            self._incoming.mkdir(parents=True, exist_ok=True)
        partial = self._incoming / uuid.uuid4().hex
        try:
            with disk_errors(name), partial.open("xb") as out:
                received = 0
                while chunk := _read(body, length, received):
                    out.write(chunk)
                    received += len(chunk)
                if length is not None and received != length:
                    raise BadRequest(f"the body ended after {received} of {length} bytes")
                out.flush()
                os.fsync(out.fileno())
            manifest = self._hash_file(partial)
            with self._lock:
                is_new = not target.exists()
                return self._take([(partial, target, name, manifest)])[0], is_new
        finally:
            partial.unlink(missing_ok=True)

    def put_many(
        self, files: Sequence[tuple[str, bytes]]
    ) -> tuple[list[LocalFile], list[tuple[str, MingaError]]]:
        """Takes small files in (at most one piece each), with one sync for all; each all of it or nothing.

        Those that are here with just this content are left as they are. Returns those that are here now,
        and those whose name cannot be had, each with the reason.

        Raises:
            StorageFull, StorageFailed, ReadOnly: none of them is taken then.
        """
        fresh: list[tuple[Path, Path, str, Manifest]] = []
        here: list[LocalFile] = []
        refused: list[tuple[str, MingaError]] = []
        try:
            for name, body in dict(files).items():
                manifest = Manifest.of_one_piece(body)
                known = self.find(name)
                if known is not None and self.has(name, manifest.id):
                    here.append(known)
                    continue
                try:
                    target = self._target(name)
                    with disk_errors(name):
                        target.parent.mkdir(parents=True, exist_ok=True)
                except (BadRequest, Conflict) as error:
                    refused.append((name, error))
                    continue
                partial = self._incoming / uuid.uuid4().hex
                fresh.append((partial, target, name, manifest))
                with disk_errors(name):
                    self._incoming.mkdir(parents=True, exist_ok=True)
                    partial.write_bytes(body)
            if fresh:
                sync_filesystem(self._incoming)
                here += self._take(fresh)
            return here, refused
        finally:
            for partial, *_ in fresh:
                partial.unlink(missing_ok=True)

    def adopt(self, files: Sequence[tuple[Path, str, Manifest]]) -> None:
        """Takes finished, verified and synced downloads in, each by an atomic rename.

        Where other content got the name meanwhile, the file gets a name with its id in it.

        Args:
            files: where each is, its name, what it is.

        Raises:
            MingaError: none of them is shared then.
        """
        taken: list[tuple[Path, Path, str, Manifest]] = []
        for partial, wanted, manifest in files:
            name = self._name_for(wanted, manifest)
            taken.append((partial, self._target(name), name, manifest))
        self._take(taken)

    def _name_for(self, name: str, manifest: Manifest) -> str:
        current = self.find(name)
        if current is None or current.id == manifest.id:
            return name
        stem, dot, ending = name.rpartition(".")
        mark = manifest.id[:8]
        return f"{stem}.{mark}.{ending}" if dot and "/" not in ending else f"{name}.{mark}"

    def delete(self, name: str) -> None:
        """Removes a file from the directory and from the index.

        Raises:
            NotFound, ReadOnly
        """
        with self._lock:
            if name not in self._entries:
                raise NotFound(f"{name} is not here")
            with disk_errors(name):
                (self.directory / name).unlink(missing_ok=True)
            self.forget([name])

    def _target(self, name: str) -> Path:
        check_name(name)
        target = self.directory / name
        root = self.directory.resolve()
        if not target.parent.resolve().is_relative_to(root):
            raise InvalidName(f"{name} leads out of the library")
        if target.is_dir():
            raise Conflict(f"{name} is a folder")
        return target

    def _take(self, files: Sequence[tuple[Path, Path, str, Manifest]]) -> list[LocalFile]:
        """Renames files to their targets, all under one lock and with one sync a folder, and shares them."""
        self._manifests.put_many(manifest for _, _, _, manifest in files)
        with self._lock:
            found: list[tuple[Found, str]] = []
            for partial, target, name, manifest in files:
                with disk_errors(name):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    partial.replace(target)
                here = look(self.directory, name)
                if here is None:
                    raise NotFound(f"{name} was taken away at once")
                found.append((here, manifest.id))
            for folder in {target.parent for _, target, _, _ in files}:
                with disk_errors(folder.name):
                    sync_directory(folder)
            return self.share(found)

    def known(self, found: Found) -> str | None:
        """The id of a file that was hashed before, if its manifest is still kept."""
        identity = self._hashes.get(found.signature)
        return identity if identity is not None and self._manifests.get(identity) is not None else None

    def hash(self, found: Found) -> str | None:
        """Hashes a file on the disk; ``None`` when it went or changed meanwhile."""
        try:
            with disk_errors(found.name):
                manifest = self._hash_file(self.directory / found.name)
        except NotFound:
            return None
        again = look(self.directory, found.name)
        if again is None or again.signature != found.signature or manifest.size != found.signature.size:
            return None
        self._manifests.put(manifest)
        return manifest.id

    def share(self, files: Sequence[tuple[Found, str]]) -> list[LocalFile]:
        """Makes hashed files part of the library and announces those that are news."""
        shared = [
            LocalFile(
                name=found.name,
                id=identity,
                size=found.signature.size,
                media_type=mimetypes.guess_type(found.name)[0] or "application/octet-stream",
                modified_ms=found.modified_ms,
            )
            for found, identity in files
        ]
        with self._lock:
            self._hashes.put([(found.signature, identity) for found, identity in files])
            self._publisher.publish(shared)
            for (found, identity), file in zip(files, shared, strict=True):
                self._drop(found.name)
                self._entries[found.name] = _Entry(found.signature, file)
                self._names.setdefault(identity, set()).add(found.name)
                self._bytes += file.size
            self._measure()
        for listener in self.on_shared:
            listener(shared)
        return shared

    def forget(self, names: Iterable[str]) -> None:
        """Names that are on the disk no more."""
        gone = list(names)
        with self._lock:
            self._publisher.remove(gone)
            for name in gone:
                self._drop(name)
            self._measure()

    def published(self) -> set[str]:
        """Names that the index says are completely here, among them some from before the last start."""
        return {name for name, file in self._publisher.local().items() if file.complete}

    def tidy(self) -> None:
        """Forgets hashes of files that are no more."""
        self._hashes.keep_only(set(self.signatures().values()))

    def _drop(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._bytes -= entry.file.size
            names = self._names[entry.file.id]
            names.discard(name)
            if not names:
                del self._names[entry.file.id]

    def _measure(self) -> None:
        LIBRARY_FILES.set(len(self._entries))
        LIBRARY_BYTES.set(self._bytes)


def _read(body: IO[bytes], length: int | None, received: int) -> bytes:
    wanted = COPY_BYTES if length is None else min(COPY_BYTES, length - received)
    return body.read(wanted) if wanted else b""
