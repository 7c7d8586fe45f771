"""One swarm in simulated time, with the node's own decisions.

Which piece from whom (:mod:`minga_node.swarm`), the holder's choice, its fair queue and whom it sends away
are the very modules that the node runs. Modelled are links (each node sends and receives at its rate, a
quarter piece at a time, two quarters of a flow on their way at most, as a congestion window does), slots, and
when news arrive. Times are in seconds of the simulated clock.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random

from minga_node.swarm import Outcome, PieceFetch, Swarm, choose_neighbours
from minga_node.swarm.neighbour_choice import MOST_NEIGHBOURS, NEIGHBOURS
from minga_node.swarm.news import seconds_until_told
from minga_node.uploads.choice import least_sent, still_wanted
from minga_node.uploads.fair_queue import FairQueue
from minga_node.uploads.server import SLOTS
from minga_node.wire import piece_set as sets
from tests.bench.simulated_nodes import Flow, Node

PIECE_BYTES = 256 * 1024
PIECE_SECONDS = 0.021
"""Such a piece at 100 Mbit/s."""
DELAY = 0.002
"""From one node to another, and to decide: seconds."""
QUARTERS = 4
WINDOW = 2
TICK = 0.1
LOOK = 1.0


class Simulation:
    """One swarm from its start until everybody alive has everything."""

    def __init__(
        self,
        peers: int,
        pieces: int,
        *,
        seed: int = 1,
        slow: float = 0.0,
        slowness: float = 4.0,
        stagger: float = 0.0,
        kill: int = 0,
        kill_at: float = 0.5,
        slots: int = SLOTS,
        seeds: int = 1,
        piece_seconds: float = PIECE_SECONDS,
    ) -> None:
        self.piece_seconds = piece_seconds
        self.piece_bytes = round(PIECE_BYTES * piece_seconds / PIECE_SECONDS)
        self.random = Random(seed)
        self.pieces, self.slots = pieces, slots
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.counter = 0
        self.nodes: dict[str, Node] = {}
        self.duplicates = 0
        self.refusals = 0
        quarter = piece_seconds / QUARTERS
        for number in range(seeds):
            self.nodes[f"seed{number}"] = self._node(f"seed{number}", quarter, complete=True)
        for number in range(peers):
            rate = quarter * (slowness if number < slow * peers else 1.0)
            self.nodes[f"peer{number}"] = self._node(f"peer{number}", rate, complete=False)
        self.takers = [node for node in self.nodes.values() if node.name.startswith("peer")]
        for number, node in enumerate(self.takers):
            self.at(number * stagger, partial(self._join, node))
        for node in self.random.sample(self.takers, kill):
            self.at(kill_at * pieces * piece_seconds, partial(self._kill, node))

    def _node(self, name: str, quarter: float, *, complete: bool) -> Node:
        have = sets.all_pieces(self.pieces) if complete else 0
        swarm = Swarm(self.pieces, have=have, seed=self.random.getrandbits(32))
        return Node(name, quarter, quarter, swarm, sent=[0] * self.pieces)

    def at(self, time: float, event: Callable[[], None]) -> None:
        self.counter += 1
        heapq.heappush(self.events, (time, self.counter, event))

    def after(self, delay: float, event: Callable[[], None]) -> None:
        self.at(self.now + delay, event)

    def run(self, limit: float = 50.0) -> None:
        """Until the end, or ``limit`` times the bound."""
        end = limit * self.pieces * self.piece_seconds
        while self.events:
            if all(node.finished is not None or not node.alive for node in self.takers):
                return
            self.now, _, event = heapq.heappop(self.events)
            if self.now > end:
                raise RuntimeError(f"no end after {limit} times the bound")
            event()

    # membership

    def _join(self, node: Node) -> None:
        node.started = self.now
        known = [
            other
            for other in self.nodes.values()
            if other.alive and (other.log or other.neighbours or other.swarm.complete)
        ]
        names = {other.name for other in known} - {node.name}
        complete = {name for name in names if self.nodes[name].swarm.complete}
        node.neighbours.setdefault(node.name, node)
        for name in choose_neighbours(names, complete, [], self.random):
            self._meet(node, self.nodes[name])
        del node.neighbours[node.name]
        self._tick(node)

    def _look(self, node: Node) -> None:
        """For more neighbours, where those are not enough."""
        node.look_at = self.now + LOOK
        limit = node.hunger.limit(len(node.neighbours))
        if len(node.neighbours) < limit > NEIGHBOURS:
            names = {other.name for other in self.nodes.values() if other.alive} - {node.name}
            complete = {name for name in names if self.nodes[name].swarm.complete}
            for name in choose_neighbours(names, complete, node.neighbours, self.random, limit=limit):
                self._meet(node, self.nodes[name])

    def _meet(self, one: Node, other: Node) -> None:
        for a, b in ((one, other), (other, one)):
            if b.name in a.neighbours or a.swarm.complete:
                continue
            if a is other and len(a.neighbours) >= MOST_NEIGHBOURS:
                continue
            a.neighbours[b.name] = b
            b.told[a.name], b.told_at[a.name] = len(b.log), self.now
            have, complete = b.swarm.have, b.swarm.complete
            self.after(3 * DELAY, partial(self._greeted, a, b, have, complete))

    def _greeted(self, node: Node, other: Node, have: int, complete: bool) -> None:
        if node.alive and other.alive:
            node.swarm.set_holder(other.name, have, complete=complete)
            self._pump(node)

    def _kill(self, node: Node) -> None:
        node.alive = False
        node.waiting = FairQueue()
        node.flows.clear()
        for other in self.nodes.values():
            if other.alive:
                other.neighbours.pop(node.name, None)
                other.told.pop(node.name, None)
                other.swarm.remove_holder(node.name)
                other.flows = deque(flow for flow in other.flows if flow.taker is not node)

    # news

    def _tell(self, node: Node, other: Node) -> None:
        """Everything new of ``node`` travels to ``other`` now, in some header or message."""
        known = node.told.get(other.name)
        if known is None or known == len(node.log):
            return
        pieces = sets.of(node.log[known:])
        node.told[other.name], node.told_at[other.name] = len(node.log), self.now
        self.after(DELAY, lambda: self._hear(other, node, pieces))

    def _hear(self, node: Node, other: Node, pieces: int) -> None:
        if node.alive and other.alive and node.swarm.add_pieces(other.name, pieces, self.now):
            self._pump(node)

    def _announce(self, node: Node, piece: int) -> None:
        node.log.append(piece)
        for name in node.told:
            other = self.nodes[name]
            if other.swarm.complete:
                continue
            total = len(node.log)
            wait = seconds_until_told(self.now - node.told_at[name], total - node.told[name], total)
            if wait <= 0:
                self._tell(node, other)
            elif name not in node.flushing:
                node.flushing.add(name)
                self.after(wait, partial(self._flush, node, other))

    def _flush(self, node: Node, other: Node) -> None:
        node.flushing.discard(other.name)
        if node.alive and other.alive:
            self._tell(node, other)

    # asking

    def _tick(self, node: Node) -> None:
        if node.alive and not node.swarm.complete:
            self._pump(node)
            node.hunger.feels(node.swarm.starved(self.now))
            if self.now >= node.look_at:
                self._look(node)
            self.after(TICK, lambda: self._tick(node))

    def _pump(self, node: Node) -> None:
        if not node.alive or node.swarm.complete:
            return
        for ask in node.swarm.schedule(self.now):
            giver = self.nodes[ask.holder]
            self._tell(node, giver)
            self.after(DELAY, partial(self._asked, giver, node, ask))

    def _asked(self, giver: Node, taker: Node, ask: PieceFetch) -> None:
        if not giver.alive or not taker.alive:
            return
        wait = giver.admission.refuses(giver.waiting, taker.name, self.now)
        if wait:
            self.refusals += 1
            self.after(DELAY, partial(self._refused, taker, ask, wait))
            return
        giver.waiting.add(taker.name, (taker, ask))
        self._fill(giver)

    def _refused(self, taker: Node, ask: PieceFetch, wait: int) -> None:
        taker.swarm.refused(ask.id, self.now, wait)
        self._pump(taker)

    # sending

    def _fill(self, giver: Node) -> None:
        held: list[tuple[Node, PieceFetch]] = []
        turns = 0
        while giver.waiting and len(giver.flows) < self.slots:
            taker, ask = giver.waiting.take()
            if not taker.alive:
                continue
            if any(flow.taker is taker for flow in giver.flows):
                # One answer of each connection at a time, as the listener does.
                held.append((taker, ask))
                continue
            candidates = still_wanted(ask.candidates, giver.swarm.has(taker.name))
            if not candidates:
                self.after(DELAY, partial(self._skipped, taker, ask))
                continue
            pieces = least_sent(candidates, giver.sent)
            turns += 1
            for piece in pieces:
                giver.sent[piece] += 1
            giver.uploaded += len(pieces)
            self._tell(giver, taker)
            self.after(DELAY, partial(self._begun, taker, ask, pieces))
            count = len(pieces) * QUARTERS
            giver.flows.append(Flow(giver, taker, ask, pieces, count, count))
        for taker, ask in held:
            giver.waiting.add(taker.name, (taker, ask))
        full = len(giver.flows) >= self.slots
        giver.admission.pace.moved(self.now, turns, len(giver.waiting) if full else 0)
        self._send(giver)

    def _begun(self, taker: Node, ask: PieceFetch, pieces: range) -> None:
        taker.swarm.chosen(ask.id, pieces, self.now)

    def _skipped(self, taker: Node, ask: PieceFetch) -> None:
        taker.swarm.finished(ask.id)
        self._pump(taker)

    def _send(self, giver: Node) -> None:
        """Puts the next quarter on the uplink if it is free and a flow may send."""
        if giver.sending or not giver.alive:
            return
        for _ in range(len(giver.flows)):
            flow = giver.flows.popleft()
            giver.flows.append(flow)
            if flow.unsent and flow.flying < WINDOW:
                giver.sending = True
                flow.unsent -= 1
                flow.flying += 1
                self.after(giver.up, partial(self._sent, flow))
                return

    def _sent(self, flow: Flow) -> None:
        giver = flow.giver
        giver.sending = False
        if not flow.unsent and flow in giver.flows:
            giver.flows.remove(flow)
            rate = flow.taker.swarm.rate.known(self.now) * self.piece_bytes
            giver.waiting.charge(flow.taker.name, len(flow.pieces) * self.piece_bytes, rate)
            self._fill(giver)
        self.after(DELAY / 2, lambda: self._arrive(flow))
        self._send(giver)

    def _arrive(self, flow: Flow) -> None:
        flow.taker.arrivals.append(flow)
        self._receive(flow.taker)

    def _receive(self, taker: Node) -> None:
        if not taker.receiving and taker.arrivals and taker.alive:
            taker.receiving = True
            flow = taker.arrivals.popleft()
            self.after(taker.down, lambda: self._received(flow))

    def _received(self, flow: Flow) -> None:
        taker = flow.taker
        taker.receiving = False
        flow.flying -= 1
        flow.unarrived -= 1
        if taker.alive and flow.giver.alive:
            done = len(flow.pieces) * QUARTERS - flow.unarrived
            if done % QUARTERS == 0:
                self._piece(flow, flow.pieces[done // QUARTERS - 1])
        self._receive(taker)
        self._send(flow.giver)

    def _piece(self, flow: Flow, piece: int) -> None:
        taker = flow.taker
        taker.received += 1
        if taker.swarm.received(flow.ask.id, piece, self.now) is Outcome.NEW:
            self._announce(taker, piece)
            if not taker.swarm.complete:
                for holder in taker.swarm.asked_in_vain(piece):
                    self._tell(taker, self.nodes[holder])
        else:
            self.duplicates += 1
        if not flow.unarrived:
            taker.swarm.finished(flow.ask.id)
        if taker.swarm.complete and taker.finished is None:
            taker.finished = self.now
        self._pump(taker)

    # what came of it

    def ratios(self) -> list[float]:
        """Time of each surviving peer as a ratio to its own bound."""
        usual = self.piece_seconds / QUARTERS
        return [
            (node.finished - node.started) / (self.pieces * self.piece_seconds * node.down / usual)
            for node in self.takers
            if node.finished is not None
        ]

    def fast_ratios(self) -> list[float]:
        usual = self.piece_seconds / QUARTERS
        return [
            (node.finished - node.started) / (self.pieces * self.piece_seconds)
            for node in self.takers
            if node.finished is not None and node.down == usual
        ]

    def copies(self) -> float:
        """Copies of the content that left the first seed."""
        return self.nodes["seed0"].uploaded / self.pieces
