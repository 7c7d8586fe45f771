from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from minga_node.uploads import send_buffer
from minga_node.uploads.send_buffer import BY_DELAY, BY_LOSS, MOST, SO_BUF_LOCK, UNSENT, too_narrow

PIECE = 4 * MOST


@contextmanager
def accepted(segment: int | None, control: bytes | None = None) -> Iterator[socket.socket]:
    """A connection over loopback, with segments of so many bytes at most."""
    with socket.create_server(("127.0.0.1", 0)) as server, closing(socket.socket()) as other:
        if control:
            try:
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control)
            except OSError as error:
                pytest.skip(f"{control.decode()} is not there: {error}")
        if segment:
            other.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        other.connect(server.getsockname())
        sock, _ = server.accept()
        with closing(sock):
            yield sock


def locked(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, SO_BUF_LOCK))


def unsent(sock: socket.socket) -> int:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)


def control_of(sock: socket.socket) -> bytes:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0")


def test_a_connection_with_usual_segments_is_bounded() -> None:
    with accepted(1400) as sock:
        assert send_buffer.bound(sock) is not None
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == MOST
        assert locked(sock)
        assert unsent(sock) == MOST


def test_one_with_segments_as_big_as_the_bound_is_not() -> None:
    with accepted(None) as sock:
        before = control_of(sock)
        assert send_buffer.bound(sock) is None
        assert not locked(sock)
        assert (unsent(sock), control_of(sock)) == (UNSENT, before)


def test_who_was_held_up_by_the_bound_gets_it_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_buffer, "round_trip", lambda _: 0.1)
    with accepted(1400) as sock:
        bound = send_buffer.bound(sock)
        assert bound is not None
        assert not bound.widen(sock, PIECE, 10.0)
        assert locked(sock)
        assert bound.widen(sock, PIECE, 0.3)
        assert not locked(sock)
        assert unsent(sock) == UNSENT


def test_a_bounded_connection_has_no_window_by_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_buffer, "round_trip", lambda _: 0.1)
    with accepted(1400, BY_DELAY) as sock:
        bound = send_buffer.bound(sock)
        assert bound is not None
        assert control_of(sock) in BY_LOSS
        assert bound.widen(sock, PIECE, 0.3)
        assert control_of(sock) == BY_DELAY


def test_another_congestion_control_is_left_as_it_is() -> None:
    with accepted(1400, b"reno") as sock:
        send_buffer.bound(sock)
        assert control_of(sock) == b"reno"


def test_a_round_trip_over_loopback_is_short_but_known() -> None:
    with accepted(1400) as sock:
        assert 0 < send_buffer.round_trip(sock) < 0.1


@pytest.mark.parametrize(
    ("sent", "seconds", "round_trip", "narrow"),
    [
        # One bound a round trip: nothing else kept it.
        (PIECE, 4 * 0.1, 0.1, True),
        # The buffer was not always full, and each round trip took half as long again.
        (PIECE, 4 * 0.1 * 1.5 * 1.5, 0.1, True),
        # Eight answers share 100 Mbit/s on a short way.
        (PIECE, 8 * PIECE * 8 / 100e6, 0.0005, False),
        # They do so between continents.
        (PIECE, 8 * PIECE * 8 / 100e6, 0.2, True),
        # A quick link next door: the processor is what keeps it.
        (PIECE, 0.0003, 0.00002, False),
        (PIECE, 0.1, 0.0, False),
    ],
)
def test_what_held_an_answer_up(sent: int, seconds: float, round_trip: float, narrow: bool) -> None:
    assert too_narrow(sent, seconds, round_trip) is narrow
