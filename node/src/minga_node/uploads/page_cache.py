"""Which bytes of a file are in memory, and how those get there that are not.

``sendfile`` and ``pread`` wait for a disk where they have to, so a thread that serves others looks first.
"""

from __future__ import annotations

import ctypes
import errno
import os

STEP = 128 * 1024
"""Bytes for which one page speaks: the system reads and forgets neighbours together."""
LOAD = 256 * 1024
"""Bytes that are read at a time."""
AHEAD = 1024 * 1024
"""Bytes that the system is told will follow."""
NOWAIT = getattr(os, "RWF_NOWAIT", 0)
LACKING = {errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""What is said where there is no such call, or not for this file system."""
PAGE = os.sysconf("SC_PAGESIZE")
PROT_READ, MAP_SHARED = 1, 1
TMPFS = 0x01021994
"""Its type (linux/magic.h)."""

# These never wait, so the interpreter's lock is kept: to give it away, and wait for it again, would take
# longer than the call.
_libc = ctypes.PyDLL(None, use_errno=True)
_mmap = _libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
_mincore = getattr(_libc, "mincore", None)
_munmap = _libc.munmap
_munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_fstatfs = _libc.fstatfs
_status = (ctypes.c_long * 32)()
"""``struct statfs``, whose first word is the type; it has 15 of them."""
_preadv2 = getattr(_libc, "preadv2", None)


class _Part(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


_byte = ctypes.create_string_buffer(1)
_part = _Part(ctypes.addressof(_byte), 1)


def ready(descriptor: int, start: int, end: int) -> int:
    """Up to where the bytes from ``start`` on are in memory, as far as one page in :data:`STEP` tells; at
    most ``end``, and ``start`` where they are not, or nobody knows. Never waits.
    """
    for offset in range(start, end, STEP):
        found = _is_ready(descriptor, offset)
        if found is None:
            return _mapped(descriptor, start, end)
        if not found:
            return offset
    if end - start > 1 and not _is_ready(descriptor, end - 1):
        return max(start, end - 1 - (end - 1 - start) % STEP)
    return end


def _is_ready(descriptor: int, offset: int) -> bool | None:
    """Whether a byte is in memory; None where the system does not say (preadv2(2), RWF_NOWAIT)."""
    if _preadv2 is None or not NOWAIT:
        return None
    if _preadv2(descriptor, ctypes.byref(_part), 1, ctypes.c_int64(offset), NOWAIT) >= 0:
        # Also beyond the end, which whoever reads there finds out.
        return True
    return None if ctypes.get_errno() in LACKING else False


def _mapped(descriptor: int, start: int, end: int) -> int:
    """The same by mincore(2), for file systems that are elsewhere. It says of all pages that they are here to
    those who may not write the file. What is in a file system in memory counts as being there.
    """
    if _fstatfs(descriptor, _status) == 0 and _status[0] == TMPFS:
        return end
    if _mincore is None:
        return start
    first = start - start % PAGE
    size = end - first
    address = _mmap(None, size, PROT_READ, MAP_SHARED, descriptor, first)
    if address in {None, ctypes.c_void_p(-1).value}:
        return start
    try:
        seen = ctypes.create_string_buffer(-(-size // PAGE))
        if _mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), seen):
            return start
        # Linux sets the lowest bit of each page's byte, or none.
        lacking = seen.raw.find(0)
    finally:
        _munmap(address, size)
    return end if lacking < 0 else max(start, first + lacking * PAGE)


def load(descriptor: int, start: int, end: int) -> bytes:
    """The first bytes of [start, end), nothing at the file's end; waits for the disk, and has it read on.

    Raises:
        OSError
    """
    data = os.pread(descriptor, min(LOAD, end - start), start)
    following = start + len(data)
    if data and following < end:
        os.posix_fadvise(descriptor, following, min(end - following, AHEAD), os.POSIX_FADV_WILLNEED)
    return data
