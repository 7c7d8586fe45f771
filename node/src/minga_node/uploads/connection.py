"""One connection of the piece listener, and what it serves."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from minga_node.tracing import NOTHING, Span
from minga_node.uploads.send_buffer import MOST, SendBuffer
from minga_node.wire.piece_request import PieceRequest, Refusal
from minga_node.wire.piece_set import Pieces


class OpenContent(Protocol):
    """An open content. ``close`` is called when nobody reads it any more."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def available(self) -> Pieces | None:
        """The pieces that may be served now; None means all."""

    @property
    def data(self) -> bytes | None:
        """All of it, where it is in memory; it has no descriptor then, and is not closed."""

    def fileno(self) -> int: ...
    def close(self) -> None: ...


Opener = Callable[[str], OpenContent | None]


class Contents(Protocol):
    """Everything that can be served, by id."""

    def open(self, content_id: str) -> OpenContent | None:
        """By a descriptor; None if it is not here."""

    @contextmanager
    def several(self) -> Iterator[Opener]:
        """Opens some, one after the other; what they have in common is done once. Small ones may be read."""
        yield self.open


class PieceNews(NamedTuple):
    """What a node tells another about a content."""

    pieces: Pieces = 0
    """Those that are here."""
    others: tuple[str, ...] = ()
    """Names of other nodes in its swarm."""
    follows: bool = True
    """Whether there will be more; not where enough others follow."""


class AvailabilityExchange(Protocol):
    """Who has what, exchanged in the headers of requests and answers that travel anyway."""

    def meet(self, content_id: str, peer: str) -> PieceNews | None:
        """A peer begins to follow a content on a connection: everything that is to be told; None if nothing
        of it is here or comes here.
        """

    def part(self, content_id: str, peer: str) -> None:
        """Such a connection has ended."""

    def heard(self, content_id: str, peer: str, pieces: str) -> None:
        """A peer says that it now has these (``0-3,7``)."""

    def news(self, content_id: str, peer: str) -> Pieces:
        """What became available here since this was last called for the peer."""

    def others(self, content_id: str, peer: str) -> tuple[str, ...]:
        """Who came to the content's swarm since this was last called for the peer."""

    def has(self, content_id: str, peer: str) -> Pieces:
        """What the peer is known to have."""


@dataclass(slots=True, eq=False)
class Served:
    """A content that is open, how often each of its pieces was sent, and by how many it is used."""

    id: str
    content: OpenContent
    piece_size: int
    sent: list[int]
    users: int = 0
    idle_since: float = 0.0


@dataclass(slots=True)
class QueuedUpload:
    """A request that was understood and waits for a slot."""

    served: Served
    ranges: list[tuple[int, int]]
    """As asked for, (first byte, one after the last); empty: the whole."""
    head_only: bool
    peer: str
    since: float
    """When it was its turn on its connection."""
    rate: int = 0
    """Bytes a second that the peer says it receives; 0 if it does not say."""


class Guard(Protocol):
    """Does something for a connection; an error ends this connection, and nothing else."""

    def __call__(self, connection: UploadConnection, work: Callable[..., None], *args: object) -> None: ...


