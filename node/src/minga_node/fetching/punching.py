"""Holes within the pieces of a file that was sparse where it comes from."""

from __future__ import annotations

import ctypes

FIRST_BYTES = 64
"""What is looked at before all of a block is: hardly any block with data begins with so many zeros."""
_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
"""Modes of ``fallocate`` (Linux, fallocate(2))."""
_LIBRARY = ctypes.CDLL(None, use_errno=True)


def is_zero(data: memoryview) -> bool:
    """Whether all of some bytes are zeros."""
    return not any(data[:FIRST_BYTES]) and bytes(data) == bytes(len(data))


def punch(descriptor: int, start: int, length: int) -> bool:
    """Makes a hole of zeros in a file, whatever was there; the room of its whole blocks is free again.

    Returns whether it is there: not every file system has holes.
    """
    fallocate = getattr(_LIBRARY, "fallocate64", None)
    if fallocate is None:
        return False
    offset, size = ctypes.c_int64(start), ctypes.c_int64(length)
    return bool(fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, offset, size) == 0)
