"""The threads that receive: few, each for many connections.

A thread for each connection would be woken for each answer, and all of them would wait for each other at the
interpreter's lock. One is enough for most links; where it has no time left, half of its connections go to
another one.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappop, heappush

from minga_node.fetching.steps import Steps
from minga_node.fetching.stream import ByteStream

log = logging.getLogger(__name__)

THREADS = min(4, os.cpu_count() or 1)
"""At most, of one download. What they do is mostly done without the interpreter's lock."""
LOOK = 0.25
"""Seconds between looks for connections on which nothing comes, and at how busy a thread is."""
BUSY = 0.6
"""Of a processor's time; a thread that takes more may be what holds a download up."""


class IoThreads:
    """Those of one download; each begins when there is something for it.

    Args:
        clock: seconds, of which a thread's share of a processor is counted.
    """

    def __init__(self, threads: int = THREADS, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = threads
        self._clock = clock
        self._loops: list[_Loop] = []
        self._lock = threading.Lock()
        self._stopped = False

    def add(self, stream: ByteStream, steps: Steps[None], *, apart: bool = False) -> bool:
        """Does the steps of a connection, which close it at their end. False if no more is received.

        ``apart``: in another thread than the first, as what comes on one other connection fills that.
        """
        with self._lock:
            if self._stopped:
                return False
            wanted = min(2 if apart else 1, self._most)
            while len(self._loops) < wanted:
                self._loops.append(_Loop(self._spread, self._clock))
            self._loops[wanted - 1].add(_Connection(stream, steps))
            return True

    def stop(self, timeout: float) -> None:
        """Ends all of it; nobody writes any more then."""
        with self._lock:
            self._stopped = True
        for loop in self._loops:
            loop.stop()
        for loop in self._loops:
            loop.join(timeout)

    @property
    def threads(self) -> int:
        return len(self._loops)

    def _spread(self) -> _Loop | None:
        """Where a busy thread's connections may go."""
        with self._lock:
            if self._stopped:
                return None
            idle = min(self._loops, key=lambda loop: loop.busy)
            if idle.busy < BUSY / 2:
                return idle
            if len(self._loops) == self._most:
                return None
            self._loops.append(_Loop(self._spread, self._clock))
            return self._loops[-1]


@dataclass(slots=True, eq=False)
class _Connection:
    stream: ByteStream
    steps: Steps[None]
    begun: bool = False
    until: float = 0.0
    """When it has waited for long enough."""
    descriptor: int = -1
    pauses: bool = False
    events: int = 0
    """Of epoll, that it is registered for."""
    count: int = 0
    """Steps since the last look."""


class _Loop:
    """One thread.

    Args:
        spread: finds another one that has time; None if there is none.
        clock: seconds, of which its share of a processor is counted.
    """

    def __init__(self, spread: Callable[[], _Loop | None], clock: Callable[[], float]) -> None:
        self._spread = spread
        self._clock = clock
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._pausing: list[tuple[float, int, _Connection]] = []
        self._new: deque[_Connection] = deque()
        self._filled: deque[_Connection] = deque()
        """On which some waits to be sent."""
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_write.setblocking(False)
        self._epoll.register(self._wake_read.fileno(), select.EPOLLIN)
        self._looked = time.monotonic()
        self._passed, self._spent = clock(), 0.0
        self.busy = 0.0
        """The part of a processor's time that it took lately."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="receiving", daemon=True)
        self._thread.start()

    def add(self, connection: _Connection) -> None:
        self._new.append(connection)
        self._wake()

    def stop(self) -> None:
        self._stopping = True
        self._wake()

    def join(self, timeout: float) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _wake(self) -> None:
        with suppress(OSError):  # it is awake, or has ended
            self._wake_write.send(b"x")

    def _run(self) -> None:
        try:
            while not self._stopping:
                while self._filled:
                    self._listen(self._filled.popleft())
                wait = LOOK
                if self._pausing:
                    wait = max(0.0, min(wait, self._pausing[0][0] - time.monotonic()))
                for descriptor, events in self._epoll.poll(wait):
                    connection = self._connections.get(descriptor)
                    if connection is not None:
                        self._happened(connection, events)
                    elif descriptor == self._wake_read.fileno():
                        self._wake_read.recv(64)
                while self._new:
                    self._begin(self._new.popleft())
                now = time.monotonic()
                self._resume(now)
                if now - self._looked >= LOOK:
                    self._look(now)
        finally:
            self._end()

    def _begin(self, connection: _Connection) -> None:
        connection.descriptor = connection.stream.fileno()
        self._connections[connection.descriptor] = connection
        connection.stream.on_full = lambda: self._fills(connection)
        try:
            self._listen(connection)
        except OSError:
            # It cannot be waited for, as there is no memory or no such socket: the others go on.
            log.warning("a connection to a holder cannot be waited for", exc_info=True)
            connection.steps.close()
            del self._connections[connection.descriptor]
            return
        if not connection.begun:
            self._step(connection, there=None)

    def _fills(self, connection: _Connection) -> None:
        """Some waits to be sent on it; told by whoever writes."""
        self._filled.append(connection)
        if threading.current_thread() is not self._thread:
            self._wake()

    def _listen(self, connection: _Connection) -> None:
        """Waits for what can be done next on a connection."""
        if self._connections.get(connection.descriptor) is not connection:
            return
        events = connection.stream.events | (0 if connection.pauses else select.EPOLLIN)
        if events == connection.events:
            return
        if not connection.events:
            self._epoll.register(connection.descriptor, events)
        elif events:
            self._epoll.modify(connection.descriptor, events)
        else:
            # While it pauses nobody wants to hear that it has ended.
            self._epoll.unregister(connection.descriptor)
        connection.events = events

    def _happened(self, connection: _Connection, events: int) -> None:
        if connection.stream.full:
            # An error shows when it is read, too.
            with suppress(OSError):
                connection.stream.flush()
            self._listen(connection)
            if not events & ~select.EPOLLOUT:
                return
        if not connection.pauses:
            self._step(connection, there=True)

    def _resume(self, now: float) -> None:
        while self._pausing and self._pausing[0][0] <= now:
            connection = heappop(self._pausing)[2]
            connection.pauses = False
            self._listen(connection)
            self._step(connection, there=True)

    def _look(self, now: float) -> None:
        passed, spent = self._clock(), time.thread_time()
        self.busy = (spent - self._spent) / max(passed - self._passed, 1e-9)
        self._passed, self._spent, self._looked = passed, spent, now
        for connection in self._connections.values():
            if connection.stream.unread(now):
                # Whoever reads sees it.
                with suppress(OSError):
                    connection.stream.shutdown()
        waiting = [connection for connection in self._connections.values() if not connection.pauses]
        for connection in waiting:
            if connection.until < now:
                self._step(connection, there=False)
        if self.busy > BUSY and len(waiting) > 1 and (other := self._spread()) is not None:
            waiting.sort(key=lambda connection: connection.count)
            for connection in waiting[-2::-2]:
                if connection.descriptor in self._connections:
                    self._epoll.unregister(connection.descriptor)
                    connection.events = 0
                    del self._connections[connection.descriptor]
                    other.add(connection)
        for connection in waiting:
            connection.count = 0

    def _step(self, connection: _Connection, *, there: bool | None) -> None:
        """Goes on with a connection; None: begins with it."""
        connection.count += 1
        try:
            wait = connection.steps.send(there) if there is not None else next(connection.steps)
        except StopIteration:
            wait = None
        except Exception:
            log.exception("a connection to a holder ended")
            wait = None
        connection.begun = True
        if wait is None:
            # Its socket is closed, and with that no longer waited for.
            del self._connections[connection.descriptor]
            return
        connection.until = time.monotonic() + wait.seconds
        if wait.bytes:
            connection.stream.wake_at(wait.bytes)
        else:
            connection.pauses = True
            self._listen(connection)
            heappush(self._pausing, (connection.until, connection.descriptor, connection))

    def _end(self) -> None:
        for connection in self._new:
            if not connection.begun:
                # What it is to clean up it only knows once it has begun.
                next(connection.steps, None)
        for connection in [*self._new, *self._connections.values()]:
            connection.steps.close()
        self._epoll.close()
        self._wake_read.close()
        self._wake_write.close()
