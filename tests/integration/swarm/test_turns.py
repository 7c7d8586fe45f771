"""How long the piece listener's thread is away from its connections: never for what may block."""

from __future__ import annotations

import io
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from minga_node.downloads.contents import CompleteContent
from minga_node.downloads.exchange import Exchange
from minga_node.fetching import HolderConnection, IoThreads, PartialFile, Remote
from minga_node.manifest import Manifest, hash_file
from minga_node.swarm import PieceFetch
from minga_node.uploads import Contents, OpenContent, PieceServer
from minga_node.uploads.connection import PieceNews
from minga_node.wire import TokenBucket
from minga_node.wire.piece_set import Pieces
from tests.support.home import Home
from tests.support.one_file import OneFile
from tests.support.slow_files import possible, slow_files
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.integration

DATA = os.urandom(300_000)
HELD = 2.0
"""Seconds for which something blocks."""
LONGEST_TURN = 1.0
"""Seconds: hundreds of times what a turn takes, for a machine that does other work."""


class Turns:
    """In place of a listener's epoll: how long it was away from it."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll, self._since = epoll, time.monotonic()
        self.longest = 0.0

    def poll(self, wait: float) -> list[tuple[int, int]]:
        self.longest = max(self.longest, time.monotonic() - self._since)
        events = self._epoll.poll(wait)
        self._since = time.monotonic()
        return events

    def __getattr__(self, name: str) -> object:
        return getattr(self._epoll, name)


Serve = Callable[..., tuple[PieceServer, Turns]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(contents: object, **more: object) -> tuple[PieceServer, Turns]:
            server = PieceServer("127.0.0.1", 0, contents, **more)  # type: ignore[arg-type]
            turns = Turns(server._epoll)
            server._epoll = turns  # type: ignore[assignment]
            server.start()
            stack.callback(server.stop, 0)
            return server, turns

        yield start


def ask(server: PieceServer, content_id: str, *fields: str, method: str = "GET") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port), 10)
    lines = [f"{method} /pieces/{content_id} HTTP/1.1", "Host: x", *fields, "", ""]
    sock.sendall("\r\n".join(lines).encode())
    return sock


def answered(sock: socket.socket) -> str:
    """The status of an answer that comes within a second, of which nothing else is read."""
    begun = time.monotonic()
    with closing(sock):
        status = sock.recv(65536).split()[1].decode()
    assert time.monotonic() - begun < LONGEST_TURN
    return status


def test_the_librarys_lock_is_held_while_a_file_is_placed(serve: Serve, tmp_path: Path) -> None:
    """To place it may mean to copy it to another disk."""
    home = Home(tmp_path)
    library = home.open()
    files = [library.put(f"{number}", io.BytesIO(os.urandom(1000)), 1000)[0] for number in range(3)]

    class InLibrary(Contents):
        def open(self, content_id: str) -> OpenContent | None:
            opened = library.open_id(content_id)
            if opened is None:
                return None
            with opened.stream as stream:
                return OneFile(tmp_path / f"copy of {opened.file.name}", stream.read()).open(content_id)

    server, turns = serve(InLibrary())
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with library._lock:
            held.set()
            over.wait(HELD)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    begun = time.monotonic()
    assert [answered(ask(server, file.id, "Range: bytes=0-9")) for file in files] == ["206"] * 3
    assert time.monotonic() - begun < HELD
    over.set()
    thread.join()
    assert turns.longest < LONGEST_TURN
    home.close()


def test_a_disk_does_not_answer(serve: Serve, tmp_path: Path) -> None:
    """Who asks for what is on it waits; the others do not, nor does it keep the place of the one who left."""
    library = OneFile(tmp_path / "file", DATA)
    slow = "0" * 64

    class OnSlowDisk(Contents):
        def open(self, content_id: str) -> OpenContent | None:
            if content_id == slow:
                time.sleep(HELD)
            return library.open(content_id)

    server, turns = serve(OnSlowDisk())
    waiting = [ask(server, slow) for _ in range(3)]
    waiting.pop().close()
    assert answered(ask(server, library.id, "Range: bytes=0-9")) == "206"
    for sock in waiting:
        sock.settimeout(10)
        assert b"404" in sock.recv(100)
        sock.close()
    assert turns.longest < LONGEST_TURN
    wait_for(lambda: not server._by_descriptor, "nobody is left")


@pytest.mark.skipif(not possible(), reason="no right to mount by FUSE")
def test_bytes_of_a_file_take_their_time(serve: Serve, tmp_path: Path) -> None:
    """The file can be opened, and no byte of it is in memory: what is sent comes from a disk that is slow."""
    (tmp_path / "disk").mkdir()
    slow, quick = OneFile(tmp_path / "disk" / "file", DATA), OneFile(tmp_path / "file", DATA[1:])
    with slow_files(tmp_path / "disk", tmp_path / "slow", HELD) as place:

        class OnBoth(Contents):
            def open(self, content_id: str) -> OpenContent | None:
                if content_id == slow.id:
                    return CompleteContent(os.open(place / "file", os.O_RDONLY))
                return quick.open(content_id)

        server, turns = serve(OnBoth(), slots=2)
        waiting = [ask(server, slow.id) for _ in range(5)]
        leaving = ask(server, slow.id)
        wait_for(lambda: server.uploads >= 2, "they are being answered")
        leaving.close()
        for _ in range(3):
            assert answered(ask(server, quick.id, "Range: bytes=0-9")) == "206"
        for sock in waiting:
            sock.settimeout(PATIENCE)
            with closing(sock), sock.makefile("rb") as answer:
                while answer.readline().strip():
                    pass
                assert answer.read(len(DATA)) == DATA
        assert turns.longest < LONGEST_TURN
        wait_for(lambda: not server._by_descriptor, "nobody is left")
        server.stop(0)


def test_what_a_peer_may_be_told_takes_time_to_find(serve: Serve, tmp_path: Path) -> None:
    library = OneFile(tmp_path / "file", DATA)

    def available(_content_id: str) -> tuple[Pieces, int]:
        time.sleep(HELD / 2)
        return 1, 5

    exchange = Exchange(available)
    server, turns = serve(library, gossip=exchange)
    follows = ask(server, library.id, "Minga-Peer: near", "Minga-Follow: 1", method="HEAD")
    assert answered(ask(server, library.id, "Range: bytes=0-9")) == "206"
    follows.settimeout(10)
    assert b"204" in follows.recv(200)
    follows.close()
    assert turns.longest < LONGEST_TURN / 2 + HELD / 4
    wait_for(lambda: not exchange.followers(library.id), "it follows no more")


class Nobody:
    """Is told of what a receiver gets."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        return lambda *_, **__: 0


