"""What a connection waits for, and the events of epoll that tell of it."""

from __future__ import annotations

import select
from enum import Enum, auto


class ConnectionPhase(Enum):
    """What a connection waits for."""

    HEAD = auto()
    """A request, or the rest of its head."""
    BODY = auto()
    """The rest of a body that has been allowed."""
    SEND = auto()
    """Room for more of the answer."""
    PAUSED = auto()
    """Something to answer with; the client may leave meanwhile."""
    LINGER = auto()
    """The client's end, after the last answer."""
    CLOSED = auto()


MASKS = {
    ConnectionPhase.HEAD: select.EPOLLIN,
    ConnectionPhase.BODY: select.EPOLLIN,
    ConnectionPhase.SEND: select.EPOLLOUT,
    ConnectionPhase.PAUSED: select.EPOLLRDHUP,
    ConnectionPhase.LINGER: select.EPOLLIN,
}
