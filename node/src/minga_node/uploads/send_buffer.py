"""How much of an answer may be on its way at a time.

A holder answers several peers at once through one uplink, and left alone the kernel lets each of them fill
whatever queue that has. Then packets are lost and sent again, and requests and news wait behind them
(bufferbloat; Gettys and Nichols, 2011). So a connection gets a small buffer, and with it as much in flight:
enough for a short way. Where the way is long, an answer soon tells it, and from then on the kernel sizes the
buffer.

A window by BBR (Cardwell et al., 2016) is not for such connections. It holds what the way takes while it is
empty. Behind the answers to others that is a few packets, which arrive slowly, which tells BBR that the way
is slow; and some connections then take half a second for each piece to the end.
"""

from __future__ import annotations

import socket
import struct

MOST = 64 * 1024
"""Bytes in the buffer and on their way, after which the kernel takes no more; it counts before it takes up to
64 KiB, so there may be twice as many."""
FULL = 2 * MOST
"""Bytes after which the buffer is full."""
LOOK = MOST
"""So many more tell whether the bound holds an answer up."""
SEGMENTS = 4
"""So many have to fit, lest the other end wait for a second one before it confirms the first."""
WIDE = 4 * 1024 * 1024
"""Where the kernel does not take the sizing back; it gives less where it may not give so much."""
UNSENT = 128 * 1024
"""TCP_NOTSENT_LOWAT: what may wait in a socket beyond what is on its way, bytes; as much as the bound on a
bounded connection, which is writable again when half of that has left."""
BY_DELAY = b"bbr"
BY_LOSS = (b"cubic", b"reno")
"""Congestion control that bounded connections get in its place, where a process may choose it."""
SO_BUF_LOCK = 72
"""Whether the kernel may size the buffers (Linux 5.15, asm-generic/socket.h); Python has no name for it."""
MIN_RTT = struct.Struct("148xI")
"""``tcpi_min_rtt`` in ``struct tcp_info`` (linux/tcp.h), microseconds."""
UNREAD = struct.Struct("176xQ")
"""``tcpi_rwnd_limited`` there: microseconds for which the other end had no room."""


def bound(sock: socket.socket) -> SendBuffer | None:
    """Bounds what is on its way on a new connection; None where its segments are too big for that, as those
    of loopback are.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
    if SEGMENTS * sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) > MOST:
        return None
    # The kernel takes two times this, for what a packet needs besides its bytes.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST // 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST)
    return SendBuffer(_control_by_loss(sock))


class SendBuffer:
    """That of one connection, looked at while answers go out.

    Args:
        control: the congestion control that the connection had.
    """

    def __init__(self, control: bytes) -> None:
        self._control = control
        self._looked_at, self._full_since = 0, 0.0

    def begin(self, offset: int) -> None:
        """An answer begins with the byte at ``offset``."""
        self._looked_at, self._full_since = offset, 0.0

    def taken_off(self, sock: socket.socket, offset: int, now: float) -> bool:
        """Whether it held the answer up, which is in the buffer up to ``offset`` by now, and was taken off;
        what fills the buffer does not tell.
        """
        sent, since = offset - self._looked_at, self._full_since
        if sent < (LOOK if since else FULL):
            return False
        self._looked_at, self._full_since = offset, now
        return bool(since) and self.widen(sock, sent, now - since)

    def widen(self, sock: socket.socket, sent: int, seconds: float) -> bool:
        """Takes it off a connection whose answer it has held up; whether it did."""
        if not too_narrow(sent, seconds, round_trip(sock)):
            return False
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_BUF_LOCK, 0)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WIDE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        _control(sock, self._control)
        return True


def _control_by_loss(sock: socket.socket) -> bytes:
    """Gives a connection another congestion control, if need be; the one that it had, b"" if the system does
    not tell.
    """
    try:
        usual = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")
    except OSError:
        return b""
    if usual == BY_DELAY:
        for name in BY_LOSS:
            if _control(sock, name):
                break
    return usual


def _control(sock: socket.socket, name: bytes) -> bool:
    """Whether a connection could get that congestion control."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name)
    except OSError:  # it is not there, or not for everybody
        return False
    return True


def too_narrow(sent: int, seconds: float, round_trip: float) -> bool:
    """Whether it was the bound, not the link, that ``sent`` bytes of an answer took so long for.

    Then about as much as the bound goes in each round trip; a third of it, for the buffer is not always full,
    and few round trips take their least time.

    Args:
        seconds: from a full buffer until the last of them was in it.
        round_trip: seconds without any queue.
    """
    return 3 * sent * round_trip >= MOST * seconds


def round_trip(sock: socket.socket) -> float:
    """The shortest of late, seconds; 0.0 where the system does not tell."""
    if not hasattr(socket, "TCP_INFO"):
        return 0.0
    told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, MIN_RTT.size)
    return float(MIN_RTT.unpack(told)[0]) / 1e6 if len(told) == MIN_RTT.size else 0.0


def unread(sock: socket.socket) -> int:
    """Microseconds for which what was to be sent waited for the other end to read; 0 where the system does
    not tell.
    """
    if not hasattr(socket, "TCP_INFO"):
        return 0
    told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, UNREAD.size)
    return int(UNREAD.unpack(told)[0]) if len(told) == UNREAD.size else 0
