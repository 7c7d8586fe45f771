"""Message-oriented middleware: events to everybody, jobs to one, over RabbitMQ."""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from minga_node.errors import BadRequest, MingaError
from minga_node.events import Event, Outbox, decode
from minga_node.index import Index
from minga_node.metrics import JOBS, MESSAGES
from minga_node.model import Letter
from minga_node.mom.addresses import BrokerAddresses
from minga_node.mom.job_queue import JOBS_AT_ONCE
from minga_node.mom.link import Link
from minga_node.mom.own import Delivery
from minga_node.mom.session import PREFETCH
from minga_node.mom.spans import span_of
from minga_node.mom.standing import State
from minga_node.mom.taking import EventConsumer, Handler
from minga_node.mom.topology import TRIES, Topology
from minga_node.store import Store
from minga_node.workers import Worker

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Pause before the first redelivery of a job that failed; each one is twice as long as the last."""
LONGEST_RETRY_SECONDS = 30.0


class Mom:
    """The node's end of the broker.

    Args:
        addresses: of brokers, tried in turn.
        handlers: by routing key, who besides the index gives events an effect.
        work: does a job; returns when its result is verified, raises MingaError when it cannot.
        gave_up: told of a job that failed for the last time, and why.
        on_gap: called with the id of a peer whose events do not follow what is known.
        on_lapse: called when the broker carries no more what it carried until now.
        tap: hears every event that is not of a file, this node's own too.
    """

    def __init__(
        self,
        addresses: BrokerAddresses,
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
        self._work, self._gave_up = work, gave_up
        self.topology = Topology(network)
        self._events: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._jobs: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._link = Link(addresses, self.topology, index.self_id, outbox, self._on_event, self._on_job)
        self._link.standing.on_lapse.append(on_lapse)
        self._taking = EventConsumer(index, store, outbox, handlers, on_gap, tap, self._link.settle)
        self._stop = threading.Event()
        self._event_worker = Worker("mom-events", self._take_some, delay=None)
        # A job takes as long as its file.
        self._job_workers = [
            Worker(f"mom-jobs-{number}", self._take_job, delay=None, stuck_after=None)
            for number in range(1, JOBS_AT_ONCE + 1)
        ]

    @property
    def workers(self) -> tuple[Worker, ...]:
        return self._link.worker, self._event_worker, *self._job_workers

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
        for worker in self._job_workers:
            worker.start()

    def stop(self) -> None:
        """Sends what waits, if it can be done at once, and disconnects."""
        self._stop.set()
        for worker in (self._event_worker, *self._job_workers):
            worker.end()
        self._link.stop()
        self._event_worker.stop(5.0)
        # A job that runs is hardly waited for: the broker gives it to the next process.
        for worker in self._job_workers:
            worker.stop(0.1)

    def _on_event(self, delivery: Delivery) -> None:
        self._events.put(delivery)
        self._event_worker.wake()

    def _on_job(self, delivery: Delivery) -> None:
        self._jobs.put(delivery)
        for worker in self._job_workers:
            worker.wake()

    def _take_some(self) -> float | None:
        batch: list[Delivery] = []
        with suppress(queue.Empty):
            while len(batch) < PREFETCH:
                batch.append(self._events.get_nowait())
        if not batch:
            return None
        self._taking.take(batch)
        return 0.0

    def _take_job(self) -> float | None:
        try:
            delivery = self._jobs.get_nowait()
        except queue.Empty:
            return None
        try:
            event = decode(delivery.body)
        except BadRequest as error:
            MESSAGES.labels("in", "invalid").inc()
            log.warning("a job goes to the dead letters: %s", error)
            self._link.settle(delivery, "reject")
            return 0.0
        if delivery.channel.is_open:
            try:
                self._do(delivery, event)
            except Exception:
                # What became of it could not be kept. Unsettled, it would shut the queue.
                self._link.settle(delivery, "retry")
                raise
        return 0.0

    def _do(self, delivery: Delivery, event: Event) -> None:
        MESSAGES.labels("in", event.routing_key).inc()
        kind = event.routing_key.removeprefix("job.")
        try:
            with span_of(event):
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
            pause = min(RETRY_SECONDS * 2**delivery.tries, LONGEST_RETRY_SECONDS)
            # Two nodes that hindered each other do not meet again.
            if self._stop.wait(pause * random.uniform(0.5, 1.0)):
                return
            self._link.settle(delivery, "retry")
        else:
            JOBS.labels(kind, "done").inc()
            self._link.settle(delivery, "ack")
