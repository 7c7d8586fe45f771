"""A directory whose files take their time to be read, as on a disk that is busy or a server far away.

``python -m tests.support.slow_files SOURCE MOUNTPOINT SECONDS`` shows the files of a directory by FUSE, and
answers each read after so long; looks and opens at once. What was read is in the system's memory and comes at
once, as from any disk. It needs ``/dev/fuse`` and the right to mount.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.waiting import wait_for

FUSE = Path("/dev/fuse")
HEADER = struct.Struct("=IIQQIIIHH")
READ = struct.Struct("=QQI")
NO_ANSWER = {2, 36, 42}
"""FORGET, INTERRUPT, BATCH_FORGET."""
LOOKUP, GETATTR, OPEN, READ_FILE, RELEASE, FLUSH, INIT, OPENDIR = 1, 3, 14, 15, 18, 25, 26, 27
ENOENT, ENOSYS = 2, 38
FOREVER = 10**6


def possible() -> bool:
    """Whether a test can use it here."""
    return FUSE.exists() and os.geteuid() == 0 and os.access(FUSE, os.R_OK | os.W_OK)


@contextmanager
def slow_files(source: Path, place: Path, seconds: float) -> Iterator[Path]:
    """``place`` shows what is in ``source``."""
    place.mkdir()
    command = [sys.executable, "-m", "tests.support.slow_files", str(source), str(place), str(seconds)]
    server = subprocess.Popen(command)
    try:
        wait_for(lambda: os.path.ismount(place), "it is mounted")
        yield place
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(place), 2)
        server.kill()
        server.wait()


class Server:
    """Speaks FUSE 7.31 (linux/fuse.h), as much of it as a few files in one folder need."""

    def __init__(self, source: Path, device: int, seconds: float) -> None:
        self._device, self._seconds = device, seconds
        self._files = dict(enumerate(sorted(source.iterdir()), 2))

    def run(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 18)
            except OSError:  # it is unmounted
                return
            _, code, unique, node, *_ = HEADER.unpack_from(request)
            if code not in NO_ANSWER:
                self._answer(code, unique, node, request[HEADER.size :])

    def _answer(self, code: int, unique: int, node: int, body: bytes) -> None:
        if code == INIT:
            said = struct.pack("=IIIIHHIIHHII24x", 7, 31, 1 << 17, 0, 16, 12, 1 << 17, 1, 32, 0, 0, 0)
            self._say(unique, said)
        elif code == LOOKUP:
            name = os.fsdecode(body.rstrip(b"\0"))
            found = next((number for number, path in self._files.items() if path.name == name), 0)
            entry = struct.pack("=QQQQII", found, 0, FOREVER, FOREVER, 0, 0)
            self._say(unique, entry + self._attributes(found)) if found else self._say(unique, error=ENOENT)
        elif code == GETATTR:
            self._say(unique, struct.pack("=QII", FOREVER, 0, 0) + self._attributes(node))
        elif code in {OPEN, OPENDIR}:
            self._say(unique, bytes(16))
        elif code == READ_FILE:
            _, offset, size = READ.unpack_from(body)
            with self._files[node].open("rb") as file:
                data = os.pread(file.fileno(), size, offset)
            threading.Timer(self._seconds, self._say, (unique, data)).start()
        else:
            self._say(unique, error=0 if code in {RELEASE, FLUSH} else ENOSYS)

    def _attributes(self, node: int) -> bytes:
        size = self._files[node].stat().st_size if node in self._files else 0
        mode = stat.S_IFREG | 0o644 if node in self._files else stat.S_IFDIR | 0o755
        return struct.pack("=6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def _say(self, unique: int, data: bytes = b"", *, error: int = 0) -> None:
        with suppress(OSError):
            os.write(self._device, struct.pack("=IiQ", 16 + len(data), -error, unique) + data)


def main() -> None:
    source, place, seconds = sys.argv[1:]
    device = os.open(FUSE, os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"slow", os.fsencode(place), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), place)
    Server(Path(source), device, float(seconds)).run()


if __name__ == "__main__":
    main()