def test_another_holder_does_not_read_what_it_is_asked(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a peer says it has may be asked of others at once, on connections that may be full."""
    library = OneFile(tmp_path / "file", DATA)
    connect = Remote.connect

    def narrow(remote: Remote) -> socket.socket:
        sock = connect(remote)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return sock

    monkeypatch.setattr(Remote, "connect", narrow)
    manifest = Manifest(len(DATA), hash_file(library.path).digests)
    partial = PartialFile(tmp_path / "partial", manifest)
    receiving = IoThreads(1)
    with socket.create_server(("127.0.0.1", 0)) as holder, ExitStack() as stack:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stack.callback(receiving.stop, 5)
        receiver = HolderConnection(
            Remote("holder", "127.0.0.1", holder.getsockname()[1]),
            partial,
            Nobody(),  # type: ignore[arg-type]
            receiving,
            name="here",
            limiter=TokenBucket(0),
        )
        receiver.start()
        stack.enter_context(closing(holder.accept()[0]))
        wait_for(lambda: receiver._stream is not None, "connected")

        class Gossip(Nobody):
            def heard(self, content_id: str, peer: str, pieces: str) -> None:
                for number in range(1000):
                    receiver.ask(PieceFetch(number, "holder", (range(1),)))

            def news(self, content_id: str, peer: str) -> Pieces:
                return 0

            def others(self, content_id: str, peer: str) -> tuple[str, ...]:
                return ()

            def meet(self, content_id: str, peer: str) -> PieceNews | None:
                return None

        server, turns = serve(library, gossip=Gossip())
        assert answered(ask(server, library.id, "Minga-Peer: near", "Minga-Have: 1", method="HEAD")) == "204"
        assert turns.longest < LONGEST_TURN
        stack.callback(receiver.close)
    partial.close()


def test_a_client_does_not_read_its_answer(serve: Serve, tmp_path: Path) -> None:
    library = OneFile(tmp_path / "file", DATA)
    with library.path.open("r+b") as file:
        file.truncate(64 * 2**20)
    server, turns = serve(library)
    lazy = [ask(server, library.id) for _ in range(12)]
    wait_for(lambda: server.uploads >= 8, "they are being answered")
    assert answered(ask(server, library.id, "Range: bytes=0-9")) == "206"
    for sock in lazy:
        sock.close()
    assert turns.longest < LONGEST_TURN
