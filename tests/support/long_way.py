"""Two addresses that are far from each other: what is sent from one to the other takes its time.

Packets go out by a TUN device of one network namespace and, later, in by that of the other. Needs root.
"""

from __future__ import annotations

import fcntl
import os
import queue
import select
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import netns

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000


def missing() -> str | None:
    """Why there can be none here; None if there can."""
    if not Path("/dev/net/tun").exists():
        return "no TUN device here"
    return netns.missing()


@dataclass(frozen=True)
class End:
    namespace: str
    address: str


class _Pipe:
    """Carries packets one way until it is stopped."""

    def __init__(self, source: int, target: int, delay: float) -> None:
        self._source, self._target, self._delay = source, target, delay
        self._packets: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=part, daemon=True) for part in (self._read, self._write)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._packets.put((0.0, b""))
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        while not self._stopped.is_set():
            if poll.poll(100):
                self._packets.put((time.monotonic() + self._delay, os.read(self._source, 65536)))

    def _write(self) -> None:
        while True:
            due, packet = self._packets.get()
            if self._stopped.is_set():
                return
            time.sleep(max(0.0, due - time.monotonic()))
            os.write(self._target, packet)


def _device(namespace: str, address: str, other: str) -> int:
    with netns.entered(namespace):
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", b"way0", IFF_TUN | IFF_NO_PI))
    netns.run("ip", "-n", namespace, "addr", "add", address, "peer", other, "dev", "way0")
    netns.run("ip", "-n", namespace, "link", "set", "way0", "up", "txqueuelen", "10000")
    return descriptor


@contextmanager
def long_way(round_trip: float) -> Iterator[tuple[End, End]]:
    """Both ends, ``round_trip`` seconds from each other and back."""
    ends = End(f"mgw{os.getpid()}a", "198.18.250.1"), End(f"mgw{os.getpid()}b", "198.18.250.2")
    descriptors: list[int] = []
    pipes: list[_Pipe] = []
    try:
        for end, other in (ends, ends[::-1]):
            netns.run("ip", "netns", "add", end.namespace)
            descriptors.append(_device(end.namespace, end.address, other.address))
        for source, target in (descriptors, descriptors[::-1]):
            pipes.append(_Pipe(source, target, round_trip / 2))
        yield ends
    finally:
        for pipe in pipes:
            pipe.stop()
        for end in ends:
            subprocess.run(["ip", "netns", "del", end.namespace], capture_output=True, check=False)
        for descriptor in descriptors:
            os.close(descriptor)
