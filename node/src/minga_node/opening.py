"""Opens the library's contents for downloads and for the piece listener."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from minga_node.downloads.contents import CompleteContent, SmallContent
from minga_node.library import Library
from minga_node.library.root import OpenRoot
from minga_node.library.scan import Signature
from minga_node.uploads import OpenContent, Opener

SMALL = 32 * 1024
"""Bytes of a file that is read when it is opened: it needs no descriptor while it waits to be sent, and the
thread that sends it no disk. 256 of them that nobody reads just now take 8 MiB.
"""


class Opening:
    """By a content's id, as long as some file still is what it was when it was shared."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def open_one(self, content_id: str) -> CompleteContent | None:
        """By a descriptor; None if it is not here.

        Raises:
            Busy: too many files are open.
            DirectoryAway
        """
        self._library.root.make_own()
        opened = self._library.open_id(content_id)
        if opened is None:
            return None
        with opened.stream as stream:
            return CompleteContent(os.dup(stream.fileno()))

    @contextmanager
    def several(self) -> Iterator[Opener]:
        """What opens some contents, and looks at the directory once for all of them."""
        with ExitStack() as stack:
            roots: list[OpenRoot] = []

            def open_next(content_id: str) -> OpenContent | None:
                if not self._library.names_of(content_id):
                    return None
                if not roots:
                    roots.append(stack.enter_context(self._library.root.open()))
                return self._open(content_id, roots[0])

            yield open_next

    def _open(self, content_id: str, root: OpenRoot) -> OpenContent | None:
        found = self._library.find_id(content_id, root)
        if found is None:
            return None
        descriptor, entry = found
        if entry.file.size > SMALL:
            return CompleteContent(descriptor)
        try:
            data = os.pread(descriptor, SMALL + 1, 0)
            unchanged = Signature.of(os.fstat(descriptor)) == entry.signature
        finally:
            os.close(descriptor)
        return SmallContent(data) if unchanged and len(data) == entry.file.size else None
