"""What a node declares at the broker: in order on one channel, so the last answer says that all is there.

All but its own queue of jobs: see :mod:`.job_queue`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from minga_node.mom.topology import Queue, Topology

log = logging.getLogger(__name__)

Open = Callable[[Callable[[Channel], None]], object]
"""Opens a channel and calls with it."""


def nothing(_frame: object) -> None:
    """Takes an answer that only has to come: the broker closes the channel where it refuses."""


class Declarations:
    """Declares the exchanges and queues of one node on one connection, in the connection's thread.

    Args:
        open_channel: of the connection.
        confirm: called for each confirmation of what is published on that channel.
        ready: called with the channel when all is declared.
        failed: called when the broker closed a channel, with what it said.
    """

    def __init__(
        self,
        topology: Topology,
        self_id: str,
        open_channel: Open,
        confirm: Callable[[Any], None],
        ready: Callable[[Channel], None],
        failed: Callable[[Channel, Any], None],
    ) -> None:
        self._topology = topology
        self._open, self._confirm = open_channel, confirm
        self._ready, self._failed = ready, failed
        self._events = topology.event_queue(self_id)
        self._declared: set[str] = set()
        self.as_it_is = False
        """Whether the queue of events is used as somebody declared it before, for this connection."""

    def begin(self) -> None:
        """Declares all that a node uses, on a new connection."""
        self._open(self._declare)

    def jobs(self, channel: Channel, peer_id: str) -> None:
        """Declares the queue of another node's jobs: it may never have been here. What is published on the
        channel from now on finds it.
        """
        queue = self._topology.job_queue(peer_id)
        if queue.name not in self._declared:
            # pika sends nothing else that has an answer until that is here, but it would send a message.
            self._queue(channel, queue, self._topology.jobs, peer_id, answer=None)

    def lost_jobs(self, peer_id: str) -> None:
        """The queue of a node's jobs is no longer there, or not bound."""
        self._declared.discard(self._topology.job_queue(peer_id).name)

    def again(self, done: Callable[[list[str]], None]) -> None:
        """Declares it all once more, which changes nothing that is as it should be.

        Args:
            done: called with the own queues that nobody consumes: they were removed, and are new.
        """
        deaf: list[str] = []

        def consumed(frame: Any) -> None:
            if frame.method.consumer_count == 0:
                deaf.append(frame.method.queue)

        def end(channel: Channel) -> None:
            channel.close()
            done(deaf)

        def declare(channel: Channel) -> None:
            channel.add_on_close_callback(self._closed_again)
            self._exchanges(channel)
            passive = self.as_it_is
            self._queue(channel, self._events, self._topology.events, "#", passive=passive, answer=consumed)
            # Any answer will do: it comes after all the others.
            channel.basic_qos(prefetch_count=1, callback=lambda _frame: end(channel))

        # The queues of other nodes are declared again before the next job for each of them.
        self._declared = {self._events.name}
        self._open(declare)

    def _declare(self, channel: Channel) -> None:
        topology = self._topology
        channel.add_on_close_callback(self._closed)
        self._exchanges(channel)
        self._queue(channel, self._events, topology.events, "#", passive=self.as_it_is)
        channel.confirm_delivery(
            ack_nack_callback=self._confirm, callback=lambda _frame: self._ready(channel)
        )

    def _exchanges(self, channel: Channel) -> None:
        topology = self._topology
        channel.exchange_declare(topology.dead, "fanout", durable=True, callback=nothing)
        channel.exchange_declare(topology.events, "topic", durable=True, callback=nothing)
        channel.exchange_declare(topology.jobs, "direct", durable=True, callback=nothing)
        channel.exchange_declare(topology.spoilt, "headers", durable=True, callback=nothing)
        for arguments in topology.spoilt_bindings():
            channel.exchange_bind(topology.dead, topology.spoilt, "", arguments, callback=nothing)

    def _queue(
        self,
        channel: Channel,
        queue: Queue,
        exchange: str,
        key: str,
        *,
        passive: bool = False,
        answer: Callable[[Any], None] | None = nothing,
    ) -> None:
        channel.queue_declare(
            queue.name, passive=passive, durable=True, arguments=queue.arguments, callback=answer
        )
        channel.queue_bind(queue.name, exchange, key, callback=nothing if answer is not None else None)
        self._declared.add(queue.name)

    def _closed(self, channel: Channel, why: Any) -> None:
        if self._declared_otherwise(why) and not self.as_it_is:
            self._open(self._declare_anew)
        else:
            self._failed(channel, why)

    def _closed_again(self, channel: Channel, why: Any) -> None:
        if isinstance(why, ChannelClosedByBroker):
            self._failed(channel, why)

    def _declared_otherwise(self, why: Any) -> bool:
        """Whether our queue of events has other arguments, most likely from an earlier version."""
        refused = isinstance(why, ChannelClosedByBroker) and why.reply_code == 406
        return refused and f"'{self._events.name}'" in why.reply_text

    def _declare_anew(self, channel: Channel) -> None:
        """Removes our queue of events if it is empty; else it is used as it is, by this connection."""
        self.as_it_is = True

        def gone(_frame: object) -> None:
            log.info("the queue of events had been declared otherwise, and is made anew")
            self.as_it_is = False
            channel.close()

        channel.add_on_close_callback(lambda _channel, _why: self._open(self._declare))
        channel.queue_delete(self._events.name, if_empty=True, callback=gone)
