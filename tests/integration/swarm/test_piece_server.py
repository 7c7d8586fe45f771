"""The piece listener as any HTTP client sees it."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPMessage
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from minga_node.downloads.exchange import Exchange
from minga_node.uploads import PieceServer, request_reader, scheduler
from minga_node.uploads import server as module
from minga_node.wire import TokenBucket
from tests.support.one_file import OneFile
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

DATA = os.urandom(300_000)
PIECE = 65536


@pytest.fixture
def library(tmp_path: Path) -> OneFile:
    return OneFile(tmp_path / "file", DATA)


@pytest.fixture
def server(library: OneFile) -> Iterator[PieceServer]:
    server = PieceServer("127.0.0.1", 0, library)
    server.start()
    yield server
    server.stop(1)


def get(
    server: PieceServer, path: str, method: str = "GET", **fields: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(
        method, path, headers={name.replace("_", "-"): value for name, value in fields.items()}
    )
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_without_a_range_the_whole_content_comes(server: PieceServer, library: OneFile) -> None:
    response, body = get(server, f"/pieces/{library.id}")
    assert (response.status, body) == (200, DATA)
    assert response.headers["ETag"] == f'"{library.id}"'


def test_a_range_is_answered_with_exactly_it(server: PieceServer, library: OneFile) -> None:
    response, body = get(server, f"/pieces/{library.id}", Range="bytes=100-199")
    assert (response.status, body) == (206, DATA[100:200])
    assert response.headers["Content-Range"] == f"bytes 100-199/{len(DATA)}"


def test_of_several_ranges_the_least_sent_comes(server: PieceServer, library: OneFile) -> None:
    ranges = ",".join(f"{start}-{start + PIECE - 1}" for start in range(0, 4 * PIECE, PIECE))
    starts = set()
    for _ in range(4):
        response, body = get(server, f"/pieces/{library.id}", Range=f"bytes={ranges}")
        start = int(response.headers["Content-Range"].split()[1].split("-")[0])
        assert (response.status, body) == (206, DATA[start : start + PIECE])
        starts.add(start)
    assert starts == set(range(0, 4 * PIECE, PIECE))


def test_head_has_the_fields_and_no_body(server: PieceServer, library: OneFile) -> None:
    response, body = get(server, f"/pieces/{library.id}", "HEAD")
    assert (response.status, body) == (200, b"")
    assert response.headers["Content-Length"] == str(len(DATA))


@pytest.mark.parametrize(
    ("path", "method", "fields", "status"),
    [
        ("/pieces/" + "0" * 64, "GET", {}, 404),
        ("/pieces/../etc/passwd", "GET", {}, 404),
        ("/", "GET", {}, 404),
        ("{content}", "POST", {}, 405),
        ("{content}", "GET", {"Range": "bytes=300000-"}, 416),
        ("{content}", "GET", {"Range": "bytes=x"}, 400),
        ("{content}", "GET", {"Content-Length": "10"}, 413),
        ("{content}", "GET", {"X-Long": "x" * 70_000}, 431),
    ],
)
def test_bad_requests_hear_what_is_wrong(
    server: PieceServer, library: OneFile, path: str, method: str, fields: dict[str, str], status: int
) -> None:
    response, _ = get(server, path.replace("{content}", f"/pieces/{library.id}"), method, **fields)
    assert response.status == status


def test_an_unsatisfiable_range_hears_the_size(server: PieceServer, library: OneFile) -> None:
    response, _ = get(server, f"/pieces/{library.id}", Range="bytes=400000-")
    assert response.headers["Content-Range"] == f"bytes */{len(DATA)}"


def test_pipelined_requests_are_answered_in_their_order(server: PieceServer, library: OneFile) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        for number in range(300):
            fields = f"Host: x\r\nRange: bytes={number}-{number}"
            sock.sendall(f"GET /pieces/{library.id} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
        reader = sock.makefile("rb")
        for number in range(300):
            while reader.readline() != b"\r\n":
                pass
            assert reader.read(1) == DATA[number : number + 1]


def test_a_long_pipeline_of_bad_requests_is_survived(server: PieceServer, library: OneFile) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        sock.sendall(b"GET /x HTTP/1.1\r\n\r\n" * 3000)
        sock.shutdown(socket.SHUT_WR)
        reader = sock.makefile("rb")
        while reader.read(65536):
            pass
    assert get(server, f"/pieces/{library.id}")[0].status == 200


def test_beyond_the_queue_it_says_503_and_when_to_come_back(library: OneFile) -> None:
    server = PieceServer("127.0.0.1", 0, library, slots=1, queue=1)
    server.start()
    try:
        held = []
        statuses = []
        big = 64 * 2**20
        with library.path.open("r+b") as file:
            file.truncate(big)
        for _ in range(8):
            sock = socket.create_connection(("127.0.0.1", server.port), 10)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(f"GET /pieces/{library.id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            held.append(sock)
        for sock in held[2:]:
            sock.settimeout(10)
            head = sock.recv(300)
            statuses.append(head.split()[1])
            if head.split()[1] == b"503":
                assert b"Retry-After: " in head
        assert statuses.count(b"503") >= 1
    finally:
        for sock in held:
            sock.close()
        server.stop(0)


def ask(server: PieceServer, library: OneFile, party: str) -> socket.socket:
    """Has asked for one piece."""
    sock = socket.create_connection(("127.0.0.1", server.port), 10)
    fields = f"Host: x\r\nMinga-Peer: {party}\r\nRange: bytes=0-{PIECE - 1}"
    sock.sendall(f"GET /pieces/{library.id} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
    return sock


def head_of(sock: socket.socket) -> tuple[str, dict[str, str]]:
    reader = sock.makefile("rb")
    status = reader.readline().split()[1].decode()
    fields = {}
    while (line := reader.readline().decode().strip()) != "":
        name, _, value = line.partition(": ")
        fields[name] = value
    return status, fields


def refused() -> float:
    return REGISTRY.get_sample_value("minga_uploads_refused_total") or 0


def test_who_would_wait_long_is_sent_away_at_once(library: OneFile) -> None:
    """Four pieces a second leave it. It cannot know so yet when twenty ask; who comes later hears it."""
    server = PieceServer("127.0.0.1", 0, library, slots=1, limiter=TokenBucket(4 * PIECE))
    server.start()
    counted = refused()
    with ExitStack() as stack:
        stack.callback(server.stop, 0)
        first = [stack.enter_context(ask(server, library, f"first{number}")) for number in range(30)]
        assert [head_of(sock)[0] for sock in first[:8]] == ["206"] * 8
        began = time.monotonic()
        late = [stack.enter_context(ask(server, library, f"late{number}")) for number in range(10)]
        said = [head_of(sock) for sock in late]
        assert time.monotonic() - began < 1.0
        assert {status for status, _ in said} == {"503"}
        assert refused() >= counted + len(late)
        assert all(3 <= int(fields["Retry-After"]) <= 8 for _, fields in said)


def test_who_has_waited_too_long_is_sent_away(library: OneFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "OVERDUE", 1.0)
    server = PieceServer("127.0.0.1", 0, library, slots=1, limiter=TokenBucket(PIECE))
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop, 0)
        socks = [stack.enter_context(ask(server, library, f"peer{number}")) for number in range(12)]
        began = time.monotonic()
        statuses = [head_of(sock)[0] for sock in socks]
        assert time.monotonic() - began < 8.0
        assert set(statuses) == {"206", "503"}


def test_a_client_that_reads_nothing_does_not_keep_others_waiting(library: OneFile) -> None:
    with library.path.open("r+b") as file:
        file.truncate(64 * 2**20)
    server = PieceServer("127.0.0.1", 0, library, slots=1)
    server.start()
    try:
        lazy = socket.create_connection(("127.0.0.1", server.port), 10)
        lazy.sendall(f"GET /pieces/{library.id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        response, body = get(server, f"/pieces/{library.id}", Range="bytes=0-9")
        assert (response.status, body) == (206, DATA[:10])
        lazy.close()
    finally:
        server.stop(0)


def test_a_slot_is_taken_until_the_answer_has_left_its_socket(
    library: OneFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else more answers than there are slots share a link, and each of them takes longer."""
    monkeypatch.setattr(scheduler, "STALLED", 60.0)
    # All of it fits into the socket, and more than half of the bound stays there.
    size = 40 * 1024
    monkeypatch.setattr("minga_node.uploads.connection.MOST", size - 1)
    server = PieceServer("127.0.0.1", 0, library, slots=1)
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop, 0)
        lazy, other = (stack.enter_context(closing(socket.socket())) for _ in range(2))
        # Segments as on a usual link, so that the connection is bounded; and it takes little ahead.
        lazy.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for sock, count in ((lazy, size), (other, 10)):
            sock.settimeout(10)
            sock.connect(("127.0.0.1", server.port))
            sock.sendall(f"GET /pieces/{library.id} HTTP/1.1\r\nRange: bytes=0-{count - 1}\r\n\r\n".encode())
            wait_for(lambda: server.uploads, "begun")
        wait_for(lambda: server.waiting, "the other one waits")
        (connection,) = (one for one in server._by_descriptor.values() if one.sending)
        assert connection.done
        other.settimeout(0.5)
        with pytest.raises(TimeoutError):
            other.recv(1)
        came = b""
        while not came.endswith(DATA[:size]):
            came += lazy.recv(65536)
        other.settimeout(10)
        assert head_of(other)[0] == "206"


