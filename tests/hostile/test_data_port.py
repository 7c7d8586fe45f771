"""Strangers at the data port, while a peer that works fetches a file from it."""

from __future__ import annotations

import os
import resource
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.sockets import crowd
from tests.nodes import HOST, Nodes, RunningNode, free_port
from tests.support.authority import Authority
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

DATA = os.urandom(4 * 2**20)
SECONDS = 20.0
"""In which the honest peer has its file; alone it takes below one."""
MANY = 2100
"""Connections: more than the port takes in all."""


def descriptors(node: RunningNode) -> int:
    return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))


def fetched(peer: RunningNode, name: str, data: bytes) -> None:
    """A peer fetches a file, to the end and in time."""
    wait_for(lambda: name in peer.names(), "the file is known", 20)
    begun = time.monotonic()
    download = peer.fetch(name=name, timeout=SECONDS)
    assert download["state"] == "complete", download
    assert time.monotonic() - begun < SECONDS
    assert (peer.directory / name).read_bytes() == data


def pair(nodes: Nodes, **config: Any) -> tuple[RunningNode, RunningNode, int]:
    """A holder, a peer of it, and the holder's data port."""
    port = free_port()
    holder = nodes.start("holder", files={"big.bin": DATA}, data_port=port, **config).ready()
    return holder, nodes.start("peer", holder, **config).ready(), port


def test_heads_that_trickle_keep_no_peer_out(nodes: Nodes) -> None:
    holder, peer, port = pair(nodes)
    sent = {"bytes": 0}

    def trickle(sock: socket.socket) -> None:
        sent["bytes"] += sock.send(b"G")

    with crowd(port, MANY, trickle):
        wait_for(lambda: sent["bytes"] >= MANY, "all of them trickle", 60)
        fetched(peer, "big.bin", DATA)
    assert holder.request("GET", "/readyz").status == 200


def test_mute_sockets_keep_no_peer_out_where_peers_speak_tls(nodes: Nodes, tmp_path: Path) -> None:
    directory = Authority().directory(tmp_path / "tls", "test.peers.minga")
    holder, peer, port = pair(nodes, peer_tls_directory=str(directory))
    seen = {"acts": 0}

    def say_nothing(sock: socket.socket) -> None:
        seen["acts"] += 1
        if not sock.recv(1):
            raise ConnectionResetError

    with crowd(port, MANY, say_nothing, again=MANY):
        wait_for(lambda: seen["acts"] >= MANY, "all of them are there", 60)
        fetched(peer, "big.bin", DATA)
    assert holder.request("GET", "/readyz").status == 200


def test_answers_that_nobody_reads_keep_no_peer_out(nodes: Nodes) -> None:
    """Each has asked for all of a file that is here, and reads none of it."""
    holder, peer, port = pair(nodes)
    (found,) = holder.get("/api/v1/files?limit=10")["files"]
    request = f"GET /pieces/{found['id']} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    asked: set[int] = set()

    def ask(sock: socket.socket) -> None:
        if sock.fileno() not in asked:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.send(request)
            asked.add(sock.fileno())

    with crowd(port, 200, ask):
        wait_for(lambda: len(asked) >= 200, "all have asked", 30)
        fetched(peer, "big.bin", DATA)


def test_refused_ranges_in_a_pipeline_leave_descriptors_for_others(nodes: Nodes) -> None:
    """A connection asks for what no content has, of a thousand contents, each of which has to be opened."""
    port = free_port()
    files = {f"small/{number}": b"%d" % number for number in range(1000)}
    holder = nodes.start("holder", files={**files, "big.bin": DATA}, data_port=port).ready()
    peer = nodes.start("peer", holder).ready()
    wait_for(lambda: len(holder.names("small")) == 1000, "all files are shared", 60)
    found = holder.get("/api/v1/files?limit=1000&q=small")["files"]
    limit = descriptors(holder) + 40
    resource.prlimit(holder.process.pid, resource.RLIMIT_NOFILE, (limit, 20_000))
    asked = b"".join(
        f"GET /pieces/{row['id']} HTTP/1.1\r\nHost: x\r\nRange: bytes=9999-\r\n\r\n".encode() for row in found
    )
    with socket.create_connection((HOST, port), 10) as sock:
        sock.sendall(asked)
        answers = b""
        while answers.count(b"HTTP/1.1 ") < len(found):
            more = sock.recv(65536)
            assert more, "the connection ended"
            answers += more
        assert answers.count(b"HTTP/1.1 416") > 0
        fetched(peer, "big.bin", DATA)
    assert holder.request("GET", "/readyz").status == 200


def test_without_descriptors_it_waits_for_some_and_says_so_once(nodes: Nodes) -> None:
    holder, peer, port = pair(nodes)
    resource.prlimit(holder.process.pid, resource.RLIMIT_NOFILE, (descriptors(holder) + 8, 20_000))
    idle = [socket.create_connection((HOST, port), 10) for _ in range(40)]
    wait_for(lambda: "the piece listener accepts nobody for now" in holder.log, "it says so", 20)
    time.sleep(3)
    assert holder.log.count("accepts nobody for now") <= 4
    for sock in idle:
        sock.close()
    wait_for(lambda: "the piece listener accepts connections again" in holder.log, "it goes on", 20)
    fetched(peer, "big.bin", DATA)


def test_a_node_raises_its_limit_of_descriptors_to_the_hard_one(nodes: Nodes) -> None:
    node = nodes.start("node")
    node.kill()
    node.prefix = ("prlimit", "--nofile=256:3000")
    node.launch()
    node.ready()
    assert resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE) == (3000, 3000)