@dataclass(slots=True, eq=False)
class UploadConnection:
    """State of one accepted connection: reading a head, waiting for a slot, or sending."""

    sock: socket.socket
    address: str
    read: bytearray = field(default_factory=bytearray)
    asked: deque[PieceRequest | Refusal] = field(default_factory=deque)
    """Requests that were read and have not had their turn."""
    backlog: int = 0
    """Bytes at most that those take."""
    ahead: int = 0
    """For how many of those, from the first on, the contents are open or being opened."""
    looking: bool = False
    """What its next request needs is being opened."""
    request: QueuedUpload | None = None
    sending: bool = False
    draining: bool = False
    """All of the answer is in the socket, and too much of it has not left that."""
    pending: bytes = b""
    """Bytes that go before the file's."""
    offset: int = 0
    end: int = 0
    ready: int = 0
    """Up to which byte of the file no disk has to be waited for."""
    loaded: bytes = b""
    """Bytes of the file that a disk had to be waited for,"""
    loaded_at: int = 0
    """and where they begin."""
    loading: bool = False
    """What comes next is being read from a disk."""
    last_progress: float = 0.0
    """When the answer last moved on."""
    until: float = 0.0
    """When the other end has taken too long: for its handshake, a head, its next request or to read."""
    unread: bool = False
    """Its answer waits for the other end to read."""
    charged: bool = False
    """All of the answer was counted as its party's share, as it was not read."""
    waited: int = 0
    """Microseconds for which the socket has waited for that, when they were last looked at."""
    begun: float = 0.0
    """When its answer got a slot."""
    closing: bool = False
    events: int = 0
    body: int = 0
    span: Span = NOTHING
    """Of all that is sent to a peer that follows a trace."""
    sent: int = 0
    """Bytes of bodies, in all."""
    useful: bool = False
    """Since it last rested it got something that it may have come for."""
    met: set[tuple[str, str]] = field(default_factory=set)
    """Contents that are followed on it, and by whom."""
    bound: SendBuffer | None = None
    """On what is on its way; None where there is none."""
    shaking: bool = False
    """A handshake comes first, and is not done."""

    @property
    def busy(self) -> bool:
        """Whether something that was asked on it is being done."""
        return self.sending or self.looking or self.request is not None

    @property
    def party(self) -> str:
        """Whose share of the slots a request counts for."""
        return self.request.peer if self.request and self.request.peer else self.address

    def receive(self) -> bytes:
        """What came; nothing at the end.

        Raises:
            BlockingIOError: nothing has come.
        """
        return self.sock.recv(16 * 1024)

    @property
    def closed(self) -> bool:
        return self.sock.fileno() < 0

    def send(self, most: int) -> int:
        """Sends what the socket takes of the head and of at most ``most`` bytes of the body; returns the
        latter.

        Raises:
            OSError: the other side is gone.
        """
        if (body := self.in_memory(most)) is not None:
            return self._send_together(body)
        if self.pending:
            more = socket.MSG_MORE if self.offset < self.end else 0
            try:
                count = self.sock.send(self.pending, more)
            except BlockingIOError:
                return 0
            self.pending = self.pending[count:]
            if self.pending:
                return 0
        if self.offset >= self.end or self.request is None:
            return 0
        try:
            count = os.sendfile(
                self.sock.fileno(),
                self.request.served.content.fileno(),
                self.offset,
                min(most, self.end - self.offset),
            )
        except BlockingIOError:
            return 0
        if count == 0:
            raise ConnectionAbortedError("the file became shorter while it was sent")
        self.offset += count
        return count

    def in_memory(self, most: int) -> memoryview | None:
        """The next bytes of the body, at most so many, where they need not be read from the file."""
        if self.offset >= self.end or self.request is None:
            return None
        data, start = self.request.served.content.data, 0
        if data is None:
            data, start = self.loaded, self.loaded_at
            if not start <= self.offset < start + len(data):
                return None
        return memoryview(data)[self.offset - start : min(self.end, self.offset + most) - start]

    def _send_together(self, body: memoryview) -> int:
        head = len(self.pending)
        try:
            count = self.sock.send(self.pending + body if head else body)
        except BlockingIOError:
            return 0
        self.pending = self.pending[count:]
        sent = max(0, count - head)
        self.offset += sent
        return sent

    @property
    def done(self) -> bool:
        return not self.pending and self.offset >= self.end

    @property
    def drains(self) -> bool:
        """Whether the slot is taken until its answer has left the socket. Until then the rest of it shares a
        slow link with the next answers; what an unbounded connection still has is soon gone.
        """
        return self.bound is not None and self.body > MOST


def pieces_of(start: int, end: int, piece_size: int) -> range:
    """Numbers of the pieces that some bytes lie in."""
    return range(start // piece_size, -(-end // piece_size))


def servable(
    ranges: Sequence[tuple[int, int]], available: Pieces | None, piece_size: int
) -> list[tuple[int, int]]:
    """The ranges that can be served; if none can be as a whole, the part of the first that begins here."""
    if available is None:
        return list(ranges)
    whole, begun = [], []
    for start, end in ranges:
        reach = start
        for piece in pieces_of(start, end, piece_size):
            if not available >> piece & 1:
                break
            reach = min((piece + 1) * piece_size, end)
        if reach == end:
            whole.append((start, end))
        elif reach > start:
            begun.append((start, reach))
    return whole or begun[:1]