def test_news_are_answered_with_news_and_wait_for_no_slot(library: OneFile) -> None:
    with library.path.open("r+b") as file:
        file.truncate(64 * 2**20)
    heard: list[tuple[str, str, str]] = []
    exchange = Exchange(lambda _: (0, 8), on_heard=lambda *news: heard.append(news))
    limiter = TokenBucket(PIECE)
    server = PieceServer("127.0.0.1", 0, library, slots=1, gossip=exchange, limiter=limiter)
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop, 0)
        busy = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
        busy.sendall(f"GET /pieces/{library.id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert busy.recv(1)
        near = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)))

        def tell(**fields: str) -> http.client.HTTPResponse:
            named = {name.replace("_", "-"): value for name, value in fields.items()}
            near.request("HEAD", f"/pieces/{library.id}", headers={"Minga-Peer": "near", **named})
            response = near.getresponse()
            response.read()
            return response

        assert tell(Minga_Follow="1").headers["Minga-Have"] is None
        exchange.announce(library.id, 3)
        exchange.announce(library.id, 4)
        response = tell(Minga_Have="0-1,7")
        assert (response.status, response.headers["Minga-Have"]) == (204, "3-4")
        assert heard == [(library.id, "near", "0-1,7")]
        response = tell(Minga_Have="2")
        assert (response.status, response.headers["Minga-Have"]) == (204, None)


