"""Sends what waits in the outbox, with publisher confirms. All of it in the connection's thread."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from pika.channel import Channel
from pika.spec import Basic, BasicProperties

from minga_node import tracing
from minga_node.errors import MingaError
from minga_node.events import CONTENT_TYPE, TYPES, Outbox, WaitingEvent, traceparent_of
from minga_node.metrics import MESSAGES
from minga_node.mom.topology import Topology

log = logging.getLogger(__name__)

UNCONFIRMED = 500
"""Messages that wait for the broker's word, at most."""
FORGET_SECONDS = 0.02
"""How long confirmed messages wait for others, to leave the outbox with them."""

CONFIRM_SECONDS = 15.0
"""How long the broker may take to confirm a message, before peers are told another way."""
REFUSED_SECONDS = 1.0
"""Pause after a message that the broker could not keep."""

Later = Callable[[float, Callable[[], None]], None]
"""Calls something in the connection's thread, after so many seconds."""


class Publisher:
    """Takes the outbox in order, on one channel. What was sent and not confirmed goes again on the next.

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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox, self._topology, self._later, self._clock = outbox, topology, later, clock
        self._declare_jobs, self._lost_jobs = declare_jobs, lost_jobs
        self._channel: Channel | None = None
        self._unconfirmed: dict[int, tuple[int, float]] = {}
        """Sequence in the outbox, and when it was sent, by delivery tag."""
        self._spans: dict[int, tracing.Span] = {}
        """Spans of the traced messages that wait for the broker's word, by delivery tag."""
        self._returned: set[int] = set()
        """Sequences in the outbox of jobs that no queue took."""
        self._confirmed: list[int] = []
        self._sent = self._published = 0
        self._paused = self._refused = False
        self.kept = False
        """Whether the broker has confirmed something on this channel."""
        self._refused_since: float | None = None
        """When the broker began to refuse messages, and has kept none since."""
        self._resumed = clock()

    def opened(self, channel: Channel) -> None:
        """Begins on the channel, in confirm mode, with the oldest message."""
        self._channel = channel
        channel.add_on_return_callback(self._come_back)

    def closed(self) -> None:
        """The channel is gone. What was not confirmed goes again: twice is allowed, never is not."""
        self._channel = None
        # These would have left the outbox a moment later.
        self._forget_confirmed()
        self._end_spans(list(self._spans), "the connection was lost")

    @property
    def silent(self) -> bool:
        """Whether the broker has had a message for long and not confirmed it."""
        if self._paused or not self._unconfirmed:
            return False
        _, sent = next(iter(self._unconfirmed.values()))
        return self._clock() - max(sent, self._resumed) > CONFIRM_SECONDS

    @property
    def refused(self) -> float:
        """Seconds for which the broker has refused everything; 0 when it does not."""
        return 0.0 if self._refused_since is None else self._clock() - self._refused_since

    def pause(self) -> None:
        """The broker reads nothing for now."""
        self._paused = True

    def resume(self) -> None:
        self._paused, self._resumed = False, self._clock()
        self.pump()

    def pump(self) -> None:
        """Sends what there is, as far as the broker keeps up."""
        channel = self._channel
        room = UNCONFIRMED - len(self._unconfirmed)
        if self._paused or self._refused or channel is None or not channel.is_open or room <= 0:
            return
        try:
            found = self._outbox.after(self._sent, room)
        except MingaError as error:
            # Asked again in half a second.
            log.debug("the outbox: %s", error)
            return
        for waiting in found:
            self._send(channel, waiting)

    def _send(self, channel: Channel, waiting: WaitingEvent) -> None:
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
        self._unconfirmed[self._published] = waiting.seq, self._clock()
        MESSAGES.labels("out", TYPES[waiting.type].routing_key).inc()

    def _traced(self, waiting: WaitingEvent, exchange: str, key: str) -> dict[str, str] | None:
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
        done = [self._unconfirmed.pop(tag)[0] for tag in tags if tag in self._unconfirmed]
        refused = isinstance(method, Basic.Nack)
        if refused:
            self._rest()
        else:
            self._refused_since, self.kept = None, True
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

    def _rest(self) -> None:
        """Those that were refused go again in a moment, not at once and for ever."""
        if self._refused_since is None:
            self._refused_since = self._clock()
        if not self._refused:
            self._refused = True
            self._later(REFUSED_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._refused = False
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
