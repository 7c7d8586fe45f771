"""What is on its way on a connection: little on a short way, and on a long one as much as it takes."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from minga_node.uploads import PieceServer, send_buffer
from tests.bench import netns
from tests.support import long_way
from tests.support.one_file import OneFile

PROBLEM = long_way.missing()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM)),
]

MIB = 1024 * 1024
PIECE = 256 * 1024
SIZE = 8 * MIB


def content(tmp_path: Path, size: int) -> OneFile:
    return OneFile(tmp_path / "file", os.urandom(size))


@pytest.fixture
def pair() -> Iterator[netns.Star]:
    with netns.Star([5e7, 5e7]) as star:
        yield star


def ask(sock: socket.socket, library: OneFile, start: int, end: int) -> None:
    sock.sendall(
        f"GET /pieces/{library.id} HTTP/1.1\r\nHost: x\r\nRange: bytes={start}-{end - 1}\r\n\r\n".encode()
    )


def on_the_way(sock: socket.socket) -> int:
    """Bytes that were sent and not confirmed, or wait to be sent."""
    return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0])


def test_on_a_short_way_little_is_on_its_way(pair: netns.Star, tmp_path: Path) -> None:
    giver, taker = pair.leaves
    library = content(tmp_path, SIZE)
    with netns.entered(giver.namespace):
        server = PieceServer(giver.address, 0, library)
    server.start()
    with netns.entered(taker.namespace):
        sock = socket.create_connection((giver.address, server.port), 10)
    most = 0
    with closing(sock):
        ask(sock, library, 0, SIZE)
        left = SIZE
        while left > 0:
            left -= len(sock.recv(65536))
            (connection,) = server._by_descriptor.values()
            most = max(most, on_the_way(connection.sock))
    server.stop(1)
    # Where the receiver is late to confirm, the kernel takes a segment of 64 KiB beyond the bound, or two.
    # An unbounded connection has ten times as much on its way here.
    assert send_buffer.MOST / 2 < most <= 4 * send_buffer.MOST


def seconds_far_away(library: OneFile, round_trip: float, step: int) -> tuple[float, bool]:
    """How long 8 MiB take in steps that are asked for ahead, and whether the connection is bounded then."""
    with long_way.long_way(round_trip) as (giver, taker):
        with netns.entered(giver.namespace):
            server = PieceServer(giver.address, 0, library)
        server.start()
        with netns.entered(taker.namespace):
            sock = socket.create_connection((giver.address, server.port), 10)
        with closing(sock):
            sock.settimeout(20)
            begun = time.monotonic()
            for start in range(0, SIZE, step):
                ask(sock, library, start, start + step)
            left = SIZE
            while left > 0:
                left -= len(sock.recv(65536))
            took = time.monotonic() - begun
            (connection,) = server._by_descriptor.values()
        server.stop(1)
    return took, connection.bound is not None


@pytest.mark.parametrize("step", [PIECE, SIZE])
def test_a_long_way_is_used_as_if_nothing_were_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    round_trip = 0.15
    library = content(tmp_path, SIZE)
    took, bounded = seconds_far_away(library, round_trip, step)
    assert not bounded
    monkeypatch.setattr(send_buffer, "bound", lambda _: None)
    free, _ = seconds_far_away(library, round_trip, step)
    held_up = SIZE / send_buffer.MOST * round_trip
    assert took < free + (held_up - free) / 2
