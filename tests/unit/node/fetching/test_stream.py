"""Requests on a connection that one thread reads: over real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from minga_node.fetching import stream as module
from minga_node.fetching.io_threads import IoThreads
from minga_node.fetching.steps import Steps, Wait
from minga_node.fetching.stream import ByteStream
from tests.waiting import wait_for

REQUEST = b"x" * 256 * 1024


@pytest.fixture
def ends() -> Iterator[tuple[ByteStream, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        # Neither of them grows then.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)
        near = socket.socket()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * 1024)
        near.connect(server.getsockname())
        far, _ = server.accept()
    stream = ByteStream(near)
    yield stream, far
    stream.close()
    far.close()


@pytest.fixture
def receiving() -> Iterator[IoThreads]:
    made = IoThreads(threads=1)
    yield made
    made.stop(5.0)


def reads(stream: ByteStream, ended: list[float]) -> Steps[None]:
    buffer = memoryview(bytearray(100))
    while (yield Wait(1, 60.0)):
        if not stream.receive(buffer):
            break
    ended.append(time.monotonic())


def fill(stream: ByteStream) -> int:
    """More than the sockets take while nobody reads; how much."""
    sent = 0
    while not stream.full:
        stream.send(REQUEST)
        sent += len(REQUEST)
    return sent


def test_an_error_that_holds_a_part_of_what_waits_is_told_as_it_is(
    ends: tuple[ByteStream, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of OpenSSL do, whose traceback has what was to be sent: that ended the receiving thread."""
    stream, _ = ends
    fill(stream)

    def breaks(data: memoryview) -> int:
        raise ConnectionResetError(data[:10])

    monkeypatch.setattr(stream, "_send", breaks)
    with pytest.raises(ConnectionResetError):
        stream.flush()
    assert not stream.full


def test_who_writes_to_one_that_does_not_read_does_not_wait(
    ends: tuple[ByteStream, socket.socket], receiving: IoThreads
) -> None:
    stream, far = ends
    receiving.add(stream, reads(stream, []))
    begun = time.monotonic()
    sent = fill(stream)
    assert time.monotonic() - begun < 5.0
    far.settimeout(10)
    while sent:
        sent -= len(far.recv(65536))
    wait_for(lambda: not stream.full, "nothing waits any more")


def test_what_waits_comes_in_order_also_from_who_pauses(
    ends: tuple[ByteStream, socket.socket], receiving: IoThreads
) -> None:
    def pauses() -> Steps[None]:
        while True:
            yield Wait(0, 0.05)

    stream, far = ends
    receiving.add(stream, pauses())
    sent = fill(stream) + 4
    stream.send(b"last")
    came = bytearray()
    far.settimeout(10)
    while len(came) < sent:
        came += far.recv(65536)
    assert came.endswith(b"xlast")


def test_one_that_never_reads_is_let_go(
    ends: tuple[ByteStream, socket.socket], receiving: IoThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEND_SECONDS", 0.2)
    stream, _ = ends
    ended: list[float] = []
    receiving.add(stream, reads(stream, ended))
    fill(stream)
    wait_for(lambda: ended, "its connection has ended", 10)


def test_what_waits_is_bounded(
    ends: tuple[ByteStream, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 400_000)
    stream, _ = ends
    fill(stream)
    with pytest.raises(TimeoutError):
        for _ in range(3):
            stream.send(REQUEST)
