"""News go out at once, and together where there are many of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from minga_node.index import Delta, Index
from minga_node.membership.rumours import RumourSender
from minga_node.model import LocalFile, Peer
from tests.waiting import wait_for

PEERS = tuple(Peer(f"peer-{number}", 5, "127.0.0.1", 1, 2, 3) for number in range(3))


class Told:
    """Takes what would go to peers."""

    def __init__(self, seconds: float = 0.0, deaf: str = "") -> None:
        self._seconds, self._deaf = seconds, deaf
        self.versions: dict[str, list[int]] = {peer.id: [] for peer in PEERS}
        self.over = threading.Event()

    def tell(self, peer: Peer, deltas: Sequence[Delta]) -> None:
        if peer.id in self._deaf.split():
            self.over.wait(60)
        time.sleep(self._seconds)
        self.versions[peer.id].append(deltas[-1].to_version)


@contextmanager
def rumours(index: Index, told: Told, eager: Callable[[], bool] = lambda: True) -> Iterator[RumourSender]:
    with ThreadPoolExecutor(8) as pool:
        boy = RumourSender(index, told.tell, lambda: PEERS, eager, pool)
        boy.worker.start()
        try:
            yield boy
        finally:
            told.over.set()
            boy.stop()
            assert boy.worker.stop(5)


def publish(index: Index, number: int) -> None:
    index.publish([LocalFile(f"file-{number}", f"{number:064x}", 1, "text/plain", 0)])


def test_everybody_is_told_at_once(index: Index) -> None:
    told = Told()
    with rumours(index, told):
        publish(index, 1)
        wait_for(lambda: all(told.versions.values()), "all are told", 5)
    assert told.versions == {peer.id: [1] for peer in PEERS}


def test_many_news_go_together_when_telling_takes_long(index: Index) -> None:
    told = Told(seconds=0.03)
    with rumours(index, told):
        since = time.monotonic()
        for number in range(200):
            publish(index, number)
            time.sleep(0.01)
        took = time.monotonic() - since
        wait_for(lambda: all(200 in versions for versions in told.versions.values()), "all know the last", 5)
    for versions in told.versions.values():
        assert versions == sorted(set(versions))
        # For a fifth of the time, after some credit; the last ones came later.
        assert 2 <= len(versions) <= (took + 0.2) / (5 * 0.03) + 3


def test_a_peer_that_does_not_answer_holds_nobody_up(index: Index) -> None:
    told = Told(deaf="peer-1")

    def others_know(number: int) -> bool:
        return all(number in told.versions[peer] for peer in ("peer-0", "peer-2"))

    with rumours(index, told):
        since = time.monotonic()
        for number in range(1, 6):
            publish(index, number)
            wait_for(partial(others_know, number), "the others know", 5)
        assert time.monotonic() - since < 2
    assert told.versions["peer-1"]


def test_peers_that_do_not_answer_hold_the_others_up_for_a_moment(index: Index) -> None:
    told = Told(deaf="peer-1 peer-2")
    with rumours(index, told):
        publish(index, 1)
        wait_for(lambda: told.versions["peer-0"] == [1], "the other one knows the first", 4)
        publish(index, 2)
        wait_for(lambda: told.versions["peer-0"] == [1, 2], "and the second", 4)


def test_what_was_left_to_a_broker_that_lost_it_is_told_again(index: Index) -> None:
    told = Told()
    by_broker = threading.Event()
    by_broker.set()
    with rumours(index, told, lambda: not by_broker.is_set()) as boy:
        for number in range(3):
            publish(index, number)
        wait_for(lambda: boy._told.get(index.self_id, (0, 0))[1] == 3, "it was left to the broker", 5)
        assert not any(told.versions.values())
        by_broker.clear()
        boy.tell_again(index.self_id, 1)
        wait_for(lambda: all(told.versions.values()), "all are told", 5)
    assert told.versions == {peer.id: [3] for peer in PEERS}
