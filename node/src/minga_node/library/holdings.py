"""What this node has: contents under names, opened, hashed, announced and forgotten."""

from __future__ import annotations

import mimetypes
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from minga_node.beneath import born_ns
from minga_node.capacity import Capacity
from minga_node.disk import disk_errors
from minga_node.errors import Busy, Conflict, DirectoryAway, NotFound
from minga_node.library.catalogue import Catalogue, OpenFile, Shared, open_same
from minga_node.library.hashes import Hashes, KnownHash
from minga_node.library.incoming import IncomingFolder
from minga_node.library.root import OpenRoot, Root
from minga_node.library.scan import LOOK, FoundFile, Signature, doubt, is_spelled_so, look
from minga_node.library.troubles import Troubles
from minga_node.library.volumes import MountedVolumes, below, reason
from minga_node.manifest import Manifest
from minga_node.model import Attributes, LocalFile

Moved = tuple[int, int, int, int]
NOBODY: Mapping[Moved, tuple[int, str]] = MappingProxyType({})

mimetypes.init()
"""Reads the system's tables now, not when the first file is complete."""


class EntryPublisher(Protocol):
    """Where the library announces itself; the index is one."""

    def publish(self, files: Sequence[LocalFile]) -> object: ...
    def remove(self, names: Sequence[str]) -> object: ...
    def local(self) -> dict[str, LocalFile]: ...


class ManifestKeeper(Protocol):
    def get(self, identity: str) -> Manifest | None: ...
    def put(self, manifest: Manifest) -> None: ...

    def put_many(self, manifests: Iterable[Manifest]) -> None: ...


