"""Opens and renames below a directory, whatever anybody does to the folders on the way.

No symbolic link is followed, so nothing outside is ever reached (openat2(2), renameat2(2)). Where the kernel
or the file system lacks a call, the same is done in steps by descriptors of folders.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from contextlib import suppress
from functools import lru_cache

NR_OPENAT2 = 437
"""The number of the system call, the same on every architecture that is new enough; ENOSYS elsewhere."""
NO_MAGICLINKS, NO_SYMLINKS, BENEATH = 0x02, 0x04, 0x08  # flags of openat2
NOREPLACE, EXCHANGE = 1, 2  # flags of renameat2
FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
AT_EMPTY_PATH = 0x1000  # flag of statx
STATX_BTIME = 0x800  # flag of statx
LACKING = {errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP}
"""What a kernel, a file system or a container's filter says of a call that it does not have."""

_libc = ctypes.CDLL(None, use_errno=True)
_OPENAT2, _SIZE = ctypes.c_long(NR_OPENAT2), ctypes.c_size_t(24)


def _raise(path: str | bytes) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), os.fsdecode(path))


@lru_cache(32)
def _how(flags: int) -> ctypes.Array[ctypes.c_char]:
    """``struct open_how``, which the kernel only reads."""
    how = struct.pack("=QQQ", flags, 0, BENEATH | NO_SYMLINKS | NO_MAGICLINKS)
    return ctypes.create_string_buffer(how, len(how))


def _openat2(folder: int, name: bytes, flags: int) -> int:
    opened = _libc.syscall(_OPENAT2, ctypes.c_int(folder), name, _how(flags), _SIZE)
    if opened < 0:
        _raise(name)
    return int(opened)


def _has_openat2() -> bool:
    if sys.platform != "linux":
        return False
    # Older container runtimes refuse with EPERM what they do not know.
    root = os.open("/", FOLDER)
    try:
        os.close(_openat2(root, b".", FOLDER))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


HAS_OPENAT2 = _has_openat2()


def open_beneath(root: int, name: str, flags: int) -> int:
    """A descriptor of ``name`` below the folder ``root``; an empty name is the folder itself.

    Raises:
        OSError: ELOOP, ENOTDIR or EXDEV where a link would have been followed.
    """
    flags |= os.O_CLOEXEC
    if HAS_OPENAT2:
        while True:
            try:
                return _openat2(root, os.fsencode(name) or b".", flags)
            except OSError as error:
                if error.errno not in {errno.EAGAIN, errno.EINTR}:
                    raise
    *folders, leaf = name.split("/")
    return _open_in_steps(root, folders, leaf or ".", flags)


def _open_in_steps(root: int, folders: list[str], leaf: str, flags: int) -> int:
    at = os.dup(root)
    try:
        for folder in folders:
            below = os.open(folder, FOLDER, dir_fd=at)
            os.close(at)
            at = below
        return os.open(leaf, flags | os.O_NOFOLLOW, dir_fd=at)
    finally:
        os.close(at)


def make_folders(root: int, name: str) -> int:
    """A descriptor of the folder ``name`` below ``root``; what is missing on the way is made.

    Raises:
        OSError
    """
    with suppress(FileNotFoundError):
        return open_beneath(root, name, FOLDER)
    at = os.dup(root)
    try:
        for part in name.split("/"):
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=at)
            below = os.open(part, FOLDER, dir_fd=at)
            os.close(at)
            at = below
        return os.dup(at)
    finally:
        os.close(at)


def rename(from_folder: int, old: str, to_folder: int, new: str, flags: int) -> None:
    """``renameat2`` with :data:`NOREPLACE` or :data:`EXCHANGE`.

    Raises:
        OSError: EEXIST where there is something already; ENOSYS where it cannot be done.
    """
    call = getattr(_libc, "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(from_folder, os.fsencode(old), to_folder, os.fsencode(new), ctypes.c_uint(flags)):
        number = ctypes.get_errno()
        raise OSError(errno.ENOSYS if number in LACKING - {errno.EPERM} else number, os.strerror(number), new)


def rename_new(from_folder: int, old: str, to_folder: int, new: str) -> None:
    """Renames to a name that nothing has; never replaces anything.

    Raises:
        FileExistsError: something has it.
        OSError
    """
    try:
        rename(from_folder, old, to_folder, new, NOREPLACE)
        return
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
    try:
        os.link(old, new, src_dir_fd=from_folder, dst_dir_fd=to_folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in LACKING | {errno.EMLINK}:
            raise
    else:
        os.unlink(old, dir_fd=from_folder)
        return
    # Neither: an empty file takes the name, and who saves another one there meanwhile replaces that.
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=to_folder))
    os.rename(old, new, src_dir_fd=from_folder, dst_dir_fd=to_folder)


def born_ns(descriptor: int) -> int:
    """When the file was made, ns since 1970 (statx(2)); 0 where the file system does not say."""
    call = getattr(_libc, "statx", None)
    if call is None:
        return 0
    found = ctypes.create_string_buffer(256)
    if call(descriptor, b"", AT_EMPTY_PATH, STATX_BTIME, found):
        return 0
    (mask,) = struct.unpack_from("=I", found, 0)
    seconds, rest = struct.unpack_from("=qI", found, 80)
    return int(seconds * 1_000_000_000 + rest) if mask & STATX_BTIME else 0
