"""Who sees to which copies, and when; then a whole network of such nodes with a simulated clock."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from minga_node.requests.copy_placement import place
from minga_node.requests.keeping import (
    NODES_AT_ONCE,
    SETTLE_SECONDS,
    Copy,
    Keeper,
    Scarce,
    caretaker,
    missing,
)

DELAY = 300.0
DETECTION = 15
"""Seconds after which a node that is gone is known to be."""


def scarce(*copies: tuple[str, int, float]) -> Scarce:
    return Scarce("c", tuple(Copy(*copy) for copy in copies))


def test_the_publisher_takes_care_while_it_lives_then_whoever_has_had_it_longest() -> None:
    assert caretaker(scarce(("late", 3, 0), ("publisher", 1, 0), ("second", 2, 0))) == "publisher"
    assert caretaker(scarce(("late", 3, 0), ("publisher", 1, 20), ("second", 2, 0))) == "second"
    assert caretaker(scarce(("publisher", 1, 20))) is None


def test_equal_ages_are_decided_alike_everywhere_and_shared_out() -> None:
    copies = [Copy(f"peer-{n}", 7, 0) for n in range(4)]
    found = Counter(caretaker(Scarce(f"{n}", tuple(copies))) for n in range(400))
    assert set(found) == {copy.peer_id for copy in copies}
    assert min(found.values()) > 60
    assert caretaker(Scarce("x", tuple(copies))) == caretaker(Scarce("x", tuple(reversed(copies))))


def test_who_went_away_a_moment_ago_counts_and_later_no_more() -> None:
    copies = scarce(("a", 1, 0), ("b", 2, DELAY - 1))
    assert missing(copies, 2, DELAY) == 0
    assert missing(scarce(("a", 1, 0), ("b", 2, DELAY)), 2, DELAY) == 1
    assert missing(scarce(("a", 1, 0)), 1, 0) == 0, "without a delay who is online counts"


def test_a_shortage_must_last_and_what_is_asked_already_is_not_asked_again() -> None:
    keeper = Keeper("a", 2, DELAY)
    short = [scarce(("a", 1, 0))]
    assert keeper.look(100, short, ()) == []
    assert keeper.look(100 + SETTLE_SECONDS, [], ()) == [], "it was over"
    assert keeper.look(200, short, ()) == [], "it begins anew"
    assert keeper.look(200 + SETTLE_SECONDS, short, ()) == ["c"]
    assert keeper.look(201 + SETTLE_SECONDS, short, {"c"}) == []


def test_so_many_at_once_and_no_more() -> None:
    keeper = Keeper("a", 2, DELAY)
    short = [Scarce(f"{n:04}", (Copy("a", 1, 0),)) for n in range(500)]
    keeper.look(0, short, ())
    asked = keeper.look(SETTLE_SECONDS, short, ())
    assert len(asked) == NODES_AT_ONCE
    assert len(keeper.look(SETTLE_SECONDS, short, asked[:-3])) == 3


def test_pages_of_a_large_library_do_not_disturb_each_other() -> None:
    keeper = Keeper("a", 2, DELAY)
    first, second = [Scarce(name, (Copy("a", 1, 0),)) for name in ("1", "5")]
    assert keeper.look(0, [first], (), "", "3") == []
    assert keeper.look(1, [second], (), "3", "") == []
    assert keeper.look(SETTLE_SECONDS, [first], (), "", "3") == ["1"]
    assert keeper.look(SETTLE_SECONDS + 1, [second], (), "3", "") == ["5"]


# A network: every second each node looks, jobs wait in queues that outlive their node, one copy at a time.


@dataclass
class Node:
    name: str
    keeper: Keeper
    up: bool = True
    changed: int = -10_000
    """When it went up or down."""
    has: dict[str, int] = field(default_factory=dict)
    """When it got each content."""
    jobs: deque[str] = field(default_factory=deque)
    asked: dict[str, str] = field(default_factory=dict)
    """Who was asked for a content that this node takes care of."""


class Network:
    def __init__(self, nodes: int, files: int, target: int, seconds_a_copy: int = 2) -> None:
        self.now = 0
        self.target, self.seconds = target, seconds_a_copy
        self.nodes = {f"n{n}": Node(f"n{n}", Keeper(f"n{n}", target, DELAY)) for n in range(nodes)}
        self.groups: list[set[str]] = [set(self.nodes)]
        self.made = 0
        self.most_at_once = 0
        names = list(self.nodes)
        for n in range(files):
            self.nodes[names[n % nodes]].has[f"{n:05}"] = 0

    def set_up(self, name: str, up: bool) -> None:
        node = self.nodes[name]
        node.up, node.changed = up, self.now

    def away(self, viewer: str, name: str) -> float:
        group = next(group for group in self.groups if viewer in group)
        node = self.nodes[name]
        if name in group and node.up:
            return 0
        since = self.now - (self.cut_at if name not in group else node.changed)
        return since if since >= DETECTION else 0

    cut_at = 0

    def cut(self, *groups: Iterable[str]) -> None:
        self.groups, self.cut_at = [set(group) for group in groups], self.now

    def holders(self, content: str) -> list[Node]:
        return [node for node in self.nodes.values() if content in node.has]

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            for node in self.nodes.values():
                if node.up:
                    self._look(node)
                if node.up and node.jobs and self.now % self.seconds == 0:
                    self._work(node)

    def _look(self, node: Node) -> None:
        node.asked = {
            content: peer
            for content, peer in node.asked.items()
            if content not in self.nodes[peer].has and self.away(node.name, peer) < DELAY
        }
        found = []
        for content in node.has:
            copies = [
                Copy(holder.name, holder.has[content], self.away(node.name, holder.name))
                for holder in self.holders(content)
            ]
            if missing(Scarce(content, tuple(copies)), self.target, DELAY):
                found.append(Scarce(content, tuple(copies)))
        for content in node.keeper.look(self.now, found, node.asked):
            held = [
                holder.name for holder in self.holders(content) if self.away(node.name, holder.name) < DELAY
            ]
            room = {
                name: 10**12
                for name in self.nodes
                if self.away(node.name, name) == 0
                and self.nodes[name].up
                and content not in self.nodes[name].has
            }
            for peer in place(content, self.target, held, (), room, 1)[:1]:
                self.nodes[peer].jobs.append(content)
                node.asked[content] = peer
        self.most_at_once = max(self.most_at_once, len(node.asked))

    def _work(self, node: Node) -> None:
        content = node.jobs.popleft()
        online = [holder for holder in self.holders(content) if self.away(node.name, holder.name) == 0]
        if content not in node.has and len(online) < self.target and online:
            node.has[content] = self.now
            self.made += 1

    def copies(self) -> Counter[int]:
        """Contents by number of copies at nodes that are up."""
        contents = {content for node in self.nodes.values() for content in node.has}
        return Counter(sum(node.up for node in self.holders(content)) for content in contents)


def test_what_is_published_is_copied_once_as_often_as_wanted() -> None:
    network = Network(nodes=10, files=100, target=3)
    network.run(300)
    assert network.copies() == {3: 100}
    assert network.made == 200
    assert network.most_at_once <= NODES_AT_ONCE
    assert max(len(node.has) for node in network.nodes.values()) < 2 * 30, "spread over all"


def test_a_node_that_dies_is_replaced_after_the_delay_and_exactly() -> None:
    network = Network(nodes=8, files=40, target=2)
    network.run(300)
    lost = len(network.nodes["n3"].has)
    network.set_up("n3", False)
    before = network.made
    network.run(int(DELAY) - 5)
    assert network.made == before, "nothing before the delay"
    network.run(300)
    assert network.made == before + lost, "every lost copy once"
    assert set(network.copies()) == {2}


def test_nodes_that_flap_move_nothing() -> None:
    network = Network(nodes=8, files=40, target=2)
    network.run(300)
    before = network.made
    dice = random.Random(1)
    for _ in range(20):
        name = f"n{dice.randrange(8)}"
        network.set_up(name, False)
        network.run(60)
        network.set_up(name, True)
        network.run(20)
    assert network.made == before


def test_a_rolling_restart_moves_nothing() -> None:
    network = Network(nodes=8, files=40, target=2)
    network.run(300)
    before = network.made
    for name in network.nodes:
        network.set_up(name, False)
        network.run(120)
        network.set_up(name, True)
    network.run(60)
    assert network.made == before


def test_a_cut_network_heals_without_more_and_nothing_is_removed() -> None:
    network = Network(nodes=8, files=40, target=2)
    network.run(300)
    network.cut({"n0", "n1", "n2", "n3"}, {"n4", "n5", "n6", "n7"})
    network.run(900)
    made = network.made
    network.cut(set(network.nodes))
    network.run(900)
    assert network.made == made, "nothing is asked once it is whole"
    assert min(network.copies()) >= 2


def test_a_holder_that_returns_after_it_was_replaced_is_left_alone() -> None:
    network = Network(nodes=6, files=60, target=2)
    network.run(300)
    network.set_up("n1", False)
    network.run(900)
    made, had = network.made, set(network.nodes["n1"].has)
    network.set_up("n1", True)
    network.run(900)
    assert network.made == made
    assert set(network.nodes["n1"].has) == had


def test_a_node_that_comes_back_to_old_jobs_does_not_copy_what_others_have_made() -> None:
    network = Network(nodes=4, files=80, target=2, seconds_a_copy=5)
    network.run(20)
    waiting = len(network.nodes["n2"].jobs)
    assert waiting, "it is in the middle of it"
    network.set_up("n2", False)
    network.run(1500)
    made = network.made
    network.set_up("n2", True)
    network.run(600)
    assert not network.nodes["n2"].jobs
    assert network.made == made
