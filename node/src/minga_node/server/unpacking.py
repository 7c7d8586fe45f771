"""The files of a tar stream into the library, small ones in groups."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from minga_node import tar
from minga_node.errors import BadRequest, Conflict, MingaError
from minga_node.library import Library
from minga_node.manifest import SMALLEST_PIECE_BYTES
from minga_node.model import Attributes, LocalFile
from minga_node.names import check_name

GROUP = 500
"""Small files that are synced, renamed and published together: at most 32 MB in memory."""


class Unpacking:
    """Takes files in one archive; :meth:`run` blocks.

    Args:
        under: goes before every name; empty, or ends in ``/``.
        listed: how many files, and how many refused entries, are remembered by name.
        may_write: whether the caller may put a file of this name.
    """

    def __init__(
        self,
        library: Library,
        under: str,
        listed: int,
        may_write: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        self._library, self._under, self._listed, self._may_write = library, under, listed, may_write
        self._group: list[tuple[str, bytes]] = []
        self._attributes: dict[str, Attributes] = {}
        self.count = self.bytes = self.refused_count = 0
        self.files: list[LocalFile] = []
        self.refused: list[tuple[str, str]] = []

    def run(self, source: tar.TarSource) -> None:
        """Takes what is a file with a good name, and leaves out the rest.

        Raises:
            BadRequest: no archive, or cut off; what was complete before is taken.
            StorageFull, StorageFailed, ReadOnly: the disk takes no more.
        """
        try:
            for member in tar.members(source):
                self._take(member)
            self._flush()
        except MingaError as error:
            with suppress(MingaError):
                self._flush()
            taken = f"{self.count} file{' is' if self.count == 1 else 's are'} in the library"
            error.args = (f"{error}; {taken}",)
            raise

    def _take(self, member: tar.TarMember) -> None:
        name = self._under + member.name
        if member.problem:
            self._refuse(name, f"it is {member.problem}, no file")
            return
        try:
            check_name(name)
        except BadRequest as error:
            self._refuse(name, str(error))
            return
        if not self._may_write(name):
            self._refuse(name, "the token may not write this name")
            return
        if member.size <= SMALLEST_PIECE_BYTES:
            self._group.append((name, member.read(member.size)))
            self._attributes[name] = member.attributes
            if len(self._group) == GROUP:
                self._flush()
            return
        if any(earlier == name for earlier, _ in self._group):
            # The later one of a name wins.
            self._flush()
        try:
            file, _ = self._library.put(
                name,
                member,  # type: ignore[arg-type]
                member.size,
                attributes=member.attributes,
            )
        except Conflict as error:
            self._refuse(name, str(error))
        else:
            self._count([file])

    def _flush(self) -> None:
        group, attributes = self._group, self._attributes
        self._group, self._attributes = [], {}
        if group:
            files, refused = self._library.put_many(group, attributes)
            self._count(files)
            for name, error in refused:
                self._refuse(name, str(error))

    def _count(self, files: list[LocalFile]) -> None:
        self.count += len(files)
        self.bytes += sum(file.size for file in files)
        self.files += files[: max(0, self._listed - len(self.files))]

    def _refuse(self, name: str, reason: str) -> None:
        self.refused_count += 1
        if len(self.refused) < self._listed:
            self.refused.append((name.encode("utf-8", "replace").decode(), reason))
