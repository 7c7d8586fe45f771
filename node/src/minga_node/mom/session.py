"""One connection to the broker, from its beginning to its end; all of it in the thread that runs it.

Nothing is mended on a connection that has something wrong: it ends, and the next one begins anew.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.channel import Channel
from pika.exceptions import AMQPError

from minga_node.errors import BrokerUnavailable
from minga_node.model import Letter
from minga_node.mom.address import BrokerAddress, reason
from minga_node.mom.consuming import consume
from minga_node.mom.declaration_check import DeclarationCheck
from minga_node.mom.declarations import Declarations
from minga_node.mom.job_queue import JobQueue
from minga_node.mom.owed import Owed
from minga_node.mom.own import Own
from minga_node.mom.publisher import Publisher

log = logging.getLogger(__name__)

PREFETCH = 256
"""Events that wait for their effect, at most."""
PUMP_SECONDS = 0.5
"""Time between two looks at the outbox; what is new is published at once."""
ANEW_SECONDS = 15.0
"""Time that a queue which should be another one has to become empty."""
COUNT_SECONDS = 10.0
"""Time between two looks at the number of dead letters."""
OPEN_SECONDS = 10.0
"""Time to reach the broker and for the handshakes of TLS and AMQP. Pika has a limit for the first alone."""
ANSWER_SECONDS = 15.0
"""Time for the broker to answer, when it takes messages."""
DEAD_SECONDS = 3.0
"""Time for the queue of dead letters to answer. Where its member hangs, all else goes on."""
REFUSES = "the broker refuses messages"
CLOSE_SECONDS = 1.0
"""Time for the broker to answer that it has closed. It reads nothing from a connection that it blocks."""


class _Connection(SelectConnection):
    def drop(self, why: Exception) -> None:
        """Ends it at once, without the broker's answer."""
        if not self.is_closed:
            self._terminate_stream(why)  # type: ignore[attr-defined] # the stubs leave it out


