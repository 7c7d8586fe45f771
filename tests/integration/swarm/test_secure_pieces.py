"""Pieces by mutual TLS: what is served to peers, what to nobody else, and whole transfers."""

from __future__ import annotations

import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from minga_node import peer_tls
from minga_node.downloads import DownloadState, SmallFile
from minga_node.errors import PeerUnreachable
from minga_node.fetching import Remote
from minga_node.metrics import PEERS_REFUSED
from minga_node.peer_tls import PeerTls
from minga_node.uploads import PieceServer, server
from tests.support.authority import Authority
from tests.support.one_file import OneFile
from tests.support.relay import Relay
from tests.support.swarm_peer import SwarmPeer
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

NAME = "test.peers.minga"
MIB = 2**20
MARK = b"nobody on the way may read this."
DATA = (MARK * (6 * MIB // len(MARK)))[: 6 * MIB - 17]
AUTHORITY, STRANGER = Authority(), Authority("somebody else")


@pytest.fixture
def library(tmp_path: Path) -> OneFile:
    return OneFile(tmp_path / "file", DATA)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return AUTHORITY.directory(tmp_path / "tls", NAME)


@pytest.fixture
def listener(library: OneFile, directory: Path) -> Iterator[PieceServer]:
    pieces = PieceServer("127.0.0.1", 0, library, tls=PeerTls(directory, "test"))
    pieces.start()
    yield pieces
    pieces.stop(1)


def request(library: OneFile, more: str = "") -> bytes:
    return f"GET /pieces/{library.id} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


def context(tmp_path: Path, pair: tuple[bytes, bytes] | None) -> ssl.SSLContext:
    """Of a client that takes any server, with a certificate or without."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname = False
    found.verify_mode = ssl.CERT_NONE
    if pair is not None:
        file = tmp_path / "client.pem"
        file.write_bytes(pair[1] + pair[0])
        found.load_cert_chain(file)
    return found


def read_all(sock: socket.socket) -> bytes:
    """Until the other side ends it, in whatever way."""
    found = bytearray()
    try:
        while data := sock.recv(65536):
            found += data
    except OSError:
        pass
    return bytes(found)


def ask(port: int, using: ssl.SSLContext, what: bytes) -> bytes:
    """All that is answered."""
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        try:
            with using.wrap_socket(plain) as sock:
                sock.sendall(what)
                return read_all(sock)
        except ssl.SSLError:
            return b""


def refused(reason: str) -> float:
    return float(PEERS_REFUSED.labels(reason)._value.get())


def test_a_peer_gets_what_it_asks_for(listener: PieceServer, library: OneFile, tmp_path: Path) -> None:
    peer = context(tmp_path, AUTHORITY.issue(NAME))
    head, _, body = ask(listener.port, peer, request(library, "Connection: close\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == DATA
    some = request(library, "Range: bytes=1000000-1999999\r\nConnection: close\r\n")
    assert ask(listener.port, peer, some).partition(b"\r\n\r\n")[2] == DATA[1_000_000:2_000_000]


def test_requests_in_a_pipeline_are_answered_in_their_order(
    listener: PieceServer, library: OneFile, tmp_path: Path
) -> None:
    peer = context(tmp_path, AUTHORITY.issue(NAME))
    count = 300
    asked = b"".join(request(library, f"Range: bytes={n}-{n}\r\n") for n in range(count))
    answers = ask(listener.port, peer, asked + request(library, "Range: bytes=0-0\r\nConnection: close\r\n"))
    bodies = [part[:1] for part in answers.split(b"\r\n\r\n")[1:]]
    assert b"".join(bodies) == DATA[:count] + DATA[:1]


def test_a_peer_that_reads_late_gets_everything_and_keeps_nobody_waiting(
    listener: PieceServer, library: OneFile, tmp_path: Path
) -> None:
    peer = context(tmp_path, AUTHORITY.issue(NAME))
    with socket.create_connection(("127.0.0.1", listener.port), 10) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        with peer.wrap_socket(plain) as late:
            late.sendall(request(library, "Connection: close\r\n"))
            wait_for(lambda: listener.uploads, "the late one is being answered")
            other = ask(listener.port, peer, request(library, "Range: bytes=5-9\r\nConnection: close\r\n"))
            assert other.endswith(DATA[5:10])
            assert read_all(late).partition(b"\r\n\r\n")[2] == DATA


REFUSED: dict[str, tuple[Callable[[], tuple[bytes, bytes] | None], str, str]] = {
    "without a certificate": (lambda: None, "no-certificate", "it shows no certificate"),
    "of another authority": (
        lambda: STRANGER.issue(NAME),
        "untrusted",
        "its certificate is not one of this network",
    ),
    "that has expired": (
        lambda: AUTHORITY.issue(NAME, days=-1),
        "expired",
        "its certificate has expired",
    ),
    "for another network": (
        lambda: AUTHORITY.issue("other.peers.minga"),
        "name",
        "its certificate is not for test.peers.minga",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_who_is_no_peer_gets_nothing_and_it_is_said_once(
    listener: PieceServer, library: OneFile, tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    pair, reason, said = REFUSED[case]
    caplog.set_level(logging.WARNING)
    before = refused(reason)
    client = context(tmp_path, pair())
    for _ in range(3):
        assert ask(listener.port, client, request(library)) == b""
    wait_for(lambda: refused(reason) == before + 3, "three refusals")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"refused 127.0.0.1: {said}")
    assert listener.uploads == 0


def test_plain_http_gets_nothing(
    listener: PieceServer, library: OneFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    before = refused("no-tls")
    with socket.create_connection(("127.0.0.1", listener.port), 10) as sock:
        sock.sendall(request(library))
        answer = read_all(sock)
    assert b"HTTP" not in answer
    assert MARK not in answer
    wait_for(lambda: refused("no-tls") == before + 1, "a refusal")
    assert [record.getMessage() for record in caplog.records] == ["refused 127.0.0.1: it does not speak TLS"]


def test_an_older_tls_gets_nothing(listener: PieceServer, library: OneFile, tmp_path: Path) -> None:
    client = context(tmp_path, AUTHORITY.issue(NAME))
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    before = refused("no-tls")
    assert ask(listener.port, client, request(library)) == b""
    wait_for(lambda: refused("no-tls") == before + 1, "a refusal")


def test_a_look_at_the_port_is_no_refusal(
    listener: PieceServer, library: OneFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(5):
        socket.create_connection(("127.0.0.1", listener.port), 10).close()
    peer = context(tmp_path, AUTHORITY.issue(NAME))
    assert ask(listener.port, peer, request(library, "Connection: close\r\n")).endswith(DATA[-100:])
    assert caplog.records == []


def test_who_begins_no_handshake_is_let_go_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, listener: PieceServer, library: OneFile, tmp_path: Path
) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 0.2)
    before = refused("timeout")
    with socket.create_connection(("127.0.0.1", listener.port), 10) as silent:
        peer = context(tmp_path, AUTHORITY.issue(NAME))
        assert ask(listener.port, peer, request(library, "Connection: close\r\n")).endswith(DATA[-100:])
        assert read_all(silent) == b""
    assert refused("timeout") == before + 1


def test_a_holder_that_is_no_peer_is_asked_for_nothing(directory: Path, tmp_path: Path) -> None:
    """The other way round: who listens must have a certificate of the network, too."""
    tls = PeerTls(directory, "test")
    for name, authority, said in (
        ("stranger", STRANGER, "its certificate is not of the authority in ca.crt"),
        ("elsewhere", AUTHORITY, "its certificate is not for test.peers.minga"),
    ):
        network = "test" if authority is STRANGER else "elsewhere"
        place = authority.directory(tmp_path / name, f"{network}.peers.minga")
        with_other = PeerTls(place, network)
        pieces = PieceServer("127.0.0.1", 0, OneFile(tmp_path / "file of another", b"x"), tls=with_other)
        pieces.start()
        try:
            with pytest.raises(PeerUnreachable, match=said):
                Remote(name, "127.0.0.1", pieces.port, tls).connect()
        finally:
            pieces.stop(1)


def test_a_renewed_certificate_counts_from_the_next_connection_on(
    monkeypatch: pytest.MonkeyPatch, listener: PieceServer, directory: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(peer_tls, "LOOK_SECONDS", 0.0)
    fresh = Authority("the next one")
    client = PeerTls(fresh.directory(tmp_path / "fresh", NAME), "test")
    with pytest.raises(PeerUnreachable):
        Remote("listener", "127.0.0.1", listener.port, client).connect()
    fresh.directory(directory, NAME)
    # What was read at the start may still be young enough.
    wait_for(lambda: connects(listener.port, client), "the new certificate is taken")


def connects(port: int, tls: PeerTls) -> bool:
    try:
        Remote("listener", "127.0.0.1", port, tls).connect().close()
    except PeerUnreachable:
        return False
    return True


# Whole transfers.

Make = Callable[..., SwarmPeer]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    peers: list[SwarmPeer] = []

    def peer(name: str, **options: object) -> SwarmPeer:
        tls = PeerTls(AUTHORITY.directory(tmp_path / f"tls-{name}", NAME), "test")
        peers.append(SwarmPeer(name, tmp_path / name, tls=tls, **options).start())  # type: ignore[arg-type]
        return peers[-1]

    yield peer
    for each in peers:
        each.stop()


@pytest.fixture
def tap() -> Iterator[Callable[..., Relay]]:
    relays: list[Relay] = []

    def begin(port: int, cut_after: int | None = None) -> Relay:
        relays.append(Relay(port, cut_after))
        return relays[-1]

    yield begin
    for relay in relays:
        relay.close()


def fetched(taker: SwarmPeer, content_id: str) -> bytes:
    result = taker.downloads.wait(taker.downloads.start(content_id, "copy.bin").id, 90)
    assert result.state is DownloadState.COMPLETE, result.why
    return (taker.directory / "copy.bin").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 48 * MIB + 5])
def test_a_file_crosses_whole(make: Make, size: int) -> None:
    giver, data = make("giver"), os.urandom(size)
    (giver.directory / "file.bin").write_bytes(data)
    manifest = giver.share("file.bin")
    assert fetched(make("taker", others=[(giver.peer, True)]), manifest.id) == data


def test_nothing_can_be_read_on_the_way(make: Make, tap: Callable[..., Relay]) -> None:
    giver = make("giver")
    (giver.directory / "file.bin").write_bytes(DATA)
    manifest = giver.share("file.bin")
    relay = tap(giver.pieces.port)
    assert (
        fetched(make("taker", others=[(replace(giver.peer, data_port=relay.port), True)]), manifest.id)
        == DATA
    )
    assert len(relay.seen) == MIB or len(relay.seen) > len(MARK)
    for readable in (MARK, b"HTTP/1.1", manifest.id.encode(), b"taker"):
        assert readable not in relay.seen


def test_a_download_goes_on_after_connections_are_cut(make: Make, tap: Callable[..., Relay]) -> None:
    giver, data = make("giver"), os.urandom(32 * MIB)
    (giver.directory / "file.bin").write_bytes(data)
    manifest = giver.share("file.bin")
    relay = tap(giver.pieces.port, cut_after=9 * MIB + 4321)
    assert (
        fetched(make("taker", others=[(replace(giver.peer, data_port=relay.port), True)]), manifest.id)
        == data
    )
    assert relay.cuts >= 2


def test_many_small_files_cross(make: Make) -> None:
    giver = make("giver")
    contents = {f"f{n}": os.urandom(n * 37) for n in range(400)}
    files = []
    for name, data in contents.items():
        (giver.directory / name).write_bytes(data)
        files.append(SmallFile(giver.share(name).id, name, len(data)))
    taker = make("taker", others=[(giver.peer, True)])
    result = taker.downloads.wait(taker.downloads.start_many(files, "all").id, 90)
    assert result.state is DownloadState.COMPLETE, result.why
    assert {name: (taker.directory / name).read_bytes() for name in contents} == contents
