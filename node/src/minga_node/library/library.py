"""The library: which contents this node has under which names, and how they get in and out."""

from __future__ import annotations

import logging
import mimetypes
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from minga_node.disk import disk_errors, sync_directory, sync_filesystem
from minga_node.errors import BadRequest, Conflict, MingaError, NotFound
from minga_node.library import intake
from minga_node.library.catalogue import Catalogue, Shared
from minga_node.library.hashes import Hashes
from minga_node.library.scan import Found, Signature, look
from minga_node.manifest import Manifest
from minga_node.model import LocalFile

log = logging.getLogger(__name__)

mimetypes.init()
"""Reads the system's tables now, not when the first file is complete."""


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


class Library:
    """Knows the directory's files by name and by id; every change of it goes to the index.

    Thread-safe. Its lock orders changes, and is held while the disk is waited for; looks at what is here take
    none but the catalogue's. What happens on the disk behind its back is brought in by
    :class:`~.watch.Watcher`.

    Args:
        together: a transaction around what belongs together in the hashes and in the index.
    """

    def __init__(
        self,
        directory: Path,
        own_directory: Path,
        hashes: Hashes,
        publisher: Publisher,
        manifests: ManifestKeeper,
        hash_file: Callable[[Path], Manifest],
        together: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.directory = directory
        self._incoming = own_directory / "incoming"
        self._hashes = hashes
        self._publisher = publisher
        self._manifests = manifests
        self._hash_file = hash_file
        self._together = together
        self._lock = threading.RLock()
        self._catalogue = Catalogue()
        self.on_shared: list[Callable[[Sequence[LocalFile]], None]] = []
        """Called with files that became part of the library."""

    def files(self) -> tuple[LocalFile, ...]:
        return self._catalogue.files()

    def totals(self) -> tuple[int, int]:
        """How many files, and how many bytes they have together."""
        return self._catalogue.totals()

    def signatures(self) -> dict[str, Signature]:
        """What every shared name looked like when it was shared."""
        return self._catalogue.signatures()

    def find(self, name: str) -> LocalFile | None:
        entry = self._catalogue.get(name)
        return entry.file if entry else None

    def names_of(self, identity: str) -> tuple[str, ...]:
        return self._catalogue.names_of(identity)

    def open(self, name: str) -> OpenFile:
        """Opens a shared file. It waits for a change of the library only where it meets one of this name.

        Raises:
            NotFound: not shared, or not any more what it was when it was shared.
            Busy: too many files are open.
        """
        entry = self._shared(name)
        try:
            return OpenFile(entry.open(self.directory), entry.file)
        except NotFound:
            # It may be being replaced just now.
            with self._lock:
                entry = self._shared(name)
                return OpenFile(entry.open(self.directory), entry.file)

    def _shared(self, name: str) -> Shared:
        entry = self._catalogue.get(name)
        if entry is None:
            raise NotFound(f"{name} is not here")
        return entry

    def has(self, name: str, identity: str) -> bool:
        """Whether a file of that name has this content, and still is what it was when it was shared."""
        try:
            opened = self.open(name)
        except NotFound:
            return False
        opened.stream.close()
        return opened.file.id == identity

    def open_id(self, identity: str) -> OpenFile | None:
        """Opens any file with this content, if there is one. Waits for no change of the library.

        Raises:
            Busy: too many files are open.
        """
        for name in self.names_of(identity):
            entry = self._catalogue.get(name)
            if entry is not None and entry.file.id == identity:
                try:
                    return OpenFile(entry.open(self.directory), entry.file)
                except NotFound:
                    continue
        return None

    def put(self, name: str, body: IO[bytes], length: int | None) -> tuple[LocalFile, bool]:
        """Takes a file in: all of it or nothing. Returns it and whether the name is new.

        ``length`` is what the sender announced, in bytes; a body that ends before is not taken.

        Raises:
            InvalidName, BadRequest, Conflict, StorageFull, ReadOnly
        """
        target = intake.target(self.directory, name)
        with disk_errors(name):
            self._incoming.mkdir(parents=True, exist_ok=True)
        partial = self._incoming / uuid.uuid4().hex
        try:
            intake.write(partial, name, body, length)
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
                    target = intake.target(self.directory, name)
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
            name = intake.name_beside(wanted, manifest.id, self.find(wanted))
            taken.append((partial, intake.target(self.directory, name), name, manifest))
        self._take(taken)

    def delete(self, name: str) -> None:
        """Removes a file from the directory and from the index.

        Raises:
            NotFound, ReadOnly
        """
        with self._lock:
            if name not in self._catalogue:
                raise NotFound(f"{name} is not here")
            with disk_errors(name):
                (self.directory / name).unlink(missing_ok=True)
            self.forget([name])

    def _take(self, files: Sequence[tuple[Path, Path, str, Manifest]]) -> list[LocalFile]:
        """Moves files to their targets, all under one lock and with one sync a folder, and shares them."""
        self._manifests.put_many(manifest for _, _, _, manifest in files)
        with self._lock:
            found: list[tuple[Found, str]] = []
            for partial, target, name, manifest in files:
                with disk_errors(name):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    intake.place(partial, target)
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
            with self._together():
                self._hashes.put([(found.signature, identity) for found, identity in files])
                self._publisher.publish(shared)
            for (found, _), file in zip(files, shared, strict=True):
                self._catalogue.put(Shared(found.signature, file))
            self._catalogue.measure()
        for listener in self.on_shared:
            listener(shared)
        return shared

    def forget(self, names: Iterable[str]) -> None:
        """Names that are on the disk no more."""
        gone = list(names)
        with self._lock:
            self._publisher.remove(gone)
            for name in gone:
                self._catalogue.drop(name)
            self._catalogue.measure()

    def published(self) -> set[str]:
        """Names that the index says are completely here, among them some from before the last start."""
        return {name for name, file in self._publisher.local().items() if file.complete}

    def tidy(self) -> None:
        """Forgets hashes of files that are no more."""
        self._hashes.keep_only(set(self.signatures().values()))