def test_who_follows_on_a_connection_is_introduced_until_it_ends(library: OneFile) -> None:
    followers: list[str] = []
    exchange = Exchange(lambda _: (6, 8), on_follower=lambda _, peer: followers.append(peer))
    server = PieceServer("127.0.0.1", 0, library, gossip=exchange)
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop, 0)
        first, second = (
            stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)))
            for _ in range(2)
        )

        def ask(connection: http.client.HTTPConnection, method: str, peer: str, **fields: str) -> HTTPMessage:
            named = {name.replace("_", "-"): value for name, value in fields.items()}
            connection.request(method, f"/pieces/{library.id}", headers={"Minga-Peer": peer, **named})
            with connection.getresponse() as response:
                response.read()
                return response.headers

        told = ask(first, "HEAD", "first", Minga_Follow="1")
        assert (told["Minga-Have"], told["Minga-Others"]) == ("1-2", None)
        told = ask(second, "HEAD", "second", Minga_Follow="1")
        assert (told["Minga-Have"], told["Minga-Others"]) == ("1-2", "first")
        assert followers == ["first", "second"]
        assert ask(first, "GET", "first", Range="bytes=0-9")["Minga-Others"] == "second"
        assert ask(first, "GET", "first", Range="bytes=0-9")["Minga-Others"] is None
        second.close()
        wait_for(lambda: exchange.followers(library.id) == 1, "the one that left is forgotten")


