"""A broker of three on a bad day: partition, failover, a member that hangs, a majority that is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pika
import pytest
from pika.exceptions import AMQPError

from minga_node.mom import BrokerAddresses
from minga_node.mom.topology import Queue, Topology
from tests.support.broker_end import End
from tests.support.rabbit import Cluster, Member, cluster
from tests.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def three(made: Cluster) -> Iterator[Cluster]:
    """Whole before, and again after each test."""
    made.whole()
    yield made
    made.mend()


@pytest.fixture(autouse=True)
def replicated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues of events as the virtual host's default makes them at a broker of three (docs/messages.md)."""
    plain = Topology.event_queue

    def quorum(self: Topology, peer_id: str) -> Queue:
        queue = plain(self, peer_id)
        arguments = {**queue.arguments, "x-queue-type": "quorum"}
        return Queue(queue.name, arguments)

    monkeypatch.setattr(Topology, "event_queue", quorum)
    monkeypatch.setattr("minga_node.mom.address.HEARTBEAT_SECONDS", 2)


class Talk:
    """A speaker that never stops, a listener, and what an outsider's replicated queue has got."""

    def __init__(self, folder: Path, three: Cluster, *, at: Member) -> None:
        others = [member for member in three.members if member is not at]
        self.urls = [member.url for member in (at, *others)]
        self._witness = f"witness.{folder.name}"
        with pika.BlockingConnection(pika.URLParameters(at.url)) as connection:
            channel = connection.channel()
            channel.exchange_declare(f"minga.{folder.name}.events", "topic", durable=True)
            channel.queue_declare(self._witness, durable=True, arguments={"x-queue-type": "quorum"})
            channel.queue_bind(self._witness, f"minga.{folder.name}.events", "#")
        self.speaker = End(folder, "speaker", BrokerAddresses(self.urls)).start()
        self.listener = End(folder, "listener", BrokerAddresses(self.urls)).start()
        self.ids: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def _talk(self) -> None:
        while not self._stop.wait(0.05):
            self.ids += self.speaker.tell(len(self.ids) + 1)

    def lost(self) -> set[str]:
        """Ends the talk; what the broker has acknowledged and does not have any more."""
        self._stop.set()
        self._thread.join()
        self.speaker.told(120)
        self.listener.hears(self.ids, 120)
        got: set[str] = set()
        for url in self.urls:
            with (
                suppress(AMQPError),
                pika.BlockingConnection(pika.URLParameters(url)) as connection,
            ):
                channel = connection.channel()
                while (found := channel.basic_get(self._witness, auto_ack=True))[0] is not None:
                    got |= {id_ for id_ in self.ids if f'"{id_}"'.encode() in (found[2] or b"")}
                break
        return set(self.ids) - got

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.speaker.stop()
        self.listener.stop()


@contextmanager
def talk(folder: Path, three: Cluster, *, at: Member) -> Iterator[Talk]:
    made = Talk(folder, three, at=at)
    try:
        wait_for(lambda: len(made.listener.heard) > 5, "the listener hears")
        yield made
    finally:
        made.stop()


def lapsed(talk: Talk, words: str, seconds: float) -> str:
    """What the speaker says while it is away from its member."""
    said: list[str] = []

    def away() -> bool:
        problem = talk.speaker.problem
        if problem and (not said or said[-1] != problem):
            said.append(problem)
        return any(words in line for line in said)

    wait_for(away, f"the speaker says {words!r}, not {said}", seconds, every=0.001)
    return said[0]


def test_a_member_that_dies_costs_a_moment_and_no_event(three: Cluster, tmp_path: Path) -> None:
    member = three.members[0]
    with talk(tmp_path, three, at=member) as talking:
        heard = len(talking.listener.heard)
        member.kill()
        wait_for(lambda: talking.speaker.lapses == 1 and talking.listener.lapses == 1, "it is noticed", 10)
        for end in (talking.speaker, talking.listener):
            end.connected(20)
        wait_for(lambda: len(talking.listener.heard) > heard + 20, "they talk by another member", 60)
        member.start()
        assert talking.lost() == set()


def test_a_member_that_is_cut_off_pauses_and_its_nodes_go_to_the_majority(
    three: Cluster, tmp_path: Path
) -> None:
    member = three.members[1]
    with talk(tmp_path, three, at=member) as talking:
        three.part(member)
        wait_for(lambda: talking.speaker.lapses and talking.listener.lapses, "the member pauses", 60)
        heard = len(talking.listener.heard)
        for end in (talking.speaker, talking.listener):
            end.connected(30)
        wait_for(lambda: len(talking.listener.heard) > heard + 20, "they talk in the majority", 90)
        three.heal()
        three.whole()
        assert talking.lost() == set()


def test_a_member_that_hangs_is_left_for_another_one(three: Cluster, tmp_path: Path) -> None:
    member = three.members[2]
    with talk(tmp_path, three, at=member) as talking:
        began = time.monotonic()
        member.freeze()
        for end in (talking.speaker, talking.listener):
            wait_for(lambda end=end: end.lapses, "it is noticed", 40)  # type: ignore[misc]
        # RabbitMQ itself holds all declarations until it takes the member for dead (net_ticktime, 60 s).
        for end in (talking.speaker, talking.listener):
            end.connected(120)
        print(f"left after {time.monotonic() - began:.1f} s")
        member.thaw()
        three.whole()
        assert talking.lost() == set()


def test_without_a_majority_the_broker_is_away_for_that_reason_and_everything_waits(
    three: Cluster, tmp_path: Path
) -> None:
    last, *others = three.members
    with talk(tmp_path, three, at=last) as talking:
        for member in others:
            member.kill()
        said = lapsed(talking, "away: connection refused", 60)
        print(f"first said: {said}")
        waiting = len(talking.speaker.outbox)
        wait_for(lambda: len(talking.speaker.outbox) > waiting + 20, "events wait", 30)
        starts = [threading.Thread(target=member.start) for member in others]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        talking.speaker.connected(60)
        assert talking.lost() == set()


def test_the_home_of_a_queue_that_is_not_replicated_is_named_while_it_is_away(
    three: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody has set the virtual host's default type, as at brokers that somebody else runs."""
    home, other, _ = three.members

    def classic(self: Topology, peer_id: str) -> Queue:
        return Queue(f"minga.{self.network}.events.{peer_id}", {"x-queue-type": "classic"})

    monkeypatch.setattr(Topology, "event_queue", classic)
    end = End(tmp_path, "a", home.url).start()
    end.stop()
    end = End(tmp_path, "a", other.url).start()
    try:
        home.kill()
        wait_for(lambda: end.lapses == 1, "the broker cancels the consumer", 30)
        end.says("it said: NOT_FOUND - ", 30)
        assert "is down or inaccessible" in end.problem
        home.start()
        end.connected(20)
        ids = end.tell(1)
        assert ids
        end.told()
    finally:
        end.stop()
