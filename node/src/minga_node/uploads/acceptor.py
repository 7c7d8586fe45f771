"""The socket that a listener accepts connections on, also where descriptors run out."""

from __future__ import annotations

import logging
import select
import socket
import time
from collections.abc import Iterator

from minga_node import descriptors

log = logging.getLogger(__name__)

ACCEPTED = 64
"""Connections taken in at a time, before the others have their turn."""
PAUSE = 1.0
"""Seconds until it is tried again, where descriptors have run out."""


class Acceptor:
    """Used by one loop, the ``epoll`` of which it registers at.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, bind: str, port: int, epoll: select.epoll, who: str) -> None:
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self._socket = socket.create_server((bind, port), family=family, backlog=512, reuse_port=False)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._epoll, self._who = epoll, who
        self._again: float | None = None
        """When it accepts again, while it does not."""

    def fileno(self) -> int:
        return self._socket.fileno()

    def start(self) -> None:
        self._epoll.register(self._socket.fileno(), select.EPOLLIN)

    def accept(self) -> Iterator[tuple[socket.socket, str]]:
        """Those that wait, with their addresses; not all of them, if there are many."""
        for _ in range(ACCEPTED):
            try:
                sock, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if descriptors.exhausted(error):
                    self._pause(error)
                    return
                continue  # it has gone already
            yield sock, str(address[0])

    def _pause(self, error: OSError) -> None:
        # It would be told of those that wait again and again.
        log.warning("the %s accepts nobody for now: %s", self._who, error.strerror)
        self._epoll.unregister(self._socket.fileno())
        self._again = time.monotonic() + PAUSE

    def look(self, now: float) -> None:
        """Accepts again where there are descriptors again; those that waited meanwhile are let in then."""
        if self._again is None or now < self._again:
            return
        try:
            self._socket.dup().close()
        except OSError:
            self._again = now + PAUSE
            return
        self._again = None
        self.start()
        log.info("the %s accepts connections again", self._who)

    def close(self) -> None:
        """Nobody is let in any more."""
        # With the socket its registration goes, as it has no other descriptor.
        self._again = None
        self._socket.close()
