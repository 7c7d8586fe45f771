"""What is on the way to a name in the user's directory: folders, a link that leads out, or a file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from minga_node.errors import Conflict, InvalidName
from minga_node.library.root import OpenRoot

LINK = {errno.ELOOP, errno.EXDEV, errno.ENOTDIR}
"""What the kernel says of a link on the way, depending on how it is asked."""


@contextmanager
def inside(root: OpenRoot, name: str) -> Iterator[None]:
    """Says what is on the way where that is no folder.

    Raises:
        InvalidName: a link.
        Conflict: anything else.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in LINK:
            raise
        blocking, is_link = _on_the_way(root, name)
        if is_link:
            raise InvalidName(f"{name} leads out of the library: {blocking} is a link") from None
        raise Conflict(f"{blocking} is no folder") from None


def _on_the_way(root: OpenRoot, name: str) -> tuple[str, bool]:
    """What keeps a name from being reached, and whether it is a link."""
    above = name.rpartition("/")[0]
    parts = above.split("/")
    for length in range(1, len(parts) + 1):
        part = "/".join(parts[:length])
        try:
            mode = os.lstat(root.path / part).st_mode
        except OSError:
            break
        if not stat.S_ISDIR(mode):
            return part, stat.S_ISLNK(mode)
    return above, True


def check(root: OpenRoot, name: str) -> None:
    """Whether a file may have that name, as far as can be said before it is there.

    Raises:
        InvalidName: a link leads out of the directory.
        Conflict: there is a folder, or there is a file where a folder has to be.
        OSError
    """
    try:
        with inside(root, name), root.folder(name) as folder:
            status = os.stat(name.rpartition("/")[2], dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        raise Conflict(f"{name} is a folder")


def exists(root: OpenRoot, name: str) -> bool:
    """Whether anything has that name, be it no file that can be shared."""
    try:
        with root.folder(name) as folder:
            os.stat(name.rpartition("/")[2], dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True
