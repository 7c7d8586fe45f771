"""Heads and bodies out of a connection, however they come: driven step by step."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar, cast

import pytest

from minga_node.errors import PeerMisbehaved, PeerUnreachable
from minga_node.fetching.response_reader import STALL_SECONDS, ResponseReader
from minga_node.fetching.steps import Steps, Wait
from minga_node.fetching.stream import ByteStream
from minga_node.wire import TokenBucket
from minga_node.wire.http import LARGEST_HEAD_BYTES, Head

T = TypeVar("T")
HEAD = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5000\r\n\r\n"
BODY = os.urandom(5000)


class Arrivals:
    """A stream on which parts come one after the other."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = list(parts)
        self.hidden = False
        """Whether what is there was read from the socket before."""

    @property
    def pending(self) -> bool:
        return self.hidden and bool(self.parts)

    def receive(self, into: memoryview) -> int:
        if not self.parts:
            raise BlockingIOError
        part = self.parts.pop(0)
        taken = part[: len(into)]
        into[: len(taken)] = taken
        if part[len(taken) :]:
            self.parts.insert(0, part[len(taken) :])
        return len(taken)


def incoming(*parts: bytes, limit: float = 0, chunk: int = 8192) -> ResponseReader:
    return ResponseReader(cast(ByteStream, Arrivals(*parts)), "p", TokenBucket(limit), chunk)


def play(steps: Steps[T], answers: Sequence[bool] = ()) -> tuple[T, list[Wait]]:
    """The result, and what was waited for; each wait is answered as told, the rest with True."""
    waits: list[Wait] = []
    left = list(answers)
    try:
        waits.append(next(steps))
        while True:
            waits.append(steps.send(left.pop(0) if left else True))
    except StopIteration as end:
        return cast(T, end.value), waits


def busy() -> bool:
    return False


@pytest.mark.parametrize("size", [1, 7, len(HEAD) - 1, len(HEAD), len(HEAD) + 1, 3000, 6000])
def test_parts_of_any_size_are_put_together(size: int) -> None:
    all_ = 3 * (HEAD + BODY)
    it = incoming(*(all_[start : start + size] for start in range(0, len(all_), size)))
    for _ in range(3):
        head, _ = play(it.head(busy))
        assert head is not None
        assert head.fields == {"content-length": "5000"}
        assert bytes(play(it.fill(2000))[0]) == BODY[:2000]
        assert bytes(play(it.fill(3000))[0]) == BODY[2000:]
    assert it.received == 3 * 5000


def test_an_answer_that_is_there_as_a_whole_is_one_wait() -> None:
    it = incoming(HEAD + BODY)
    assert len(play(it.head(busy))[1]) == 1
    body, waits = play(it.fill(5000))
    assert bytes(body) == BODY
    assert not waits


def test_it_is_woken_once_all_that_is_lacking_is_there() -> None:
    it = incoming(HEAD + BODY[:100], BODY[100:])
    play(it.head(busy))
    assert play(it.fill(5000))[1] == [Wait(4900, STALL_SECONDS)]


def test_what_was_taken_out_of_the_socket_is_not_waited_for() -> None:
    it = incoming(HEAD + BODY[:100], BODY[100:])
    cast(Arrivals, it._stream).hidden = True
    assert play(it.head(busy))[1] == []
    body, waits = play(it.fill(5000))
    assert bytes(body) == BODY
    assert not waits


def test_a_holder_that_is_slow_is_waited_for_and_one_that_sends_nothing_is_not() -> None:
    it = incoming(HEAD, BODY[:1], BODY[1:])
    play(it.head(busy))
    # The first wait is in vain, but a byte has come.
    assert bytes(play(it.fill(5000), [False])[0]) == BODY
    for wanted in (it.fill(1), it.skip(1), it.head(busy)):
        with pytest.raises(PeerUnreachable, match="15 s"):
            play(wanted, [False])


def test_nothing_comes_where_nothing_was_to_come() -> None:
    assert play(incoming().head(lambda: True), [False])[0] is None


def test_the_end_of_the_connection_is_told() -> None:
    it = incoming(HEAD, b"")
    play(it.head(busy))
    with pytest.raises(PeerUnreachable, match="closed"):
        play(it.fill(5000))


def test_the_limit_is_waited_for_before_a_body_and_not_before_a_head() -> None:
    it = incoming(HEAD + BODY, HEAD + BODY, limit=1_000_000)
    assert [wait.bytes for wait in play(it.head(busy))[1]] == [1]
    for _ in range(200):
        it._limiter.take(5000)
    (wait,) = play(it.fill(5000))[1]
    assert wait.bytes == 0
    assert 0.7 < wait.seconds < 1.0
    assert [wait.bytes for wait in play(it.head(busy))[1]] == [1]


def test_a_head_longer_than_the_buffer_is_read_and_one_without_end_is_not() -> None:
    names = "a" * 20_000
    long = f"HTTP/1.1 204 No Content\r\nMinga-Others: {names}\r\n\r\n".encode()
    it = incoming(long[:15_000], long[15_000:] + HEAD + BODY)
    head: Head | None = play(it.head(busy))[0]
    assert head is not None
    assert head.fields["minga-others"] == names
    play(it.head(busy))
    assert bytes(play(it.fill(5000))[0]) == BODY
    with pytest.raises(PeerMisbehaved, match="no end"):
        play(incoming(*[b"a" * 1000] * (LARGEST_HEAD_BYTES // 1000 + 2)).head(busy))


def test_an_explanation_is_skipped_and_a_long_one_is_not_taken() -> None:
    it = incoming(b"x" * 300, b"x" * 200 + HEAD)
    play(it.skip(500))
    assert play(it.head(busy))[0] is not None
    with pytest.raises(PeerMisbehaved, match="length"):
        play(it.skip(LARGEST_HEAD_BYTES + 1))
