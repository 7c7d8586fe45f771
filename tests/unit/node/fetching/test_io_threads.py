"""Threads that serve many connections: over real sockets."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from minga_node.fetching.io_threads import IoThreads
from minga_node.fetching.steps import Steps, Wait
from minga_node.fetching.stream import ByteStream
from tests.waiting import wait_for

ANYTHING = Wait(1, 10.0)


class Line:
    """One connection, and what its steps were told."""

    def __init__(self, wait: Wait = ANYTHING, *, burn: float = 0.0) -> None:
        # By TCP, for sockets of one machine alone wake at every byte.
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.stream = ByteStream(socket.create_connection(server.getsockname()))
            self.far, _ = server.accept()
        self.far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wait, self.burn = wait, burn
        self.told: list[tuple[bool, float]] = []
        self.threads: set[int] = set()
        self.got = b""
        self.over = False

    def steps(self) -> Steps[None]:
        # What burns time takes byte by byte, so that there is always more, however late the next come.
        buffer = memoryview(bytearray(1 if self.burn else 100))
        try:
            while True:
                there = yield self.wait
                self.told.append((there, time.monotonic()))
                self.threads.add(threading.get_ident())
                end = time.thread_time() + self.burn
                while time.thread_time() < end:
                    pass
                if there and self.wait.bytes:
                    count = self.stream.receive(buffer)
                    if not count:
                        return
                    self.got += buffer[:count]
                    if b"!" in self.got:
                        raise RuntimeError("a bug")
        finally:
            self.over = True
            self.stream.close()

    def close(self) -> None:
        self.far.close()


@pytest.fixture
def receiving() -> Iterator[IoThreads]:
    # Shares of what this process gets, since a busy machine gives it little.
    made = IoThreads(threads=2, clock=time.process_time)
    yield made
    made.stop(5.0)


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    made: list[Line] = []
    yield made
    for line in made:
        line.close()


def test_one_thread_serves_them_all(receiving: IoThreads, lines: list[Line]) -> None:
    lines += [Line() for _ in range(50)]
    for line in lines:
        assert receiving.add(line.stream, line.steps())
    for number, line in enumerate(lines):
        line.far.sendall(b"%d" % number)
    wait_for(lambda: all(line.got for line in lines), "all have theirs")
    assert [line.got for line in lines] == [b"%d" % number for number in range(50)]
    assert len(set.union(*(line.threads for line in lines))) == receiving.threads == 1


def test_it_is_woken_for_as_much_as_it_waits_for(receiving: IoThreads, lines: list[Line]) -> None:
    line = Line(Wait(64, 10.0))
    lines.append(line)
    receiving.add(line.stream, line.steps())
    for _ in range(8):
        line.far.sendall(b"12345678")
        time.sleep(0.01)
    wait_for(lambda: len(line.got) == 64, "all is there")
    assert len(line.told) == 1


def test_the_time_is_over(receiving: IoThreads, lines: list[Line]) -> None:
    lines += [Line(Wait(1, 0.1)), Line()]
    begun = time.monotonic()
    for line in lines:
        receiving.add(line.stream, line.steps())
    there, at = wait_for(lambda: lines[0].told, "told")[0]
    assert not there
    assert 0.1 <= at - begun < 2.0
    assert not lines[1].told


def test_a_pause_is_kept_though_something_comes(receiving: IoThreads, lines: list[Line]) -> None:
    line = Line(Wait(0, 0.2))
    lines.append(line)
    line.far.sendall(b"x")
    begun = time.monotonic()
    receiving.add(line.stream, line.steps())
    wait_for(lambda: len(line.told) == 3, "three pauses")
    for number, (_, at) in enumerate(line.told[:3], 1):
        assert 0.2 * number <= at - begun < 0.2 * number + 1.0


def test_a_second_thread_takes_over_from_one_that_has_no_time(
    receiving: IoThreads, lines: list[Line]
) -> None:
    lines += [Line(burn=0.02) for _ in range(4)]
    for line in lines:
        receiving.add(line.stream, line.steps())

    def feed() -> bool:
        for line in lines:
            line.far.send(b"." * 10)
        return receiving.threads == 2

    wait_for(feed, "a second thread")
    for line in lines:
        line.threads.clear()
    wait_for(lambda: feed() and all(line.threads for line in lines), "all go on")
    assert len(set.union(*(line.threads for line in lines))) == 2


def test_what_is_to_be_apart_is(receiving: IoThreads, lines: list[Line]) -> None:
    lines += [Line(), Line()]
    for line, apart in zip(lines, (False, True), strict=True):
        receiving.add(line.stream, line.steps(), apart=apart)
        line.far.sendall(b"x")
    wait_for(lambda: all(line.threads for line in lines), "both")
    assert lines[0].threads != lines[1].threads


def test_an_end_and_a_bug_concern_one_connection(
    receiving: IoThreads, lines: list[Line], caplog: pytest.LogCaptureFixture
) -> None:
    lines += [Line(), Line(), Line()]
    for line in lines:
        receiving.add(line.stream, line.steps())
    lines[0].far.close()
    with caplog.at_level(logging.ERROR):
        lines[1].far.sendall(b"!")
        wait_for(lambda: lines[0].over and lines[1].over, "both have ended")
        lines[2].far.sendall(b"x")
        wait_for(lambda: lines[2].got, "the third goes on")
    assert "a bug" in caplog.text
    assert not lines[2].over


def test_stopping_ends_all_of_them(receiving: IoThreads, lines: list[Line]) -> None:
    lines += [Line(), Line(Wait(0, 10.0)), Line()]
    for line in lines[:2]:
        receiving.add(line.stream, line.steps())
    receiving.stop(5.0)
    assert [line.over for line in lines] == [True, True, False]
    late = lines[2].steps()
    assert not receiving.add(lines[2].stream, late)
    lines[2].stream.close()
