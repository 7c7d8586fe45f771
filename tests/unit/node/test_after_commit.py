"""What others are told of a change comes once it is committed, outside of the store's lock, or never."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minga_node.events import Event, Outbox, make
from minga_node.events.feed import Feed
from minga_node.index import Index
from minga_node.model import LocalFile
from minga_node.requests.jobs import Jobs
from minga_node.store import Store
from minga_node.streams import Pause

FILE = LocalFile("a", "ab" * 32, 1, "text/plain", 0)


class Node:
    """A store with those who tell, and what each told."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.index = Index(self.store, "me")
        self.outbox = Outbox(self.store)
        self.jobs = Jobs(self.store, self.outbox, "net", "me", lambda *_: None, lambda *_: None)
        self.feed = Feed("net", self.store)
        self.told: list[str] = []
        self.index.on_change.append(lambda peer: self.tell(f"index {peer}"))
        self.outbox.on_add.append(lambda: self.tell("outbox"))
        self.jobs.on_ended.append(lambda: self.tell("jobs"))
        self.index.logs.hooks.append(self.feed.on_entries)

    def tell(self, what: str) -> None:
        """Notes it, if another thread can write just now."""

        def write() -> None:
            with self.store.write():
                self.told.append(what)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join(10)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "s.db")
    yield made
    made.index.close()
    made.store.close()


def share(node: Node) -> None:
    node.index.publish([FILE])


def add(node: Node) -> None:
    node.outbox.add([make("net", "peer.joined", "me", peer="me")])


def follow(node: Node) -> Iterator[Event | None]:
    """Events as they come; ``None`` where there is none just now."""
    for found in node.feed.follow(0):
        if not isinstance(found, Pause):
            yield found


@pytest.mark.parametrize(("change", "told"), [(share, "index me"), (add, "outbox")])
def test_a_transaction_that_rolls_back_tells_nobody(
    node: Node, change: Callable[[Node], None], told: str
) -> None:
    with pytest.raises(RuntimeError), node.store.write():
        change(node)
        assert not node.told
        raise RuntimeError
    assert not node.told
    with node.store.write():
        change(node)
        assert not node.told, "not before the commit"
    assert node.told == [told], "once it is committed, and others can write"


def test_a_job_that_has_not_ended_after_all_wakes_nobody(node: Node) -> None:
    job = node.jobs.send_hold("other", FILE.id, "a", copies=1)
    node.told.clear()
    done = make("net", "job.done", FILE.id, peer="other", job=job)
    with pytest.raises(RuntimeError), node.store.write():
        node.jobs.done(done)
        raise RuntimeError
    assert not node.told
    node.jobs.done(done)
    assert node.told == ["jobs"]


def test_who_follows_hears_of_what_is_committed_in_its_order(node: Node) -> None:
    events = follow(node)
    assert next(events) is None
    with pytest.raises(RuntimeError), node.store.write():
        share(node)
        raise RuntimeError
    assert next(events) is None
    with node.store.write():
        share(node)
        node.index.remove(["a"])
    heard = [next(events), next(events)]
    assert [each.routing_key for each in heard if each is not None] == ["file.published", "file.removed"]
