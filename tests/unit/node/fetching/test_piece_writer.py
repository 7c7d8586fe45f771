"""Two receivers with the same piece in hand, step by step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from blake3 import blake3

from minga_node.errors import VerificationFailed
from minga_node.fetching import PartialFile, piece_writer
from minga_node.fetching.piece_writer import PieceWriter
from minga_node.fetching.response_reader import ResponseReader
from minga_node.fetching.steps import Steps
from minga_node.fetching.stream import ByteStream
from minga_node.manifest import Manifest
from minga_node.wire import TokenBucket
from minga_node.wire import piece_set as sets

PIECE = 65536
CONTENT = os.urandom(2 * PIECE)
MANIFEST = Manifest(
    len(CONTENT), b"".join(blake3(CONTENT[start : start + PIECE]).digest() for start in (0, PIECE))
)
CHUNK = PIECE // 4


class Chunks:
    """A stream on which a piece comes, a chunk at each step."""

    pending = False

    def __init__(self, piece: bytes) -> None:
        self.left = piece

    def receive(self, into: memoryview) -> int:
        taken, self.left = self.left[:CHUNK], self.left[CHUNK:]
        into[: len(taken)] = taken
        return len(taken)


@pytest.fixture
def partial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PartialFile]:
    monkeypatch.setattr(piece_writer, "CHUNK", CHUNK)
    made = PartialFile(tmp_path, MANIFEST)
    yield made
    made.close()


class Taker:
    def __init__(self, partial: PartialFile, piece: bytes) -> None:
        self._taking = PieceWriter(partial, "p")
        incoming = ResponseReader(cast(ByteStream, Chunks(piece)), "p", TokenBucket(0), CHUNK)
        self.steps: Steps[bool] = self._taking.take(incoming, 1)
        next(self.steps)

    def chunks(self, count: int) -> None:
        for _ in range(count):
            self.steps.send(True)

    def end(self) -> bool:
        try:
            while True:
                self.steps.send(True)
        except StopIteration as end:
            return bool(end.value)
        finally:
            self._taking.close()


GOOD = CONTENT[PIECE:]
BAD = GOOD[:-1] + bytes([GOOD[-1] ^ 1])


def stored(partial: PartialFile) -> bytes:
    return partial.path.read_bytes()[PIECE:]


def test_the_quicker_of_two_stores_it_and_the_other_spoils_nothing(partial: PartialFile) -> None:
    slow, quick = Taker(partial, BAD), Taker(partial, GOOD)
    slow.chunks(1)
    assert quick.end()
    assert partial.have == sets.of([1])
    assert stored(partial) == GOOD
    with pytest.raises(VerificationFailed):
        slow.end()
    assert partial.have == sets.of([1])
    assert stored(partial) == GOOD


def test_both_are_right(partial: PartialFile) -> None:
    first, second = Taker(partial, GOOD), Taker(partial, GOOD)
    first.chunks(3)
    assert second.end()
    assert first.end()
    assert stored(partial) == GOOD


def test_what_is_wrong_does_not_count_and_takes_nothing_away(partial: PartialFile) -> None:
    first, second = Taker(partial, GOOD), Taker(partial, BAD)
    with pytest.raises(VerificationFailed):
        second.end()
    assert not partial.have
    assert first.end()
    assert partial.have == sets.of([1])


def test_who_is_cut_off_lets_another_take_it(partial: PartialFile) -> None:
    first = Taker(partial, GOOD)
    first.chunks(2)
    first.steps.close()
    assert not partial.have
    assert Taker(partial, GOOD).end()
    assert stored(partial) == GOOD
