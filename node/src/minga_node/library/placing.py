"""How a finished file gets its name in the user's directory, and how one goes: nothing unknown is lost.

What has the name is looked at in the moment of the rename, since the user may have saved something there that
nobody has hashed yet.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import TypeVar

from minga_node import beneath
from minga_node.disk import copy
from minga_node.errors import Conflict
from minga_node.library import derived, exchanging
from minga_node.library.reaching import inside
from minga_node.library.root import OpenRoot
from minga_node.library.scan import Signature, look

T = TypeVar("T")

HERE = -100
"""``AT_FDCWD``: paths are taken as they are."""
TRIES = 100


def place_new(root: OpenRoot, notes: Path, partial: Path, name: str) -> Signature | None:
    """Gives a finished and synced file its name, if nothing has it.

    Returns how the file looked as it got the name; None where something has it.

    Raises:
        InvalidName, OSError
    """
    with inside(root, name), root.folder(name, make=True) as folder:
        return _place_new(notes, partial, folder, name)


def _place_new(notes: Path, partial: Path, folder: int, name: str) -> Signature | None:
    leaf = name.rpartition("/")[2]

    def act(at: int, source: str) -> None:
        beneath.rename_new(at, source, folder, leaf)

    try:
        return _moved(notes, partial, folder, name, None, act)[0]
    except FileExistsError:
        return None


def replace(
    root: OpenRoot, notes: Path, partial: Path, name: str, known: Signature | None
) -> tuple[Signature, str | None]:
    """Gives a finished and synced file its name, all at once, in place of the file that is known.

    Returns how the file looked as it got the name. Any other file that has the name keeps its content under
    another name, which is returned too.

    Args:
        known: how that file looked when its content was known; None for no such file.

    Raises:
        Conflict: there is a folder, or another file by the rules of this file system.
        InvalidName, OSError
    """
    leaf = name.rpartition("/")[2]
    with inside(root, name), root.folder(name, make=True) as folder:
        for _ in range(TRIES):
            placed = _place_new(notes, partial, folder, name)
            if placed is not None:
                return placed, None
            try:
                before = os.stat(leaf, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(before.st_mode):
                raise Conflict(f"{name} is a folder")
            found = look(root, name)
            is_known = known is not None and found is not None and found.signature == known
            if not is_known and leaf not in _names(folder):
                raise Conflict(f"{name} is another file here: this file system takes two names for one")
            with suppress(FileNotFoundError):
                return _exchange(notes, partial, folder, name, before if is_known else None)
    raise Conflict(f"{name} is being changed")


def _names(folder: int) -> set[str]:
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        with os.scandir(descriptor) as entries:
            return {entry.name for entry in entries}
    finally:
        os.close(descriptor)


def _exchange(
    notes: Path, partial: Path, folder: int, name: str, known: os.stat_result | None
) -> tuple[Signature, str | None]:
    leaf = name.rpartition("/")[2]

    def act(at: int, source: str) -> str | None:
        try:
            beneath.rename(at, source, folder, leaf, beneath.EXCHANGE)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            # In two steps then: between the look and the rename there is a moment.
            kept = None if known else _set_aside(folder, leaf, folder, name)
            os.rename(source, leaf, src_dir_fd=at, dst_dir_fd=folder)
            return kept
        if known is not None and _same(os.stat(source, dir_fd=at, follow_symlinks=False), known):
            os.unlink(source, dir_fd=at)
            return None
        try:
            return _set_aside(at, source, folder, name)
        except BaseException:
            beneath.rename(at, source, folder, leaf, beneath.EXCHANGE)
            raise

    signature = None if known is None else Signature.of(known)
    with exchanging.moved_aside(notes, partial, name, folder, signature) as aside:
        return _moved(notes, aside, folder, name, signature, act)


def give_back(root: OpenRoot, notes: Path, at: int, path: str, name: str) -> str:
    """Gives a user's file that a process left elsewhere the name that it had, or one beside that; which.

    Args:
        at: the descriptor of the folder of its name, if it is there; else :data:`.exchanging.NOWHERE`.

    Raises:
        Conflict, InvalidName, OSError
    """
    with inside(root, name), root.folder(name, make=True) as folder:

        def act(at: int, source: str) -> str:
            return _back(at, source, folder, name)

        if at != exchanging.NOWHERE:
            return act(folder, path)
        return _moved(notes, Path(path), folder, name, None, act)[1]


def clean(root: OpenRoot, notes: Path, kept: Callable[[str, str], object]) -> None:
    """Ends what a process began that was killed; ``kept`` is told what the user finds beside which name.

    Raises:
        Conflict, InvalidName, OSError
    """

    def give(at: int, path: str, name: str) -> str:
        given = give_back(root, notes, at, path, name)
        if given != name:
            kept(given, name)
        return given

    exchanging.clean(root, notes, give)


def _back(at: int, source: str, folder: int, name: str) -> str:
    """Gives a user's file the name that it had, or one beside that if something has it; which."""
    try:
        beneath.rename_new(at, source, folder, name.rpartition("/")[2])
    except FileExistsError:
        return _set_aside(at, source, folder, name)
    return name


