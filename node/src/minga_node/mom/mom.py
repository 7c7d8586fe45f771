"""Message-oriented middleware: events to everybody, jobs to one, over RabbitMQ."""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from minga_node import tracing
from minga_node.errors import BadRequest, MingaError, PeerMisbehaved
from minga_node.events import Event, Outbox, decode
from minga_node.events.files import FILES, Runs, entry_of
from minga_node.index import Delta, Index
from minga_node.index.log import check_delta
from minga_node.metrics import GOSSIP_REFUSED, JOBS, MESSAGES, REPEATED
from minga_node.model import Letter
from minga_node.mom.addresses import Addresses
from minga_node.mom.link import Link
from minga_node.mom.own import Delivery
from minga_node.mom.session import PREFETCH
from minga_node.mom.standing import State
from minga_node.mom.topology import TRIES, Topology
from minga_node.store import Store
from minga_node.workers import Worker

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Before the first redelivery of a job that failed; twice as long each time."""
LONGEST_RETRY = 30.0

Handler = Callable[[Event], None]
"""Has the effect of an event, once; runs in the transaction that remembers the event."""


class Mom:
    """The node's end of the broker.

    Args:
        addresses: of brokers, tried in turn.
        handlers: by routing key, what else than the index wants to know of events.
        work: does a job; returns when its result is verified, raises MingaError when it cannot.
        gave_up: told of a job that failed for the last time, and why.
        on_gap: called with the id of a peer whose events do not follow what is known.
        on_lapse: called when the broker carries no more what it carried until now.
        tap: hears every event that is not of a file, this node's own too.
    """

    def __init__(
        self,
        addresses: Addresses,
        network: str,
        index: Index,
        store: Store,
        outbox: Outbox,
        handlers: Mapping[str, Handler],
        *,
        work: Callable[[Event], None],
        gave_up: Callable[[Event, str], None] = lambda _event, _why: None,
        on_gap: Callable[[str], None] = lambda _peer: None,
        on_lapse: Callable[[], None] = lambda: None,
        tap: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        self._index, self._store, self._outbox, self._handlers = index, store, outbox, handlers
        self._work, self._gave_up, self._on_gap, self._tap = work, gave_up, on_gap, tap
        self._runs = Runs(
            lambda peer_id: index.logs.keys.get(peer_id) is not None,
            lambda count: GOSSIP_REFUSED.labels("unsigned").inc(count),
        )
        self.topology = Topology(network)
        self._events: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._jobs: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._link = Link(addresses, self.topology, index.self_id, outbox, self._on_event, self._on_job)
        self._link.standing.on_lapse.append(on_lapse)
        self._stop = threading.Event()
        self._unsettled: dict[Delivery, None] = {}
        """Of the events that are being taken."""
        self._event_worker = Worker("mom-events", self._take_some, delay=None)
        # A job takes as long as its file.
        self._job_worker = Worker("mom-jobs", self._take_job, delay=None, stuck_after=None)

    @property
    def state(self) -> State:
        """How it stands with the broker."""
        return self._link.standing.state

    @property
    def connected(self) -> bool:
        return self.state.connected

    def dead_letters(self, limit: int) -> list[Letter]:
        """What could not be used. Raises BrokerUnavailable."""
        return self._link.dead_letters(limit)

    def start(self) -> None:
        self._link.start()
        self._event_worker.start()
        self._job_worker.start()

    def stop(self) -> None:
        """Sends what waits, if it can be done at once, and disconnects."""
        self._stop.set()
        self._event_worker.end()
        self._job_worker.end()
        self._link.stop()
        self._event_worker.stop(5.0)
        # A job that runs is hardly waited for: the broker gives it to the next process.
        self._job_worker.stop(0.5)

    @property
    def workers(self) -> tuple[Worker, ...]:
        return self._link.worker, self._event_worker, self._job_worker

    def _on_event(self, delivery: Delivery) -> None:
        self._events.put(delivery)
        self._event_worker.wake()

    def _on_job(self, delivery: Delivery) -> None:
        self._jobs.put(delivery)
        self._job_worker.wake()

    def _take_some(self) -> float | None:
        batch: list[Delivery] = []
        with suppress(queue.Empty):
            while len(batch) < PREFETCH:
                batch.append(self._events.get_nowait())
        if not batch:
            return None
        self._unsettled = dict.fromkeys(batch)
        try:
            self._take(batch)
        finally:
            # What an error left comes again; an effect that it had already it does not have twice.
            for delivery in list(self._unsettled):
                self._settle(delivery, "retry")
        return 0.0

    def _settle(self, delivery: Delivery, how: str) -> None:
        self._unsettled.pop(delivery, None)
        self._link.settle(delivery, how)

    def _take(self, batch: Sequence[Delivery]) -> None:
        """Gives a batch its effect, then settles it."""
        good: list[tuple[Delivery, Event]] = []
        for delivery in batch:
            try:
                event = decode(delivery.body)
                if event.routing_key in FILES:
                    _check(event)
            except (BadRequest, PeerMisbehaved) as error:
                self._reject(delivery, error)
                continue
            MESSAGES.labels("in", event.routing_key).inc()
            good.append((delivery, event))
        own = f"/peers/{self._index.self_id}"
        files = [
            (delivery, event)
            for delivery, event in good
            if event.routing_key in FILES and event.text("peer") != self._index.self_id
        ]
        spans = [_span(event) for _, event in files] if tracing.on() else []
        bad = self._take_files(files)
        for span in spans:
            span.end()
        for delivery, event in good:
            if delivery in bad:
                continue
            how = "ack"
            if event.routing_key not in FILES:
                self._tap(event)
            if event.routing_key not in FILES and not event.source.endswith(own):
                how = self._handle(event)
            self._settle(delivery, how)

    def _take_files(self, files: Sequence[tuple[Delivery, Event]]) -> list[Delivery]:
        """Applies entries to the index; the deliveries that are no entries are rejected."""
        bad: list[Delivery] = []
        for delta in self._runs.take(event for _, event in files):
            try:
                self._apply(delta)
            except PeerMisbehaved as error:
                GOSSIP_REFUSED.labels("forged").inc()
                log.warning("events of %s are not taken: %s", delta.peer_id, error)
                if delta.to_version == delta.from_version + 1:
                    # It is this one; among several nobody can say which.
                    bad += [delivery for delivery, event in files if _tells(event, delta)]
                self._on_gap(delta.peer_id)
            except MingaError as error:
                # Gossip brings it: an event that cannot be stored now is not worth a storm of redeliveries.
                log.warning("events are not applied: %s", error)
        for delivery in bad:
            self._reject(delivery, PeerMisbehaved("not what its node signed"))
        return bad

    def _apply(self, delta: Delta) -> None:
        known = self._index.logs.state(delta.peer_id)
        if self._index.apply(delta):
            return
        if known is not None and (delta.epoch, delta.to_version) <= (known.epoch, known.version):
            REPEATED.inc(delta.to_version - delta.from_version)
        else:
            self._on_gap(delta.peer_id)

    def _handle(self, event: Event) -> str:
        handler = self._handlers.get(event.routing_key)
        if handler is None:
            return "ack"
        try:
            with _span(event), self._store.write() as db:
                if self._outbox.first_time(db, event):
                    handler(event)
                else:
                    REPEATED.inc()
        except MingaError as error:
            log.warning("event %s: %s", event.routing_key, error)
        except (ValueError, KeyError, TypeError) as error:
            # Nonsense that no check foresaw must not end the consumer, nor come again for ever.
            MESSAGES.labels("in", "invalid").inc()
            log.warning("event %s goes to the dead letters: %r", event.routing_key, error)
            return "reject"
        return "ack"

    def _reject(self, delivery: Delivery, error: Exception) -> None:
        MESSAGES.labels("in", "invalid").inc()
        log.warning("a message goes to the dead letters: %s", error)
        self._settle(delivery, "reject")

    def _take_job(self) -> float | None:
        try:
            delivery = self._jobs.get_nowait()
        except queue.Empty:
            return None
        try:
            event = decode(delivery.body)
        except BadRequest as error:
            self._reject(delivery, error)
            return 0.0
        if delivery.channel.is_open:
            try:
                self._do(delivery, event)
            except Exception:
                self._link.settle(delivery, "retry")
                raise
        return 0.0

    def _do(self, delivery: Delivery, event: Event) -> None:
        MESSAGES.labels("in", event.routing_key).inc()
        kind = event.routing_key.removeprefix("job.")
        try:
            with _span(event):
                self._work(event)
        except (MingaError, ValueError, KeyError, TypeError) as error:
            if self._stop.is_set():
                return  # not the job's fault
            # What is no error of ours is nonsense in the message, which stays what it is.
            permanent = not isinstance(error, MingaError) or error.permanent
            if permanent or delivery.tries >= TRIES - 1:
                log.warning("job %s is given up after %d tries: %s", event.id, delivery.tries + 1, error)
                JOBS.labels(kind, "failed").inc()
                self._gave_up(event, str(error))
                self._link.settle(delivery, "reject")
                return
            log.info("job %s failed, again later: %s", event.id, error)
            JOBS.labels(kind, "retried").inc()
            pause = min(RETRY_SECONDS * 2**delivery.tries, LONGEST_RETRY)
            # Two nodes that hindered each other do not meet again.
            if self._stop.wait(pause * random.uniform(0.5, 1.0)):
                return
            self._link.settle(delivery, "retry")
        else:
            JOBS.labels(kind, "done").inc()
            self._link.settle(delivery, "ack")


def _check(event: Event) -> None:
    """Raises PeerMisbehaved for what is no entry of a log."""
    entry = entry_of(event)
    versions = entry.version - 1, entry.version
    check_delta(Delta(event.text("peer"), event.number("epoch"), *versions, False, 0, [entry]))


def _tells(event: Event, delta: Delta) -> bool:
    said = event.text("peer"), event.number("epoch"), event.number("version")
    return said == (delta.peer_id, delta.epoch, delta.to_version)


def _span(event: Event) -> tracing.Span:
    """Of the effect that a message has here; none for a message of no trace."""
    if not event.traceparent:
        return tracing.NOTHING
    attributes = {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.message.id": event.id,
    }
    return tracing.span(f"process {event.routing_key}", "consumer", attributes, parent=event.traceparent)
