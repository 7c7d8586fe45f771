"""A node's queue of jobs, on one connection. What is wrong with it concerns nothing else.

It is a quorum queue everywhere, and such a queue can be without a leader while all others are well: RabbitMQ
3.10 answers its consumer never then, for ever where it lost the queue (docs/messages.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pika.channel import Channel

from minga_node.mom.address import reason
from minga_node.mom.consuming import consume
from minga_node.mom.declarations import Open, nothing
from minga_node.mom.own import Delivery
from minga_node.mom.topology import Topology

JOBS_AT_ONCE = 4
"""Jobs of a node that are done side by side: one that waits for its holder keeps no other waiting."""
ANSWER_SECONDS = 15.0
"""Time for the broker to say that jobs come."""
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Before it is tried again: on another channel, since the last one may never be answered."""
LOOK_TWICE_SECONDS = 2.0
"""A quorum queue without a leader says for a moment that it has no consumer."""


class JobQueue:
    """All of it in the connection's thread.

    Args:
        later: calls something in that thread after so many seconds.
        blocked: whether the broker reads nothing from this node just now.
        give: takes a job; only hands it on.
        say: told why no jobs come; "" when they do.
    """

    def __init__(
        self,
        topology: Topology,
        self_id: str,
        open_channel: Open,
        later: Callable[[float, Callable[[], None]], None],
        blocked: Callable[[], bool],
        give: Callable[[Delivery], None],
        say: Callable[[str], None],
    ) -> None:
        self._queue, self._exchange, self._self_id = topology.job_queue(self_id), topology.jobs, self_id
        self._open, self._later, self._blocked = open_channel, later, blocked
        self._give, self._say = give, say
        self._attempt = 0
        """Whoever tells of an earlier one tells nothing."""
        self._channel: Channel | None = None
        self._consuming = False
        self._pause = SHORTEST_PAUSE

    def begin(self) -> None:
        """Declares the queue, and asks for what is in it."""
        attempt = self._attempt
        self._open(lambda channel: self._ask(channel, attempt))
        self._later(ANSWER_SECONDS, lambda: self._look_for_answer(attempt))

    def _ask(self, channel: Channel, attempt: int) -> None:
        if attempt != self._attempt:
            channel.close()
            return
        self._channel = channel
        channel.add_on_close_callback(lambda _channel, why: self._failed(attempt, reason(why)))
        self._declare(channel, nothing)
        consume(
            channel,
            self._queue,
            JOBS_AT_ONCE,
            self._give,
            begun=lambda: self._begun(attempt),
            cancelled=lambda why: self._failed(attempt, why),
        )

    def _declare(self, channel: Channel, answer: Callable[[Any], None]) -> None:
        name = self._queue.name
        channel.queue_declare(name, durable=True, arguments=self._queue.arguments, callback=answer)
        channel.queue_bind(name, self._exchange, self._self_id, callback=nothing)

    def _begun(self, attempt: int) -> None:
        if attempt == self._attempt:
            self._consuming, self._pause = True, SHORTEST_PAUSE
            self._say("")

    def _look_for_answer(self, attempt: int) -> None:
        if attempt != self._attempt or self._consuming:
            return
        if self._blocked():
            self._later(ANSWER_SECONDS, lambda: self._look_for_answer(attempt))
        else:
            self._failed(attempt, "the broker does not answer")

    def _failed(self, attempt: int, why: str) -> None:
        if attempt != self._attempt:
            return
        self._attempt += 1
        channel, self._channel = self._channel, None
        if channel is not None and channel.is_open:
            channel.close()
        self._say(f"no jobs come from the queue {self._queue.name}: {why}")
        pause = SHORTEST_PAUSE / 10 if self._consuming else self._pause
        self._pause = SHORTEST_PAUSE if self._consuming else min(2 * self._pause, LONGEST_PAUSE)
        self._consuming = False
        self._later(pause, self.begin)

    def again(self, suspected: int | None = None) -> None:
        """Looks whether it is still there, bound, and consumed by this node; makes what is not."""
        attempt = self._attempt
        if not self._consuming or suspected not in {None, attempt}:
            return

        def declared(channel: Channel, frame: Any) -> None:
            channel.close()
            if frame.method.consumer_count or attempt != self._attempt:
                return
            if suspected is None:
                self._later(LOOK_TWICE_SECONDS, lambda: self.again(attempt))
            else:
                self._failed(attempt, "nobody consumes it")

        def look(channel: Channel) -> None:
            name = self._queue.name
            channel.queue_bind(name, self._exchange, self._self_id, callback=nothing)
            channel.queue_declare(
                name,
                durable=True,
                arguments=self._queue.arguments,
                callback=lambda frame: declared(channel, frame),
            )

        self._open(look)