def remove(root: OpenRoot, notes: Path, name: str, known: Signature) -> None:
    """Takes away a file that is what is known of it.

    Raises:
        Conflict: it is not; it stays.
        FileNotFoundError, OSError
    """
    leaf = name.rpartition("/")[2]
    with inside(root, name), root.folder(name) as folder:
        before = os.stat(leaf, dir_fd=folder, follow_symlinks=False)
        found = look(root, name)
        if found is None or found.signature != known:
            raise Conflict(f"{name} was changed just now and is not shared yet: nothing was removed")
        # What the name leads to may be elsewhere: of the name itself a link is what is removed.
        with exchanging.noted(notes, name, folder, Signature.of(before)) as note:
            beneath.rename_new(folder, leaf, folder, note.hidden)
            if _same(os.stat(note.hidden, dir_fd=folder, follow_symlinks=False), before):
                os.unlink(note.hidden, dir_fd=folder)
                return
            _back(folder, note.hidden, folder, name)
    raise Conflict(f"{name} was changed at this moment: nothing was removed")


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether it is the same file, unchanged; the time of change is left aside, since a rename sets it."""
    return Signature.of(one).moved == Signature.of(other).moved and one.st_mode == other.st_mode


def _set_aside(at: int, source: str, folder: int, name: str) -> str:
    """Gives a user's file another name in its folder; that name."""
    now = time.time()
    return free_name(
        (derived.kept(name, now, number) for number in count()),
        lambda leaf: beneath.rename_new(at, source, folder, leaf),
    )


def free_name(names: Iterator[str], rename_to: Callable[[str], None]) -> str:
    """The first of some names that nothing has, once the file has it.

    Raises:
        Conflict: all that were tried are taken.
        OSError
    """
    for name in islice(names, TRIES):
        with suppress(FileExistsError):
            rename_to(name.rpartition("/")[2])
            return name
    raise Conflict("no free name is left to keep a file under")


def _moved(
    notes: Path,
    partial: Path,
    folder: int,
    name: str,
    known: Signature | None,
    act: Callable[[int, str], T],
) -> tuple[Signature, T]:
    """Has ``act`` rename the file into the folder, given where it is: folder and name.

    Returns how the renamed file looked before, and what ``act`` returns.

    Where that is on another mount, as in a volume that is mounted into the directory, nothing can be renamed
    to it from outside, be it the same device: it is copied to a hidden name beside it first.
    """
    signature = Signature.of(partial.stat())
    try:
        return signature, act(HERE, str(partial))
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    with exchanging.noted(notes, name, folder, known, copying=True) as note:
        signature = _copied(partial, folder, note.hidden)
        note.say(signature)
        try:
            done = act(folder, note.hidden)
        finally:
            with suppress(FileNotFoundError):
                left = os.stat(note.hidden, dir_fd=folder, follow_symlinks=False)
                if Signature.of(left).moved == signature.moved:
                    os.unlink(note.hidden, dir_fd=folder)
    partial.unlink(missing_ok=True)
    return signature, done


def _copied(partial: Path, folder: int, leaf: str) -> Signature:
    """How the copy looks: it is another inode, with a time as exact as that file system keeps it."""
    copied = os.open(leaf, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
    try:
        copy(partial, copied)
        return Signature.of(os.fstat(copied))
    except BaseException:
        os.unlink(leaf, dir_fd=folder)
        raise
    finally:
        os.close(copied)
