"""The pool of threads around one epoll, the listener, and the clock that ends what does not go on."""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from minga_node.descriptors import exhausted, limit
from minga_node.metrics import REST_CONNECTIONS, REST_CUT
from minga_node.server.http.answers import Clock, Environments, Wsgi
from minga_node.server.http.bodies import Body, BodyRoom, remove_left_over
from minga_node.server.http.connection import HttpConnection
from minga_node.server.http.lanes import Lane
from minga_node.server.http.limits import Limits
from minga_node.server.http.listening import listen, party
from minga_node.server.http.parsing import HttpRequest
from minga_node.server.http.phases import ConnectionPhase
from minga_node.workers import Worker

log = logging.getLogger(__name__)

TICK_SECONDS = 0.25
"""Seconds between two looks at all deadlines."""
ACCEPTED_CONNECTIONS = 64
"""Connections that are accepted before others of the pool's events have their turn."""
QUIET_SECONDS = 60.0
"""After which a new want of descriptors is said again."""


class HttpServer:
    """Serves a WSGI app on ``ip:port`` (port 0 takes a free one).

    Args:
        grace: seconds that answers on their way get when the server stops.
        spool: a directory for bodies that are not in memory.
        rooms: room on the disk for a body that is to be a file there.
        kind: names the lane of a request by its method and target; "" for the general one.
        reserved: lanes that nothing else can fill, and how many threads each has.

    Raises:
        OSError: the address is taken or not ours.
    """

    def __init__(
        self,
        ip: str,
        port: int,
        *,
        spool: Path,
        rooms: Callable[[Path], BodyRoom],
        limits: Limits,
        grace: float,
        kind: Callable[[str, bytes], str] = lambda _method, _target: "",
        reserved: Mapping[str, int] = {},
    ) -> None:
        self._listener = listen(ip, port)
        self.port: int = self._listener.getsockname()[1]
        self.limits = limits
        self.environments = Environments(ip, self.port)
        self.date = Clock()
        self.stopping = False
        self.moving: Lane[HttpConnection] = Lane(limits.transfers)
        self._lanes: dict[str, Lane[HttpConnection]] = {"": Lane(limits.threads)}
        self._lanes |= {name: Lane(count) for name, count in reserved.items()}
        # Whoever is let into a lane leaves at least one thread to wait for the next event.
        self._most_threads = 1 + limits.transfers + sum(lane.limit for lane in self._lanes.values())
        self._kind, self._spool, self._rooms, self._grace = kind, spool, rooms, grace
        # The other parts of the process need descriptors, too.
        self._most_connections = min(limits.connections, limit() // 2)
        self._connections: dict[int, HttpConnection] = {}
        self._epoll = select.epoll()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._threads: list[threading.Thread] = []
        self._threads_lock = threading.Lock()
        self._busy = 0
        self._stopped = threading.Event()
        self.clock = Worker("rest clock", self._look, interval=TICK_SECONDS, longest_pause=1.0)
        self._paused = False
        """Whether nobody is accepted for want of descriptors."""
        self._said = float("-inf")

    def start(self, app: Wsgi, early: Wsgi) -> None:
        """Begins to serve.

        Args:
            early: called with the head of a request whose body is not here yet; answers 100 to have it come.
        """
        self.app, self.early = app, early
        remove_left_over(self._spool)
        REST_CONNECTIONS.set_function(lambda: len(self._connections))
        self._epoll.register(self._listener, select.EPOLLIN | select.EPOLLONESHOT)
        self._epoll.register(self._wake_read, select.EPOLLIN)
        self._spawn()
        self.clock.start()

    def stop(self) -> None:
        """Accepts nobody any more, and gives running requests their grace."""
        if self._stopped.is_set():
            return
        self.stopping = True
        if self._threads:
            with suppress(OSError, ValueError):
                self._epoll.unregister(self._listener)
        self._listener.close()
        deadline = time.monotonic() + self._grace
        while self._connections and time.monotonic() < deadline:
            for connection in list(self._connections.values()):
                if connection.idle and connection.take():
                    connection.close()
                else:
                    connection.wake()
            self._stopped.wait(0.05)
        self._stopped.set()
        self.clock.stop()
        os.write(self._wake_write, b"x")
        for thread in self._threads:
            thread.join(max(0.0, deadline + 1 - time.monotonic()))
        for connection in list(self._connections.values()):
            if connection.take():
                connection.close()
        if not any(thread.is_alive() for thread in self._threads):
            # Whoever still works at a request would meet the descriptors of somebody else.
            self._epoll.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    # for connections

    def lane(self, request: HttpRequest) -> Lane[HttpConnection]:
        return self._lanes[self._kind(request.method, request.target)]

    def new_body(self, length: int | None) -> Body:
        return Body(self._spool, self._rooms, self.limits.in_memory, length)

    def arm(self, connection: HttpConnection, mask: int) -> None:
        self._epoll.modify(connection.fd, mask | select.EPOLLONESHOT)

    def forget(self, connection: HttpConnection) -> None:
        if self._connections.pop(connection.fd, None) is not None:
            with suppress(OSError, ValueError):  # or the server has ended
                self._epoll.unregister(connection.fd)

    # the pool

    def _spawn(self) -> None:
        thread = threading.Thread(target=self._run, name=f"rest {len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # Those that there are go on.
            log.warning("REST: %s", error)
            return
        self._threads.append(thread)

    def _begin_work(self) -> None:
        with self._threads_lock:
            self._busy += 1
            if self._busy >= len(self._threads) and len(self._threads) < self._most_threads:
                self._spawn()

    def _end_work(self) -> None:
        with self._threads_lock:
            self._busy -= 1

    def _run(self) -> None:
        listener = self._listener.fileno()
        while not self._stopped.is_set():
            for fd, mask in self._epoll.poll(-1, 1):
                try:
                    if fd == listener:
                        self._accept()
                    elif (connection := self._connections.get(fd)) is not None and connection.take():
                        connection.event(mask)
                        self._serve(connection)
                except Exception:
                    log.exception("REST: an event of a connection")

    def _serve(self, first: HttpConnection) -> None:
        """Works at a connection that is this thread's while there is something to do, and at those that get
        its place in a lane afterwards.
        """
        todo: list[tuple[HttpConnection, Lane[HttpConnection] | None]] = [(first, None)]
        while todo:
            connection, lane = todo.pop()
            if lane is None:
                lane = connection.lane()
                if lane is None:
                    connection.release()
                    continue
                if not lane.enter(connection):
                    continue
                self._begin_work()
            try:
                connection.work()
            except Exception:
                log.exception("REST: a connection is closed")
                connection.close()
            following = lane.leave()
            if following is None:
                self._end_work()
            if connection.lane() is None:
                connection.release()
            else:
                todo.insert(0, (connection, None))
            if following is not None:
                todo.append((following, lane))

    # accepting

    def _accept(self) -> None:
        try:
            for _ in range(ACCEPTED_CONNECTIONS):
                sock, address = self._listener.accept()
                self._welcome(sock, address[0])
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            if exhausted(error):
                self._pause(error)
                return
        if not self.stopping:
            with suppress(OSError, ValueError):
                self._epoll.modify(self._listener, select.EPOLLIN | select.EPOLLONESHOT)

    def _welcome(self, sock: socket.socket, ip: str) -> None:
        if len(self._connections) >= self._most_connections and not self._make_room():
            sock.close()
            return
        sock.setblocking(False)
        connection = HttpConnection(self, sock, party(ip))
        self._connections[connection.fd] = connection
        try:
            self._epoll.register(connection.fd, select.EPOLLIN | select.EPOLLONESHOT)
        except OSError:
            connection.close()
            raise

    def _pause(self, error: OSError) -> None:
        """The clock tries again; meanwhile connections wait in the listener's queue."""
        self._paused = True
        now = time.monotonic()
        if now - self._said > QUIET_SECONDS:
            log.warning(
                "REST accepts nobody for now: %s, with %d connections", error.strerror, len(self._connections)
            )
        self._said = now
        self._make_room()

    def _make_room(self) -> bool:
        """Closes those that have waited longest for their client, of the address that has most."""
        waiting = [each for each in list(self._connections.values()) if each.waits]
        if not waiting:
            return False
        ((address, _),) = Counter(each.address for each in waiting).most_common(1)
        found = sorted((each for each in waiting if each.address == address), key=lambda each: each.since)
        ended = 0
        for connection in found[: max(1, len(found) // 50)]:
            if connection.take():
                connection.close()
                REST_CUT.labels("full").inc()
                ended += 1
        return ended > 0

    # the clock

    def _look(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections.values()):
            if connection.deadline > now:
                continue
            if connection.phase is ConnectionPhase.PAUSED:
                connection.wake()
            elif connection.take():
                self._expire(connection, now)
        if self._paused:
            self._paused = False
            with suppress(OSError, ValueError):
                self._epoll.modify(self._listener, select.EPOLLIN | select.EPOLLONESHOT)

    def _expire(self, connection: HttpConnection, now: float) -> None:
        """Ends one that has waited for too long; it is this thread's."""
        try:
            # Meanwhile it may have gone on.
            if connection.deadline <= now:
                connection.expire()
        except Exception as error:
            if not isinstance(error, OSError):
                log.exception("REST: a connection is closed")
            connection.close()
        connection.release()
