"""Runs a command as on a kernel that lacks some system calls.

    python tests/support/without_calls.py NUMBER[,NUMBER] COMMAND ...

seccomp(2) answers them with ENOSYS, as an old kernel does and some container runtimes do.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

OPENAT2 = 437
RENAMEAT2 = {"x86_64": 316, "aarch64": 276}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def prefix(*calls: int) -> tuple[str, ...]:
    """Of a command that lacks these calls."""
    return sys.executable, __file__, ",".join(map(str, calls))


def old_kernel() -> tuple[int, ...]:
    """The calls that a Linux of 2014 lacks, of those that a node uses."""
    rename = RENAMEAT2.get(platform.machine())
    return (OPENAT2,) if rename is None else (OPENAT2, rename)


def deny(calls: list[int]) -> None:
    """From here on this process, and whatever it becomes, lacks them."""
    program = [(LOAD, 0, 0, 0)]
    for call in calls:
        program += [(EQUAL, 0, 1, call), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    program.append((RETURN, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero) or libc.prctl(
        PR_SET_SECCOMP, ctypes.c_ulong(FILTER), head, zero, zero
    ):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    deny([int(call) for call in sys.argv[1].split(",")])
    os.execvp(sys.argv[2], sys.argv[2:])
