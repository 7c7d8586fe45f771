"""The one connection to the broker, in its own thread: publishes the outbox, consumes two queues.

pika's connection belongs to its thread; others only ever put callbacks into its loop.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.channel import Channel
from pika.exceptions import AMQPError
from pika.spec import Basic, BasicProperties

from minga_node import tracing
from minga_node.errors import MingaError
from minga_node.events import TYPES, Outbox
from minga_node.events.cloud import CONTENT_TYPE, traceparent_of
from minga_node.events.outbox import Waiting
from minga_node.metrics import BROKER_CONNECTED, MESSAGES, OUTBOX
from minga_node.mom.backoff import Backoff
from minga_node.mom.topology import Queue, Topology

log = logging.getLogger(__name__)

PREFETCH = 256
"""Events that wait for their effect, at most."""
UNCONFIRMED = 500
"""Messages that wait for the broker's word, at most."""
HEARTBEAT = 20
PUMP_SECONDS = 0.5


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
        urls: addresses of brokers, tried in turn.
        on_event, on_job: called in the connection's thread; they only hand the delivery on.
    """

    def __init__(
        self,
        urls: Sequence[str],
        topology: Topology,
        self_id: str,
        outbox: Outbox,
        on_event: Callable[[Delivery], None],
        on_job: Callable[[Delivery], None],
    ) -> None:
        self._urls, self._topology, self._self_id, self._outbox = tuple(urls), topology, self_id, outbox
        self._on_event, self._on_job = on_event, on_job
        self.connected = False
        self._backoff = Backoff()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mom", daemon=True)
        self._loop: IOLoop | None = None
        self._loop_lock = threading.Lock()
        self._connection: SelectConnection | None = None
        self._publishing: Channel | None = None
        self._unconfirmed: dict[int, int] = {}
        """Sequence in the outbox by delivery tag."""
        self._spans: dict[int, tracing.Span] = {}
        """Of traced messages that wait for the broker's word, by delivery tag."""
        self._confirmed: list[int] = []
        self._sent = self._published = 0
        self._said_down = False
        self._declared: set[str] = set()
        outbox.on_add.append(self.wake)

    def start(self) -> None:
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
        self._call(self._pump)

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
            url = self._urls[turn % len(self._urls)]
            turn += 1
            try:
                self._session(url)
            except (AMQPError, OSError, ValueError, MingaError) as error:
                self._down(str(error) or type(error).__name__)
            if turn % len(self._urls) == 0:
                self._stop.wait(self._backoff.next())

    def _session(self, url: str) -> None:
        parameters = pika.URLParameters(url)
        parameters.heartbeat = HEARTBEAT
        parameters.socket_timeout = 5
        parameters.blocked_connection_timeout = 60
        parameters.client_properties = {"connection_name": f"minga {self._self_id}"}
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
            self._publishing = None
            loop.close()

    def _opened(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._declare)

    def _open_failed(self, _connection: Any, error: Any) -> None:
        self._down(str(error) or type(error).__name__)
        self._end_loop()

    def _closed(self, _connection: Any, reason: Any) -> None:
        if not self._stop.is_set():
            self._down(str(reason))
        self._end_loop()

    def _end_loop(self) -> None:
        if self._loop is not None:
            self._loop.stop()

    def _down(self, why: str) -> None:
        self.connected = False
        BROKER_CONNECTED.set(0)
        if not self._said_down and not self._stop.is_set():
            self._said_down = True
            log.warning("the broker is away (%s); messages wait, keeps trying", why)

    def _close(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
        elif self._connection is not None and not self._connection.is_closing:
            self._end_loop()

    def _channel_closed(self, _channel: Channel, reason: Any) -> None:
        # A channel alone that the broker closes is an error of ours or a job that took too long: begin anew.
        connection = self._connection
        if connection is not None and connection.is_open and not self._stop.is_set():
            log.warning("the broker closed a channel: %s", reason)
            connection.close()

    # Declarations: answered in order on one channel, so the last answer says that all is there.

    def _declare(self, channel: Channel) -> None:
        topology, own = self._topology, self._self_id
        channel.add_on_close_callback(self._channel_closed)
        self._declared = set()
        channel.exchange_declare(topology.events, "topic", durable=True, callback=_nothing)
        channel.exchange_declare(topology.jobs, "direct", durable=True, callback=_nothing)
        channel.exchange_declare(topology.dead, "fanout", durable=True, callback=_nothing)
        self._declare_queue(channel, topology.dead_queue(), topology.dead, "")
        self._declare_queue(channel, topology.event_queue(own), topology.events, "#")
        self._declare_queue(channel, topology.job_queue(own), topology.jobs, own)
        channel.confirm_delivery(
            ack_nack_callback=self._confirm, callback=lambda _frame: self._declared_all(channel)
        )

    def _declare_queue(self, channel: Channel, queue: Queue, exchange: str, key: str) -> None:
        channel.queue_declare(queue.name, durable=True, arguments=queue.arguments, callback=_nothing)
        channel.queue_bind(queue.name, exchange, key, callback=_nothing)
        self._declared.add(queue.name)

    def _declared_all(self, channel: Channel) -> None:
        self._publishing = channel
        # What was not confirmed goes again: twice is allowed, never is not.
        self._unconfirmed.clear()
        self._end_spans(list(self._spans), "the connection was lost")
        self._sent = self._published = 0
        self._backoff.reset()
        self.connected, self._said_down = True, False
        BROKER_CONNECTED.set(1)
        log.info("connected to the broker")
        own, topology = self._self_id, self._topology
        self._consume(topology.event_queue(own), PREFETCH, self._on_event)
        self._consume(topology.job_queue(own), 1, self._on_job)
        self._pump_again()

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

    # Publishing.

    def _pump_again(self) -> None:
        self._pump()
        if self._loop is not None and self.connected:
            OUTBOX.set(len(self._outbox))
            self._loop.call_later(PUMP_SECONDS, self._pump_again)

    def _pump(self) -> None:
        channel = self._publishing
        room = UNCONFIRMED - len(self._unconfirmed)
        if channel is None or not channel.is_open or room <= 0:
            return
        plain = BasicProperties(content_type=CONTENT_TYPE, delivery_mode=2)
        for waiting in self._outbox.after(self._sent, room):
            self._sent = waiting.seq
            if waiting.target:
                queue = self._topology.job_queue(waiting.target)
                if queue.name not in self._declared:
                    # It may never have been there; a job must not be lost for that.
                    self._declare_queue(channel, queue, self._topology.jobs, waiting.target)
            exchange = self._topology.jobs if waiting.target else self._topology.events
            key = waiting.target or TYPES[waiting.type].routing_key
            self._published += 1
            properties = self._traced(waiting, exchange, key) if tracing.on() else plain
            channel.basic_publish(exchange, key, waiting.body, properties)
            self._unconfirmed[self._published] = waiting.seq
            MESSAGES.labels("out", TYPES[waiting.type].routing_key).inc()

    def _traced(self, waiting: Waiting, exchange: str, key: str) -> BasicProperties:
        """A message's properties; its span ends with the broker's word."""
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
        headers = {tracing.TRACEPARENT: parent} if parent else None
        return BasicProperties(content_type=CONTENT_TYPE, delivery_mode=2, headers=headers)

    def _end_spans(self, tags: Sequence[int], error: str = "") -> None:
        for tag in tags:
            span = self._spans.pop(tag, tracing.NOTHING)
            if error:
                span.fail(error)
            span.end()

    def _confirm(self, frame: Any) -> None:
        method = frame.method
        tags = (
            [tag for tag in self._unconfirmed if tag <= method.delivery_tag]
            if method.multiple
            else [method.delivery_tag]
        )
        done = [self._unconfirmed.pop(tag) for tag in tags if tag in self._unconfirmed]
        refused = isinstance(method, Basic.Nack)
        self._end_spans(tags, "refused by the broker" if refused else "")
        if refused:
            # The broker could not keep them: from the oldest again.
            self._sent = min(self._sent, *(seq - 1 for seq in done)) if done else self._sent
        elif done:
            if not self._confirmed and self._loop is not None:
                self._loop.call_later(0.02, self._forget_confirmed)
            self._confirmed += done
        self._pump()

    def _forget_confirmed(self) -> None:
        done, self._confirmed = self._confirmed, []
        try:
            self._outbox.confirmed(done)
        except MingaError as error:
            # Sent again one day, and known by its id.
            log.warning("the outbox: %s", error)


def _nothing(_frame: object) -> None:
    pass