def test_a_fault_ends_the_connection_that_met_it_and_no_other(library: OneFile) -> None:
    def fault(*_: str) -> None:
        raise RuntimeError("on purpose")

    server = PieceServer("127.0.0.1", 0, library, gossip=Exchange(lambda _: (0, 8), on_heard=fault))
    server.start()
    try:
        with pytest.raises(http.client.RemoteDisconnected):
            get(server, f"/pieces/{library.id}", "HEAD", Minga_Peer="near", Minga_Have="1")
        response, _ = get(server, f"/pieces/{library.id}", Range="bytes=0-9")
        assert response.status == 206
    finally:
        server.stop(0)


def test_what_is_not_here_cannot_be_followed(library: OneFile) -> None:
    exchange = Exchange(lambda _: None)
    server = PieceServer("127.0.0.1", 0, library, gossip=exchange)
    server.start()
    try:
        response, body = get(server, f"/pieces/{library.id}", "HEAD", Minga_Peer="near", Minga_Follow="1")
        assert (response.status, body, exchange.followers(library.id)) == (404, b"", 0)
    finally:
        server.stop(0)


def test_stopping_lets_an_answer_end(library: OneFile) -> None:
    server = PieceServer("127.0.0.1", 0, library)
    server.start()
    with library.path.open("r+b") as file:
        file.truncate(32 * 2**20)
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        sock.sendall(f"GET /pieces/{library.id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        first = sock.recv(1)
        stopper = threading.Thread(target=server.stop, args=(10,))
        stopper.start()
        received = len(first)
        while chunk := sock.recv(2**20):
            received += len(chunk)
        stopper.join()
    assert received > 32 * 2**20


def test_a_fault_of_a_turn_does_not_end_the_listener(server: PieceServer, library: OneFile) -> None:
    go_on, faults = server._answering.go_on, 3

    def fault(now: float) -> None:
        nonlocal faults
        if faults:
            faults -= 1
            raise RuntimeError("on purpose")
        go_on(now)

    server._answering.go_on = fault  # type: ignore[method-assign]
    assert get(server, f"/pieces/{library.id}", Range="bytes=0-9")[0].status == 206
    assert faults == 0
    assert server.worker.problem() == ""


def test_a_listener_that_is_stuck_says_so(library: OneFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STUCK", 1.5)
    over = threading.Event()

    def wait(*_: str) -> None:
        over.wait(20)

    exchange = Exchange(lambda _: (0, 8), on_heard=wait)
    server = PieceServer("127.0.0.1", 0, library, gossip=exchange)
    server.start()
    try:
        assert server.worker.problem() == ""
        with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
            sock.sendall(
                f"HEAD /pieces/{library.id} HTTP/1.1\r\nMinga-Peer: a\r\nMinga-Have: 1\r\n\r\n".encode()
            )
            wait_for(lambda: "piece listener has not moved" in server.worker.problem(), "it says so")
            over.set()
            wait_for(lambda: not server.worker.problem(), "it is well again")
    finally:
        over.set()
        server.stop(0)


def test_a_head_that_does_not_end_is_not_waited_for(
    server: PieceServer, library: OneFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a byte of it comes."""
    monkeypatch.setattr(request_reader, "HEAD_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        begun = time.monotonic()
        sock.settimeout(0.05)
        ended = False
        while not ended and time.monotonic() - begun < 20:
            try:
                sock.sendall(b"G")
                ended = sock.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
        assert ended
    assert get(server, f"/pieces/{library.id}", Range="bytes=0-9")[0].status == 206


def test_a_reader_that_hardly_reads_is_let_go(
    server: PieceServer, library: OneFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence is not what counts: it takes a little, again and again."""
    monkeypatch.setattr(scheduler, "GONE", 1.0)
    monkeypatch.setattr(scheduler, "LEAST_RATE", 64 * 2**20)
    with library.path.open("r+b") as file:
        file.truncate(256 * 2**20)
    before = REGISTRY.get_sample_value("minga_piece_connections_ended_total", {"reason": "unread"}) or 0
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        sock.sendall(f"GET /pieces/{library.id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        def ended() -> bool:
            sock.recv(256 * 1024)
            now = REGISTRY.get_sample_value("minga_piece_connections_ended_total", {"reason": "unread"})
            return now == before + 1

        wait_for(ended, "it is let go", 20, every=0.05)
