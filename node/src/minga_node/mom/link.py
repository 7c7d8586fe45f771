"""The one connection to the broker, in its own thread: publishes the outbox, consumes two queues.

pika's connection belongs to its thread; others only ever put callbacks into its loop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.channel import Channel
from pika.exceptions import AMQPError
from pika.spec import Basic, BasicProperties

from minga_node.errors import BrokerUnavailable, MingaError
from minga_node.events import Outbox
from minga_node.metrics import BROKER_CONNECTED, OUTBOX
from minga_node.model import Letter
from minga_node.mom.address import Address, reason
from minga_node.mom.backoff import Backoff
from minga_node.mom.dead import DeadLetters
from minga_node.mom.declarations import Declarations
from minga_node.mom.publisher import Publisher
from minga_node.mom.topology import Queue, Topology

log = logging.getLogger(__name__)

PREFETCH = 256
"""Events that wait for their effect, at most."""
PUMP_SECONDS = 0.5
ANEW_SECONDS = 15.0
"""Time that a queue which should be another one has to become empty."""
COUNT_SECONDS = 10.0
"""Time between two looks at the number of dead letters."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that must be settled once."""

    channel: Channel
    tag: int
    body: bytes
    tries: int
    """Deliveries before this one."""


class Link:
    """Keeps the connection, and comes back when it breaks.

    Args:
        addresses: of brokers, tried in turn.
        on_event, on_job: called in the connection's thread; they only hand the delivery on.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        topology: Topology,
        self_id: str,
        outbox: Outbox,
        on_event: Callable[[Delivery], None],
        on_job: Callable[[Delivery], None],
    ) -> None:
        self._addresses, self._topology, self._self_id = tuple(addresses), topology, self_id
        self._outbox = outbox
        self._on_event, self._on_job = on_event, on_job
        self.connected = False
        self._backoff = Backoff()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mom", daemon=True)
        self._address = self._addresses[0]
        self._loop: IOLoop | None = None
        self._loop_lock = threading.Lock()
        self._connection: SelectConnection | None = None
        self._declarations = Declarations(
            topology, self_id, self._open, self._confirmed, self._declared_all, self._channel_closed
        )
        self._publisher = Publisher(
            outbox, topology, self._declarations.jobs, self._declarations.lost_jobs, self._later
        )
        self.dead = DeadLetters(topology)
        self._said: set[str] = set()
        """What was logged since it was connected: each reason once, however often it is tried."""
        outbox.on_add.append(self.wake)

    def start(self) -> None:
        # Asked when it is scraped: it matters most while there is no connection.
        OUTBOX.set_function(self._outbox.waiting)
        self._thread.start()

    def stop(self, seconds: float = 2.0) -> None:
        """Gives the outbox a moment to empty, then closes."""
        deadline = time.monotonic() + seconds
        while self.connected and len(self._outbox) and time.monotonic() < deadline:
            self.wake()
            time.sleep(0.02)
        self._stop.set()
        self._call(self._close)
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def wake(self) -> None:
        """There is something in the outbox."""
        self._call(self._publisher.pump)

    def settle(self, delivery: Delivery, how: str) -> None:
        """From any thread: ``ack``, ``retry`` or ``reject`` (to the dead letters)."""

        def do() -> None:
            if not delivery.channel.is_open:
                return  # the broker delivers it again
            if how == "ack":
                delivery.channel.basic_ack(delivery.tag)
            else:
                delivery.channel.basic_nack(delivery.tag, requeue=how == "retry")

        self._call(do)

    def _call(self, callback: Callable[[], None]) -> None:
        with self._loop_lock:
            if self._loop is not None:
                self._loop.add_callback_threadsafe(callback)

    def _run(self) -> None:
        turn = 0
        while not self._stop.is_set():
            self._address = self._addresses[turn % len(self._addresses)]
            turn += 1
            try:
                self._session(self._address)
            except (AMQPError, OSError, ValueError, MingaError) as error:
                self._down(reason(error))
            if turn % len(self._addresses) == 0:
                self._stop.wait(self._backoff.next())

    def _session(self, address: Address) -> None:
        parameters = address.parameters(f"minga {self._self_id}")
        loop = IOLoop()
        self._connection = SelectConnection(
            parameters,
            on_open_callback=self._opened,
            on_open_error_callback=self._open_failed,
            on_close_callback=self._closed,
            custom_ioloop=loop,
        )
        with self._loop_lock:
            self._loop = loop
        try:
            loop.start()
        finally:
            with self._loop_lock:
                self._loop = None
            self.connected = False
            BROKER_CONNECTED.set(0)
            self._publisher.closed()
            loop.close()

    def _opened(self, _connection: Any) -> None:
        self.dead.declare(self._open, self._declarations.begin)

    def _open(self, on_open: Callable[[Channel], None]) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.channel(on_open_callback=on_open)

    def _open_failed(self, _connection: Any, error: Any) -> None:
        self._down(reason(error))
        self._end_loop()

    def _closed(self, _connection: Any, why: Any) -> None:
        if not self._stop.is_set():
            self._down(reason(why))
        self._end_loop()

    def _end_loop(self) -> None:
        if self._loop is not None:
            self._loop.stop()

    def _down(self, why: str) -> None:
        self.connected = False
        BROKER_CONNECTED.set(0)
        line = f"the broker {self._address} is away: {why}"
        if line not in self._said and not self._stop.is_set():
            self._said.add(line)
            log.warning("%s; messages wait, keeps trying", line)

    def _close(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
        elif self._connection is not None and not self._connection.is_closing:
            self._end_loop()

    def _channel_closed(self, _channel: Channel, why: Any) -> None:
        # A channel alone that the broker closes is an error of ours or a job that took too long: begin anew.
        connection = self._connection
        if connection is not None and connection.is_open and not self._stop.is_set():
            log.warning("the broker closed a channel: %s", why)
            connection.close()

    def _confirmed(self, frame: Any) -> None:
        self._publisher.confirm(frame)

    def _declared_all(self, channel: Channel) -> None:
        self._publisher.opened(channel)
        self._backoff.reset()
        self._said.clear()
        self.connected = True
        BROKER_CONNECTED.set(1)
        log.info("connected to the broker %s", self._address)
        own, topology = self._self_id, self._topology
        self._consume(topology.event_queue(own), PREFETCH, self._on_event)
        self._consume(topology.job_queue(own), 1, self._on_job)
        self._pump_again()
        self._count_again()
        if self._declarations.as_it_is:
            self._later(ANEW_SECONDS, channel.connection.close)

    def _consume(self, queue: Queue, prefetch: int, give: Callable[[Delivery], None]) -> None:
        def on_message(
            channel: Channel, method: Basic.Deliver, properties: BasicProperties, body: bytes
        ) -> None:
            tries = (properties.headers or {}).get("x-delivery-count", 0)
            count = tries if isinstance(tries, int) else 0
            give(Delivery(channel, int(method.delivery_tag or 0), body, count))

        def on_open(channel: Channel) -> None:
            channel.add_on_close_callback(self._channel_closed)
            channel.basic_qos(prefetch_count=prefetch)
            channel.basic_consume(queue.name, on_message)

        if self._connection is not None:
            self._connection.channel(on_open_callback=on_open)

    # What goes on while it is connected.

    def _pump_again(self) -> None:
        self._publisher.pump()
        if self._loop is not None and self.connected:
            self._loop.call_later(PUMP_SECONDS, self._pump_again)

    def _count_again(self) -> None:
        if self._loop is not None and self.connected:
            self.dead.count(self._open)
            self._loop.call_later(COUNT_SECONDS, self._count_again)

    def _later(self, seconds: float, callback: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_later(seconds, callback)

    def dead_letters(self, limit: int, seconds: float = 5.0) -> list[Letter]:
        """What could not be used, the oldest first; from any thread.

        Raises:
            BrokerUnavailable: it is away, or does not answer.
        """
        answer: Future[list[Letter]] = Future()

        def look() -> None:
            connection = self._connection
            if connection is None or not connection.is_open or not self.connected:
                answer.set_exception(BrokerUnavailable("the broker is away"))
                return
            self.dead.look(self._open, limit, answer)

        if not self.connected:
            raise BrokerUnavailable("the broker is away")
        self._call(look)
        try:
            return answer.result(seconds)
        except TimeoutError:
            raise BrokerUnavailable("the broker does not answer") from None
