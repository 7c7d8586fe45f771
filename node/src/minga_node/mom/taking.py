"""Gives the events of others their effect here, batch by batch, and settles each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from minga_node import tracing
from minga_node.errors import BadRequest, MingaError, PeerMisbehaved, StorageFailed, StorageFull
from minga_node.events import Event, Outbox, decode
from minga_node.events.files import FILES, Runs, entry_of
from minga_node.index import Delta, Index
from minga_node.index.log import check_delta
from minga_node.metrics import GOSSIP_REFUSED, MESSAGES, REPEATED
from minga_node.mom.own import Delivery
from minga_node.mom.spans import span_of
from minga_node.store import Store

log = logging.getLogger(__name__)

Settle = Callable[[Delivery, str], None]
"""``ack``, ``retry`` or ``reject``."""
Handler = Callable[[Event], None]
"""Has the effect of an event, once; runs in the transaction that remembers the event."""


class EventConsumer:
    """Gives events their effect, once each, in the thread ``mom-events``.

    Args:
        handlers: by routing key, what else than the index wants to know of events.
        on_gap: called with the id of a peer whose events do not follow what is known.
        tap: hears every event that is not of a file, this node's own too.
        settle: tells the broker what became of a delivery.
    """

    def __init__(
        self,
        index: Index,
        store: Store,
        outbox: Outbox,
        handlers: Mapping[str, Handler],
        on_gap: Callable[[str], None],
        tap: Callable[[Event], None],
        settle: Settle,
    ) -> None:
        self._index, self._store, self._outbox, self._handlers = index, store, outbox, handlers
        self._on_gap, self._tap, self._settle = on_gap, tap, settle
        self._runs = Runs(
            lambda peer_id: index.logs.keys.get(peer_id) is not None,
            lambda count: GOSSIP_REFUSED.labels("unsigned").inc(count),
        )
        self._left: dict[int, Delivery] = {}
        """The deliveries of the present batch that are not settled yet."""

    def take(self, batch: Sequence[Delivery]) -> None:
        """Gives a batch its effect, then settles it.

        Raises:
            StorageFull, StorageFailed: what has had no effect is back in the queue.
        """
        self._left = {id(delivery): delivery for delivery in batch}
        try:
            self._take(batch)
        finally:
            for delivery in [*self._left.values()]:
                self._end(delivery, "retry")

    def _end(self, delivery: Delivery, how: str) -> None:
        if self._left.pop(id(delivery), None) is not None:
            self._settle(delivery, how)

    def _take(self, batch: Sequence[Delivery]) -> None:
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
        spans = [span_of(event) for _, event in files] if tracing.on() else []
        bad = self._take_files(files)
        for span in spans:
            span.end()
        for delivery, event in good:
            if delivery in bad:
                continue
            how = "ack"
            if event.routing_key not in FILES and not event.source.endswith(own):
                how = self._handle(event)
            if event.routing_key not in FILES:
                self._tap(event)
            self._end(delivery, how)

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
            with span_of(event), self._store.write() as db:
                if self._outbox.first_time(db, event):
                    handler(event)
                else:
                    REPEATED.inc()
        except (StorageFull, StorageFailed):
            raise  # It had no effect, and gossip does not bring it.
        except MingaError as error:
            log.warning("event %s: %s", event.routing_key, error)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            # Nonsense that no check foresaw must not end the consumer, nor come again for ever.
            MESSAGES.labels("in", "invalid").inc()
            log.warning("event %s goes to the dead letters: %r", event.routing_key, error)
            return "reject"
        return "ack"

    def _reject(self, delivery: Delivery, error: Exception) -> None:
        MESSAGES.labels("in", "invalid").inc()
        log.warning("a message goes to the dead letters: %s", error)
        self._end(delivery, "reject")


def _check(event: Event) -> None:
    """Judges an event of a file. Raises PeerMisbehaved where it cannot be an entry of a log."""
    entry = entry_of(event)
    versions = entry.version - 1, entry.version
    check_delta(Delta(event.text("peer"), event.number("epoch"), *versions, False, 0, [entry]))


def _tells(event: Event, delta: Delta) -> bool:
    said = event.text("peer"), event.number("epoch"), event.number("version")
    return said == (delta.peer_id, delta.epoch, delta.to_version)
