"""Many small contents of one holder: each is what its id says, or counts as missing there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

from minga_node.fetching.remote import Remote
from minga_node.fetching.small_files import fetch_many
from minga_node.manifest import Manifest
from minga_node.wire import TokenBucket


class Holder(Remote):
    """Answers so much, whatever it is asked."""

    def connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()

        def answer() -> None:
            with theirs:
                theirs.sendall(self.host.encode("latin-1"))
                while theirs.recv(4096):
                    pass

        threading.Thread(target=answer, daemon=True).start()
        return ours


def fetched(bodies: Sequence[tuple[str, bytes]], wanted: Sequence[str]) -> list[tuple[str, bytes, bool]]:
    answers = b"".join(
        f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body for status, body in bodies
    )
    holder = Holder("holder", answers.decode("latin-1"), 1)
    found = fetch_many(holder, wanted, name="me", limiter=TokenBucket(0))
    return [(content_id, body, manifest is not None) for content_id, body, manifest in found]


def identity(body: bytes) -> str:
    return Manifest.of_one_piece(body).id


def test_each_is_verified_by_its_own_id() -> None:
    a, b = b"first", b"second"
    assert fetched([("200 OK", a), ("200 OK", b)], [identity(a), identity(b)]) == [
        (identity(a), a, True),
        (identity(b), b, True),
    ]


def test_another_content_does_not_count_and_the_next_does() -> None:
    a, b = b"first", b"second"
    assert fetched([("200 OK", b), ("200 OK", b)], [identity(a), identity(b)]) == [
        (identity(a), b"", False),
        (identity(b), b, True),
    ]


def test_what_it_does_not_have_does_not_count() -> None:
    a = b"first"
    assert fetched([("404 Not Found", b"")], [identity(a)]) == [(identity(a), b"", False)]


def test_the_right_bytes_with_another_status_do_not_count() -> None:
    a = b"first"
    assert fetched([("206 Partial Content", a)], [identity(a)]) == [(identity(a), b"", False)]
