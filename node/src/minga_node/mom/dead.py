"""The dead letters: how many there are, and what they are, without taking them away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker
from pika.spec import Basic, BasicProperties

from minga_node.errors import BrokerUnavailable
from minga_node.metrics import DEAD_LETTERS
from minga_node.model import Letter
from minga_node.mom.declarations import Open, nothing
from minga_node.mom.topology import Topology

log = logging.getLogger(__name__)

MOST_LETTERS = 100
"""Letters shown at once."""
SHOWN_BYTES = 4096
"""Bytes of a letter's body that are shown."""


class DeadLetters:
    """The queue of dead letters, seen by the one connection, in whose thread all but :meth:`found` runs."""

    def __init__(self, topology: Topology) -> None:
        self._queue, self._exchange = topology.dead_queue(), topology.dead
        self._channel: Channel | None = None
        self._said = ""
        self._declaring = False
        """Whether the broker owes its word on the queue."""

    def declare(self, open_channel: Open, then: Callable[[], None]) -> Callable[[], None]:
        """Declares exchange and queue, and goes on, also when the broker has something against the queue.

        For it is on a channel of its own: the queue is at one member of a broker of several, and while that
        one is away nobody can declare it. Then there are no dead letters for a while; all else goes on.

        Returns:
            What goes on without an answer, if it did not yet.
        """
        self._declaring = True
        ended = False

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                then()

        def on_close(_channel: Channel, why: Any) -> None:
            self._channel, self._declaring = None, False
            if isinstance(why, ChannelClosedByBroker):
                if why.reply_text != self._said:
                    log.warning("no dead letters for now: %s", why.reply_text)
                self._said = why.reply_text
                end()

        def on_open(channel: Channel) -> None:
            channel.add_on_close_callback(on_close)
            channel.exchange_declare(self._exchange, "fanout", durable=True, callback=nothing)
            channel.queue_declare(
                self._queue.name, durable=True, arguments=self._queue.arguments, callback=nothing
            )
            channel.queue_bind(self._queue.name, self._exchange, "", callback=lambda _frame: ready(channel))

        def ready(channel: Channel) -> None:
            self._channel, self._said, self._declaring = channel, "", False
            end()

        open_channel(on_open)
        return end

    def again(self, open_channel: Open) -> None:
        """Declares once more what may have been removed, or could not be declared before."""
        channel = self._channel
        if channel is not None and channel.is_open:
            channel.exchange_declare(self._exchange, "fanout", durable=True, callback=nothing)
            channel.queue_bind(self._queue.name, self._exchange, "", callback=nothing)
        elif not self._declaring:
            self.declare(open_channel, lambda: None)

    def count(self) -> None:
        """Has the metric tell how many there are, where that can be known."""
        if self._channel is None or not self._channel.is_open:
            return
        self._channel.queue_declare(
            self._queue.name,
            passive=True,
            callback=lambda frame: DEAD_LETTERS.set(frame.method.message_count),
        )

    def look(
        self,
        open_channel: Open,
        limit: int,
        answer: Future[list[Letter]],
    ) -> None:
        """Reads up to ``limit`` letters; they go back when their channel closes, in the same order."""
        found: list[Letter] = []

        def end(channel: Channel) -> None:
            if channel.is_open:
                channel.close()
            if not answer.done():
                answer.set_result(found)

        def on_letter(
            channel: Channel, _method: Basic.GetOk, properties: BasicProperties, body: bytes
        ) -> None:
            found.append(_letter(properties, body))
            if len(found) < limit:
                channel.basic_get(self._queue.name, on_letter)
            else:
                end(channel)

        def on_close(_channel: Channel, reason: Any) -> None:
            if not answer.done():
                answer.set_exception(BrokerUnavailable(f"the broker went away: {reason}"))

        def on_open(channel: Channel) -> None:
            channel.add_on_close_callback(on_close)
            channel.add_callback(lambda _frame: end(channel), [Basic.GetEmpty])
            channel.basic_get(self._queue.name, on_letter)

        open_channel(on_open)


def _letter(properties: BasicProperties, body: bytes) -> Letter:
    headers: Mapping[str, Any] = properties.headers or {}
    deaths = headers.get("x-death") or [{}]
    death: Mapping[str, Any] = deaths[0] if isinstance(deaths[0], dict) else {}
    when = death.get("time")
    return Letter(
        str(death.get("queue", "")),
        str(death.get("reason", "")),
        int(when.timestamp() * 1000) if when is not None else 0,
        body[:SHOWN_BYTES].decode(errors="replace"),
    )
