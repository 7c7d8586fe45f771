"""Keeps a node at its broker: one connection after the other, in a thread of its own.

pika's connection belongs to its thread; others only ever put callbacks into its loop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from pika.exceptions import AMQPError

from minga_node.errors import BrokerUnavailable, MingaError
from minga_node.events import Outbox
from minga_node.metrics import OUTBOX
from minga_node.model import Letter
from minga_node.mom.address import BrokerAddress, reason, refused
from minga_node.mom.addresses import BrokerAddresses
from minga_node.mom.backoff import Backoff
from minga_node.mom.dead import DeadLetters
from minga_node.mom.own import Delivery, Own, RetryPatience
from minga_node.mom.session import BrokerSession
from minga_node.mom.standing import Standing
from minga_node.mom.topology import Topology
from minga_node.workers import Loop

log = logging.getLogger(__name__)

STUCK_SECONDS = 60.0
"""How long the connection's thread may give no sign of life: longer than any answer of the broker takes."""
WATCH_SECONDS = 1.0
"""Time between two looks at a file of addresses."""
LEAST_SECONDS = 0.1
"""Time between two tries, however long the first one took."""
LASTED_SECONDS = 10.0
"""A connection that lasted so long is no sign of trouble: after it the pauses are short again."""


class Link:
    """Connects, and comes back when a connection ends.

    Args:
        addresses: of brokers, tried in turn.
        on_event, on_job: called in the connection's thread; they only hand the delivery on.
    """

    def __init__(
        self,
        addresses: BrokerAddresses,
        topology: Topology,
        self_id: str,
        outbox: Outbox,
        on_event: Callable[[Delivery], None],
        on_job: Callable[[Delivery], None],
    ) -> None:
        self._addresses, self._outbox = addresses, outbox
        self.standing = Standing()
        self._own = Own(
            topology,
            self_id,
            outbox,
            DeadLetters(topology),
            self.standing,
            RetryPatience(),
            addresses.moved,
            self._beat,
            on_event,
            on_job,
        )
        self._backoff = Backoff()
        self._stop = threading.Event()
        self.worker = Loop("mom", self._run, stuck_after=STUCK_SECONDS)
        self._session: BrokerSession | None = None
        """Written by the connection's thread alone."""
        outbox.on_add.append(self.wake)

    def start(self) -> None:
        # Asked when it is scraped: it matters most while there is no connection.
        OUTBOX.set_function(self._outbox.waiting)
        self.worker.start()

    def stop(self, seconds: float = 2.0) -> None:
        """Gives the outbox a moment to empty, then closes."""
        deadline = time.monotonic() + seconds
        while self.standing.state.carries and len(self._outbox) and time.monotonic() < deadline:
            self.wake()
            time.sleep(0.02)
        self._stop.set()
        self.worker.end()
        if session := self._session:
            session.close()
        self.worker.stop(5.0)

    def wake(self) -> None:
        """There is something in the outbox."""
        if session := self._session:
            session.wake()

    def settle(self, delivery: Delivery, how: str) -> None:
        """From any thread: ``ack``, ``retry`` or ``reject`` (to the dead letters)."""

        def do() -> None:
            if not delivery.channel.is_open:
                return  # the broker delivers it again
            if how == "ack":
                delivery.channel.basic_ack(delivery.tag)
            else:
                delivery.channel.basic_nack(delivery.tag, requeue=how == "retry")

        if session := self._session:
            session.call(do)

    def dead_letters(self, limit: int, seconds: float = 5.0) -> list[Letter]:
        """What could not be used, the oldest first; from any thread.

        Raises:
            BrokerUnavailable: it is away, or does not answer.
        """
        session, state = self._session, self.standing.state
        if session is None or not state.connected:
            raise BrokerUnavailable("the broker is away")
        if state.blocked:
            raise BrokerUnavailable(state.problem)
        answer: Future[list[Letter]] = Future()
        session.look(limit, answer)
        try:
            return answer.result(seconds)
        except TimeoutError:
            raise BrokerUnavailable("the broker does not answer") from None

    def _run(self) -> None:
        # Not the worker's flag: at the end of a node what it says last is still to be told.
        while not self._stop.is_set():
            began = time.monotonic()
            pause = self._round()
            self._wait(max(began + pause, time.monotonic() + LEAST_SECONDS))
        self.standing.ended()

    def _beat(self) -> None:
        self.worker.beat()

    def _round(self) -> float:
        """Tries every address once; seconds from its beginning to that of the next round."""
        try:
            addresses = self._addresses.read()
        except MingaError as error:
            self.standing.down(None, str(error))
            return self._backoff.next()
        refusals = 0
        for address in addresses:
            self._beat()
            ended = self._connect(address)
            if self._stop.is_set():
                return 0.0
            self.standing.down(address, reason(ended))
            if self._addresses.changed():
                return 0.0
            refusals += refused(ended)
        return self._backoff.next(refused=refusals == len(addresses))

    def _connect(self, address: BrokerAddress) -> Exception:
        """One connection, to its end; what ended it."""
        try:
            session = self._session = BrokerSession(address, self._own)
            if self._stop.is_set():
                session.close()
            session.run()
            if session.lasted > LASTED_SECONDS:
                self._backoff.reset()
        except (AMQPError, OSError, ValueError, MingaError) as error:
            return error
        except Exception as error:
            # An error of pika or of ours: the node goes on without the broker.
            log.exception("the connection to the broker %s is given up", address)
            return BrokerUnavailable(f"an error in this node: {error!r}")
        finally:
            self._session = None
        return session.error or BrokerUnavailable("the connection ended")

    def _wait(self, until: float) -> None:
        """Less long when there are other addresses, or the node ends."""
        while (left := until - time.monotonic()) > 0:
            self._beat()
            if self._stop.wait(min(left, WATCH_SECONDS)) or self._addresses.changed():
                return
