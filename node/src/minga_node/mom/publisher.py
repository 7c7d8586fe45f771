"""Sends what waits in the outbox, with publisher confirms. All of it in the connection's thread."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

from pika.channel import Channel
from pika.spec import Basic, BasicProperties

from minga_node import tracing
from minga_node.errors import MingaError
from minga_node.events import TYPES, Outbox
from minga_node.events.cloud import CONTENT_TYPE, traceparent_of
from minga_node.events.outbox import Waiting
from minga_node.metrics import MESSAGES
from minga_node.mom.topology import Topology

log = logging.getLogger(__name__)

UNCONFIRMED = 500
"""Messages that wait for the broker's word, at most."""
FORGET_SECONDS = 0.02
"""For which confirmed messages wait for others to leave the outbox with them."""

Later = Callable[[float, Callable[[], None]], None]
"""Calls something in the connection's thread, after so many seconds."""


class Publisher:
    """Takes the outbox in order. What was sent and not confirmed when a channel ends goes again on the next.

    Args:
        declare_jobs: sees to it that a node's queue of jobs is there, on this channel;
        lost_jobs: that it is declared again the next time.
    """

    def __init__(
        self,
        outbox: Outbox,
        topology: Topology,
        declare_jobs: Callable[[Channel, str], None],
        lost_jobs: Callable[[str], None],
        later: Later,
    ) -> None:
        self._outbox, self._topology, self._later = outbox, topology, later
        self._declare_jobs, self._lost_jobs = declare_jobs, lost_jobs
        self._channel: Channel | None = None
        self._unconfirmed: dict[int, int] = {}
        """Sequence in the outbox by delivery tag."""
        self._spans: dict[int, tracing.Span] = {}
        """Of traced messages that wait for the broker's word, by delivery tag."""
        self._returned: set[int] = set()
        """Sequences in the outbox of jobs that no queue took."""
        self._confirmed: list[int] = []
        self._sent = self._published = 0

    def opened(self, channel: Channel) -> None:
        """Begins on a new channel, in confirm mode, with the oldest message."""
        self._channel = channel
        # The connection may have ended before these left the outbox; nobody would come back to them.
        self._forget_confirmed()
        # What was not confirmed goes again: twice is allowed, never is not.
        self._unconfirmed.clear()
        self._returned.clear()
        channel.add_on_return_callback(self._come_back)
        self._end_spans(list(self._spans), "the connection was lost")
        self._sent = self._published = 0

    def closed(self) -> None:
        self._channel = None

    def pump(self) -> None:
        """Sends what there is, as far as the broker keeps up."""
        channel = self._channel
        room = UNCONFIRMED - len(self._unconfirmed)
        if channel is None or not channel.is_open or room <= 0:
            return
        for waiting in self._outbox.after(self._sent, room):
            self._sent = waiting.seq
            if waiting.target:
                # It may never have been there; a job must not be lost for that.
                self._declare_jobs(channel, waiting.target)
            exchange = self._topology.jobs if waiting.target else self._topology.events
            key = waiting.target or TYPES[waiting.type].routing_key
            self._published += 1
            properties = BasicProperties(
                content_type=CONTENT_TYPE,
                delivery_mode=2,
                message_id=str(waiting.seq) if waiting.target else None,
                headers=self._traced(waiting, exchange, key) if tracing.on() else None,
            )
            # The broker confirms also what it has no queue for; such a job has to come back.
            channel.basic_publish(exchange, key, waiting.body, properties, mandatory=bool(waiting.target))
            self._unconfirmed[self._published] = waiting.seq
            MESSAGES.labels("out", TYPES[waiting.type].routing_key).inc()

    def _traced(self, waiting: Waiting, exchange: str, key: str) -> dict[str, str] | None:
        """A message's headers; its span ends with the broker's word."""
        parent = traceparent_of(json.loads(waiting.body))
        if parent:
            attributes = {
                "messaging.system": "rabbitmq",
                "messaging.operation.name": "send",
                "messaging.destination.name": exchange,
                "messaging.rabbitmq.destination.routing_key": key,
            }
            self._spans[self._published] = tracing.span(
                f"send {exchange}", "client", attributes, parent=parent
            )
        return {tracing.TRACEPARENT: parent} if parent else None

    def _end_spans(self, tags: Sequence[int], error: str = "") -> None:
        for tag in tags:
            span = self._spans.pop(tag, tracing.NOTHING)
            if error:
                span.fail(error)
            span.end()

    def _come_back(
        self, _channel: Channel, method: Basic.Return, properties: BasicProperties, _body: bytes
    ) -> None:
        """A job that no queue took: somebody has removed it. The confirmation comes after this."""
        self._returned.add(int(properties.message_id or 0))
        self._lost_jobs(str(method.routing_key))

    def confirm(self, frame: Any) -> None:
        """The broker's word: it has messages, or could not keep them."""
        method = frame.method
        tags = (
            [tag for tag in self._unconfirmed if tag <= method.delivery_tag]
            if method.multiple
            else [method.delivery_tag]
        )
        done = [self._unconfirmed.pop(tag) for tag in tags if tag in self._unconfirmed]
        refused = isinstance(method, Basic.Nack)
        self._end_spans(tags, "refused by the broker" if refused else "")
        again = done if refused else [seq for seq in done if seq in self._returned]
        if again:
            # From the oldest of them.
            self._sent = min(self._sent, *(seq - 1 for seq in again))
            self._returned.difference_update(again)
            done = [seq for seq in done if seq not in again]
        if done:
            if not self._confirmed:
                self._later(FORGET_SECONDS, self._forget_confirmed)
            self._confirmed += done
        self.pump()

    def _forget_confirmed(self) -> None:
        done, self._confirmed = self._confirmed, []
        if not done:
            return
        try:
            self._outbox.confirmed(done)
        except MingaError as error:
            # Sent again one day, and known by its id.
            log.warning("the outbox: %s", error)