class Holdings:
    """Knows the directory's files by name and by id; every change of it goes to the index. Thread-safe.

    Args:
        hash_open: the manifest of an open file, given its descriptor and its name.
        together: a transaction around what belongs together in the hashes and in the index.
        capacity: how much may be kept.
        attributes: what the index says of a content under a name.
    """

    def __init__(
        self,
        directory: Path,
        own_directory: Path,
        hashes: Hashes,
        publisher: EntryPublisher,
        manifests: ManifestKeeper,
        hash_open: Callable[[int, str], Manifest],
        together: Callable[[], AbstractContextManager[object]] = nullcontext,
        capacity: Capacity | None = None,
        attributes: Callable[[str, str], Attributes] = lambda _name, _id: Attributes(),
    ) -> None:
        self.root = Root(directory, own_directory, hashes.marker)
        hashes.marker = self.root.marker
        self._hashes = hashes
        self._publisher = publisher
        self._manifests = manifests
        self._hash_open = hash_open
        self._together = together
        self._capacity = capacity or Capacity(directory)
        self._attributes = attributes
        self._lock = threading.RLock()
        """Orders changes, and is held while the disk is waited for; looks at what is here take none."""
        self._catalogue = Catalogue()
        self._incoming = IncomingFolder(own_directory, self.root)
        self.troubles = Troubles()
        self.volumes = MountedVolumes()
        self.on_shared: list[Callable[[Sequence[LocalFile]], None]] = []
        """Called with files that became part of the library."""

    # what is here

    def files(self) -> tuple[LocalFile, ...]:
        return self._catalogue.files()

    def totals(self) -> tuple[int, int]:
        """How many files, and how many bytes they have together."""
        return self._catalogue.totals()

    def signatures(self) -> dict[str, Signature]:
        """What every shared name looked like when it was shared."""
        return self._catalogue.signatures()

    def signature(self, name: str) -> Signature | None:
        """What a name looked like when it was shared."""
        entry = self._catalogue.get(name)
        return entry.signature if entry else None

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
            DirectoryAway
        """
        try:
            return self._open(name)
        except NotFound:
            # It may be being replaced just now.
            with self._lock:
                return self._open(name)

    def _open(self, name: str) -> OpenFile:
        entry = self._catalogue.get(name)
        if entry is None:
            raise NotFound(f"{name} is not here")
        with self.root.open() as root:
            return OpenFile(entry.open(root), entry.file, entry.signature)

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
            DirectoryAway
        """
        if not self.names_of(identity):
            return None
        with self.root.open() as root:
            found = self.find_id(identity, root)
        if found is None:
            return None
        descriptor, entry = found
        return OpenFile(os.fdopen(descriptor, "rb"), entry.file, entry.signature)

    def find_id(self, identity: str, root: OpenRoot) -> tuple[int, Shared] | None:
        """A descriptor of any file with this content, and which one it is; the same, with the directory open.

        Raises:
            Busy: too many files are open.
        """
        for name in self.names_of(identity):
            entry = self._catalogue.get(name)
            if entry is not None and entry.file.id == identity:
                with suppress(NotFound):
                    return entry.descriptor(root), entry
        return None

    def away(self) -> str:
        """Why the directory, or a part of it, cannot be used; empty if all of it can."""
        try:
            with self.root.open() as root:
                away = self.volumes.away(root)
        except DirectoryAway as error:
            return str(error)
        except Busy:
            return ""
        return reason(away) if away else ""

    # how it gets here

    def known(self, found: FoundFile, leaving: Mapping[Moved, tuple[int, str]] = NOBODY) -> KnownHash | None:
        """The id of a file that was hashed before, if its manifest is still kept.

        Args:
            leaving: what :meth:`leaving` said.
        """
        known = self._hashes.get(found.signature)
        if known is None and found.signature.moved in leaving:
            # Renamed, which sets the time of change; or else a new file has the number of an old one.
            changed, identity = leaving[found.signature.moved]
            if 0 < self._born_ns(found) <= changed:
                known = KnownHash(identity, certain=True)
        if known is None or self._manifests.get(known.id) is None:
            return None
        return known

    def _born_ns(self, found: FoundFile) -> int:
        """When a file was made, ns since 1970; 0 where nobody knows."""
        try:
            with self.root.open() as root:
                descriptor = root.open(found.path, LOOK)
        except OSError:
            return 0
        try:
            return born_ns(descriptor)
        finally:
            os.close(descriptor)

    def leaving(self, names: Iterable[str]) -> dict[Moved, tuple[int, str]]:
        """Of shared files that are on the disk no more: when they changed, and their ids."""
        entries = [entry for name in names if (entry := self._catalogue.get(name)) is not None]
        return {entry.signature.moved: (entry.signature.ctime_ns, entry.file.id) for entry in entries}

    def hash(self, found: FoundFile) -> str | None:
        """Hashes a file on the disk; ``None`` when it went or changed meanwhile.

        Raises:
            ReadOnly, StorageFailed: it cannot be read.
            DirectoryAway
        """
        with disk_errors(found.name):
            try:
                with self.root.open() as root:
                    descriptor = open_same(root, found.path, found.signature)
            except FileNotFoundError:
                return None
            if descriptor is None:
                return None
            try:
                manifest = self._hash_open(descriptor, found.name)
                if Signature.of(os.fstat(descriptor)) != found.signature:
                    return None
            except Conflict:
                return None
            finally:
                os.close(descriptor)
        self._manifests.put(manifest)
        return manifest.id

    def share(self, files: Sequence[tuple[FoundFile, str]], *, certain: bool = True) -> list[LocalFile]:
        """Makes hashed files part of the library and announces those that are news.

        Without ``certain`` their ids are not kept as computed.
        """
        if not files:
            return []
        shared = [
            LocalFile(
                name=found.name,
                id=identity,
                size=found.signature.size,
                media_type=mimetypes.guess_type(found.name)[0] or "application/octet-stream",
                modified_ms=found.modified_ms,
                executable=found.executable,
            )
            for found, identity in files
        ]
        with self._lock:
            with self._together():
                if certain:
                    self._hashes.put([(found.signature, identity) for found, identity in files])
                self._publisher.publish(shared)
            for (found, _), file in zip(files, shared, strict=True):
                self._catalogue.put(Shared(found.signature, file, found.path))
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

    def forget_missing(self, names: Collection[str]) -> list[str]:
        """Forgets those names that are really on the disk no more; which these are.

        Raises:
            DirectoryAway: nothing is forgotten then.
        """
        if not names:
            return []
        with self._lock, self.root.open() as root:
            away = self.volumes.away(root)
            gone = [name for name in names if not below(name, away) and self._is_gone(root, name)]
            if gone:
                self.forget(gone)
        return gone

    def _is_gone(self, root: OpenRoot, name: str) -> bool:
        if look(root, name) is not None:
            # What was put in since somebody missed it is there.
            return not is_spelled_so(root, name)
        why = doubt(root, name)
        if why is not None:
            self.troubles.files.add(name, f"{why}: nobody can say whether it is still there")
        return why is None

    def published(self) -> set[str]:
        """Names that the index says are completely here, among them some from before the last start."""
        return {name for name, file in self._publisher.local().items() if file.complete}

    def on_devices(self, devices: Collection[int]) -> None:
        """The devices that the directory's files are on now."""
        self._hashes.devices = devices

    def tidy(self) -> None:
        """Forgets hashes of files that are no more."""
        self._hashes.keep_only(set(self.signatures().values()))
