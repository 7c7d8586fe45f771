"""The library: what this node has, and how it is changed by those who ask the node to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import IO

from minga_node.disk import disk_errors, set_attributes, sync_filesystem
from minga_node.errors import BadRequest, Conflict, MingaError, NotFound
from minga_node.library import derived, incoming, placing, reaching
from minga_node.library.holdings import Holdings
from minga_node.library.root import OpenRoot
from minga_node.library.scan import FoundFile, Signature, look
from minga_node.manifest import Manifest
from minga_node.model import Attributes, LocalFile
from minga_node.names import check_name

Judge = Callable[[str | None], None]
"""Told what has a name at the moment of writing, raises PreconditionFailed if that is not what it must be. It
is the id of the content, None for no file, and :data:`UNKNOWN` for one that was not hashed yet."""
UNKNOWN = ""


def whatever(_here: str | None) -> None:
    """Judges nothing."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A file that just got its name."""

    name: str
    id: str
    signature: Signature
    """How it looked as it got its name, or as it was found."""

    def is_still(self, now: Signature) -> bool:
        """Whether that is what has the name: the user may have saved another file there at once."""
        return now.moved == self.signature.moved


class Library(Holdings):
    """Takes files in and removes them, and never loses what the user has just saved.

    What happens on the disk behind its back is brought in by :class:`~.watch.Watcher`.
    """

    def clean(self) -> None:
        """Removes what a process left that was killed while it took files in, and gives the user what is his.

        Raises:
            MingaError: the disk does not let it, or the directory is away.
        """
        with self._changing("") as root:
            placing.clean(root, self._incoming.path, self._tell_kept)

    def may_put(self, name: str, judge: Judge = whatever, length: int | None = None) -> None:
        """Raises what :meth:`put` would be refused for, as of now, whatever is in the body.

        Args:
            length: of a body that is still to come and to get its room, in bytes.
        """
        check_name(name)
        with self._changing(name) as root:
            reaching.check(root, name)
            judge(self._here(root, name)[0])
        if length is not None:
            self._capacity.fits(length, name)

    def put(
        self,
        name: str,
        body: IO[bytes],
        length: int | None,
        judge: Judge = whatever,
        attributes: Attributes = Attributes(),  # noqa: B008 - it cannot be changed
    ) -> tuple[LocalFile, bool]:
        """Takes a file in: all of it or nothing. Returns it and whether the name is new.

        A file of that name which is not shared yet is kept under another one.

        Args:
            length: what the sender announced, in bytes; a body that ends before is not taken.
            judge: called before the body is read, and again in the moment in which the file gets its name.
            attributes: those of the sender's file.

        Raises:
            InvalidName, BadRequest, Conflict, StorageFull, ReadOnly, DirectoryAway, PreconditionFailed
        """
        self.may_put(name, judge)
        partial = self._incoming.new(name)
        try:
            # A body that is a file already has its room.
            size = 0 if isinstance(body, incoming.Movable) else length or 0
            with self._capacity.reserved(size, name, partial) as room:
                incoming.write(partial, name, body, length, room.more)
            set_attributes(partial, attributes)
            manifest = self._manifest_of(partial)
            with self._changing(name) as root:
                here, known = self._here(root, name)
                judge(here)
                self._manifests.put(manifest)
                placed = self._replace(root, partial, name, manifest.id, known)
                shared = self._shared(root, [placed])
                if not shared:
                    raise Conflict(f"{name} was replaced by another file at once")
                return shared[0], here is None
        finally:
            partial.unlink(missing_ok=True)

    def put_many(
        self,
        files: Sequence[tuple[str, bytes]],
        attributes: Mapping[str, Attributes] = MappingProxyType({}),
    ) -> tuple[list[LocalFile], list[tuple[str, MingaError]]]:
        """Takes small files in (at most one piece each), with one sync for all; each all of it or nothing.

        Those that are here with just this content are left as they are. Returns those that are here now,
        and those whose name cannot be had, each with the reason.

        Args:
            attributes: those of the sender's files, by their names.

        Raises:
            StorageFull, StorageFailed, ReadOnly, DirectoryAway: none of them is taken then.
        """
        fresh: list[tuple[Path, str, Manifest]] = []
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
                    check_name(name)
                    with self._changing(name) as root:
                        reaching.check(root, name)
                except (BadRequest, Conflict) as error:
                    refused.append((name, error))
                    continue
                self._capacity.check(len(body), name)
                partial = self._incoming.new(name)
                fresh.append((partial, name, manifest))
                with disk_errors(name):
                    partial.write_bytes(body)
                if name in attributes:
                    set_attributes(partial, attributes[name])
            if fresh:
                sync_filesystem(self._incoming.path)
                self._manifests.put_many(manifest for _, _, manifest in fresh)
                here += self._replace_many(fresh, refused)
            return here, refused
        finally:
            for partial, *_ in fresh:
                partial.unlink(missing_ok=True)

    def _replace_many(
        self, files: Sequence[tuple[Path, str, Manifest]], refused: list[tuple[str, MingaError]]
    ) -> list[LocalFile]:
        taken = []
        with self._changing(files[0][1]) as root:
            for partial, name, manifest in files:
                try:
                    with disk_errors(name):
                        self.volumes.check(root, name)
                        known = self._here(root, name)[1]
                        taken.append(self._replace(root, partial, name, manifest.id, known))
                except (BadRequest, Conflict) as error:
                    # A file of this very group may have taken the place of a folder that it needs.
                    refused.append((name, error))
            return self._shared(root, taken)

    def adopt(self, files: Sequence[tuple[Path, str, Manifest]]) -> None:
        """Takes finished, verified and synced downloads in, each by an atomic rename.

        Where other content has the name, shared or not, the file gets a name with its id in it.

        Args:
            files: where each is, its name, what it is.

        Raises:
            MingaError: none of them is shared then.
        """
        self._manifests.put_many(manifest for _, _, manifest in files)
        for partial, name, manifest in files:
            set_attributes(partial, self._attributes(name, manifest.id))
        with self._changing(files[0][1] if files else "") as root:
            taken = [
                self._place_beside(root, partial, check_name(wanted), manifest.id)
                for partial, wanted, manifest in files
            ]
            self._shared(root, taken)

    def _place_beside(self, root: OpenRoot, partial: Path, wanted: str, identity: str) -> _Placed:
        self.volumes.check(root, wanted)
        names = (wanted if n < 0 else derived.with_id(wanted, identity, n) for n in count(-1))
        for _ in range(placing.TRIES):
            name = next(names)
            with disk_errors(name):
                placed = placing.place_new(root, self._incoming.path, partial, name)
                if placed is not None:
                    return _Placed(name, identity, placed)
                here, known = self._here(root, name)
                if here == identity and known is not None:
                    partial.unlink()
                    return _Placed(name, identity, known)
        raise Conflict(f"no free name is left for {wanted}")

    def delete(self, name: str, judge: Judge = whatever) -> None:
        """Removes a file from the directory and from the index.

        Args:
            judge: called in the moment of the removal.

        Raises:
            NotFound, ReadOnly, DirectoryAway, PreconditionFailed
            Conflict: it was changed and is not shared yet; it stays.
        """
        with self._changing(name) as root:
            entry = self._catalogue.get(name)
            here, _ = self._here(root, name)
            judge(here if entry is not None else None)
            if entry is None:
                raise NotFound(f"{name} is not here")
            if here is not None:
                placing.remove(root, self._incoming.path, name, entry.signature)
                self._sync(root, {name})
            self.forget([name])

    @contextmanager
    def _changing(self, name: str) -> Iterator[OpenRoot]:
        """Nobody else changes the directory by the library; errors are told of ``name``.

        Raises:
            DirectoryAway
        """
        with self._lock, self.root.open() as root, disk_errors(name):
            self.volumes.check(root, name)
            yield root

    def _here(self, root: OpenRoot, name: str) -> tuple[str | None, Signature | None]:
        """What has a name right now: its id (see :data:`Judge`), and its signature where the id is known."""
        found = look(root, name)
        if found is None:
            return (UNKNOWN if reaching.exists(root, name) else None), None
        entry = self._catalogue.get(name)
        if entry is not None and entry.signature == found.signature:
            return entry.file.id, found.signature
        # Soon after the start not everything has been looked at.
        known = self.known(found)
        if known is not None and known.certain:
            return known.id, found.signature
        return UNKNOWN, None

    def _replace(
        self, root: OpenRoot, partial: Path, name: str, identity: str, known: Signature | None
    ) -> _Placed:
        signature, kept = placing.replace(root, self._incoming.path, partial, name, known)
        if kept is not None:
            self._tell_kept(kept, name)
        return _Placed(name, identity, signature)

    def _tell_kept(self, kept: str, name: str) -> None:
        self.troubles.kept.add(kept, f"{name} was not shared yet when another file got that name")

    def _manifest_of(self, partial: Path) -> Manifest:
        with partial.open("rb") as stream:
            return self._hash_open(stream.fileno(), partial.name)

    def _shared(self, root: OpenRoot, placed: Sequence[_Placed]) -> list[LocalFile]:
        """Syncs the folders of files that just got their names, and shares those that still have them."""
        found: list[tuple[FoundFile, str]] = []
        for each in placed:
            here = look(root, each.name)
            if here is not None and each.is_still(here.signature):
                found.append((here, each.id))
        self._sync(root, {each.name for each in placed})
        return self.share(found)

    def _sync(self, root: OpenRoot, names: set[str]) -> None:
        """Makes renames survive a power cut."""
        for folder in {name.rpartition("/")[0] for name in names}:
            descriptor = root.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