class BrokerSession:
    """Connects when made, lives in :meth:`run`, and is of no use afterwards.

    Raises:
        ConfigError: the authority's file is not as it should be.
    """

    def __init__(self, address: BrokerAddress, own: Own) -> None:
        self._address, self._own = address, own
        self._loop = IOLoop()
        self._running = True
        self._lock = threading.Lock()
        """Guards ``_running``: callbacks of other threads come before the loop is closed, or not at all."""
        self._blocked: str | None = None
        """Why, while the broker reads nothing from us."""
        self._up: float | None = None
        self._owed = Owed(
            self._later,
            lambda: self._blocked is not None,
            lambda: self._connection.drop(BrokerUnavailable("it does not answer")),
        )
        self._why = ""
        self.error: Exception | None = None
        """What ended it, unless this node did."""
        self._declarations = Declarations(
            own.topology,
            own.self_id,
            self._open,
            lambda frame: self._publisher.confirm(frame),
            self._declared,
            self._channel_closed,
        )
        self._check = DeclarationCheck(
            self._later,
            lambda: self._connected,
            lambda: self._blocked is not None,
            self._declare_again,
            self._end,
        )
        self._jobs = JobQueue(
            own.topology,
            own.self_id,
            self._open,
            self._later,
            lambda: self._blocked is not None,
            own.on_job,
            lambda what: own.standing.jobless(what) if self._connected else None,
        )
        self._publisher = Publisher(
            own.outbox, own.topology, self._declarations.jobs, self._declarations.lost_jobs, self._later
        )
        try:
            self._connection = _Connection(
                address.parameters(f"minga {own.self_id}"),
                on_open_callback=self._opened,
                on_open_error_callback=self._ended,
                on_close_callback=self._ended,
                custom_ioloop=self._loop,
            )
        except BaseException:
            self._loop.close()
            raise
        self._owed.expect(OPEN_SECONDS)

    def run(self) -> None:
        """Returns when the connection has ended; :attr:`error` says why."""
        try:
            self._loop.start()
        finally:
            with self._lock:
                self._running = False
            self._publisher.closed()
            # After an error of ours in the loop it is still open.
            with suppress(AMQPError, AssertionError, OSError):
                self._connection.drop(BrokerUnavailable("the connection is given up"))
            self._loop.close()

    @property
    def lasted(self) -> float:
        """Seconds since all was there; 0 when it never was."""
        return 0.0 if self._up is None else time.monotonic() - self._up

    # From any thread.

    def call(self, callback: Callable[[], None]) -> None:
        """Has the connection's thread do something; nothing where the session is over."""
        with self._lock:
            if self._running:
                self._loop.add_callback_threadsafe(callback)

    def wake(self) -> None:
        """Has the connection publish what is in the outbox."""
        self.call(self._publisher.pump)

    def close(self, why: str = "") -> None:
        """Ends it in order, or without order when the broker does not answer.

        Args:
            why: what is wrong; empty when nothing is.
        """
        self.call(lambda: self._end(why))

    def look(self, limit: int, answer: Future[list[Letter]]) -> None:
        """Reads dead letters, for whoever waits for the answer."""

        def do() -> None:
            if self._own.standing.state.connected:
                self._own.dead.look(self._open, limit, answer)
            else:
                answer.set_exception(BrokerUnavailable("the broker is away"))

        self.call(do)

    # How it begins.

    def _opened(self, _connection: Any) -> None:
        self._connection.add_on_connection_blocked_callback(
            lambda _connection, frame: self._block(frame.method.reason or "it does not say why")
        )
        self._connection.add_on_connection_unblocked_callback(lambda _connection, _frame: self._unblock())
        self._owed.expect(ANSWER_SECONDS)
        go_on = self._own.dead.declare(self._open, self._declarations.begin)
        self._later(DEAD_SECONDS, go_on)

    def _open(self, on_open: Callable[[Channel], None]) -> None:
        if self._connection.is_open:
            self._connection.channel(on_open_callback=on_open)

    def _declared(self, channel: Channel) -> None:
        self._publisher.opened(channel)
        self._open(self._consume)

    def _consume(self, channel: Channel) -> None:
        own = self._own
        channel.add_on_close_callback(self._channel_closed)
        queue = own.topology.event_queue(own.self_id)
        consume(channel, queue, PREFETCH, own.on_event, begun=self._consumes, cancelled=self._end)

    def _consumes(self) -> None:
        self._owed.answered()
        self._up = time.monotonic()
        self._own.standing.up(self._address)
        self._jobs.begin()
        if self._blocked is not None:
            self._own.standing.blocked(self._blocked)
        self._pump_again()
        self._count_again()
        self._check.begin()
        if self._declarations.as_it_is:
            self._later(ANEW_SECONDS, lambda: self._end("the queue of events is to be made anew"))

    # What goes on while it is connected.

    def _later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._loop.call_later(seconds, callback)

    @property
    def _connected(self) -> bool:
        return self._connection.is_open and self._up is not None

    def _pump_again(self) -> None:
        self._own.beat()
        if self._connected:
            self._publisher.pump()
            if self._own.moved(self._address):
                self._end("another broker is named")
                return
            if self._publisher.refused > self._own.patience.seconds:
                self._own.patience.lose()
                self._end(REFUSES)
                return
            self._own.standing.hindered(self._hindrance())
            self._later(PUMP_SECONDS, self._pump_again)

    def _hindrance(self) -> str:
        if self._publisher.refused:
            return REFUSES
        if self._publisher.silent:
            return "the broker confirms no messages"
        if self._publisher.kept:
            self._own.patience.regain()
        return ""

    def _count_again(self) -> None:
        if self._connected:
            if self._blocked is None:
                self._own.dead.count()
            self._later(COUNT_SECONDS, self._count_again)

    def _declare_again(self, done: Callable[[list[str]], None]) -> None:
        """Makes what has gone of all that this node needs; ``done`` gets the queues that nobody consumes."""

        def answered(deaf: list[str]) -> None:
            self._owed.answered()
            done(deaf)

        self._owed.expect(ANSWER_SECONDS)
        self._own.dead.again(self._open)
        self._jobs.again()
        self._declarations.again(answered)

    def _block(self, why: str) -> None:
        self._blocked = why
        self._publisher.pause()
        if self._connected:
            self._own.standing.blocked(why)

    def _unblock(self) -> None:
        self._blocked = None
        self._publisher.resume()
        if self._connected:
            self._own.standing.unblocked()

    # How it ends.

    def _end(self, why: str) -> None:
        self._why = self._why or why
        if self._connection.is_open:
            self._connection.close()
            self._later(CLOSE_SECONDS, lambda: self._connection.drop(BrokerUnavailable(why or "closed")))
        elif not self._connection.is_closing:
            self._connection.drop(BrokerUnavailable(why or "closed"))

    def _channel_closed(self, _channel: Channel, why: Any) -> None:
        # A channel alone that the broker closes is an error of ours or a job that took too long: begin anew.
        if self._connection.is_open:
            self._end(reason(why))

    def _ended(self, _connection: Any, why: Any) -> None:
        self.error = BrokerUnavailable(self._why) if self._why else why
        self._loop.stop()
