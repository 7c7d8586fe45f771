"""Strangers at the port for other nodes, while a node joins, finds a file and fetches it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from minga_protos.v1 import content_pb2, content_pb2_grpc, index_pb2, index_pb2_grpc, peer_pb2
from tests.hostile import http2
from tests.nodes import HOST, Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

DATA = os.urandom(2**20)
SECONDS = 40.0
"""In which a newcomer has joined and has its file, on a busy machine; on an idle one it takes three."""


def joins_and_fetches(nodes: Nodes, seed: RunningNode) -> None:
    begun = time.monotonic()
    peer = nodes.start("peer", seed).ready(SECONDS)
    wait_for(lambda: "a.bin" in peer.names(), "the file is known", SECONDS)
    download = peer.fetch(name="a.bin", timeout=SECONDS)
    assert download["state"] == "complete", download
    assert time.monotonic() - begun < SECONDS
    assert (peer.directory / "a.bin").read_bytes() == DATA
    assert seed.request("GET", "/readyz").status == 200


@pytest.fixture
def seed(nodes: Nodes) -> RunningNode:
    node = nodes.start("seed", files={"a.bin": DATA}).ready()
    wait_for(lambda: "a.bin" in node.names(), "it is shared")
    return node


@pytest.fixture
def channels(seed: RunningNode) -> Iterator[list[grpc.Channel]]:
    """Several connections of a stranger."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                grpc.insecure_channel(
                    f"{HOST}:{seed.config['grpc_port']}", options=[("grpc.use_local_subchannel_pool", 1)]
                )
            )
            for _ in range(4)
        ]


def threads(node: RunningNode) -> int:
    return len(list(Path(f"/proc/{node.process.pid}/task").iterdir()))


def hold(count: int, begin: Callable[[int], Any]) -> list[Any]:
    """Streams that are begun and then left alone."""
    return [begin(number) for number in range(count)]


def test_idle_streams_hold_no_thread_and_keep_no_peer_out(
    nodes: Nodes, seed: RunningNode, channels: list[grpc.Channel]
) -> None:
    never = threading.Event()

    def silence() -> Iterator[Any]:
        never.wait(120)
        return iter(())

    def each(number: int) -> grpc.Channel:
        return channels[number % len(channels)]

    (found,) = seed.get("/api/v1/files?limit=10")["files"]
    identity = bytes.fromhex(found["id"])
    before = threads(seed)
    held = [
        *hold(
            300,
            lambda number: health_pb2_grpc.HealthStub(each(number)).Watch(health_pb2.HealthCheckRequest()),
        ),
        *hold(
            300,
            lambda number: content_pb2_grpc.ContentStub(each(number)).Follow(
                content_pb2.FollowRequest(content_id=identity, follower=f"nobody-{number}")
            ),
        ),
    ]
    refl = [
        reflection_pb2_grpc.ServerReflectionStub(each(number)).ServerReflectionInfo(
            iter(lambda: never.wait(60), True)
        )
        for number in range(20)
    ]
    try:
        joins_and_fetches(nodes, seed)
        assert threads(seed) < before + 60
    finally:
        never.set()
        for call in [*held, *refl]:
            call.cancel()


def test_calls_whose_request_never_comes_keep_no_peer_out(nodes: Nodes, seed: RunningNode) -> None:
    port = int(seed.config["grpc_port"])
    with ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(http2.connect(port))
            for number in range(50):
                sock.sendall(http2.begun(b"/minga.v1.Membership/Join", 2 * number + 1))
        joins_and_fetches(nodes, seed)


def test_answers_that_nobody_reads_keep_no_peer_out(
    nodes: Nodes, seed: RunningNode, channels: list[grpc.Channel]
) -> None:
    """Nothing of an answer fits into their window."""
    port = int(seed.config["grpc_port"])
    with ExitStack() as stack:
        for _ in range(10):
            sock = stack.enter_context(http2.connect(port, window=0))
            for number in range(50):
                stream = 2 * number + 1
                sock.sendall(
                    http2.begun(b"/grpc.health.v1.Health/Watch", stream)
                    + http2.frame(0, 1, stream, b"\0\0\0\0\0")
                )
        joins_and_fetches(nodes, seed)


@pytest.mark.parametrize("path", [b"/\xff\xfe", b"/" + b"x" * 120, b"/minga.v1.Index/No", b"no slash", b""])
def test_a_method_of_any_name_ends_nothing(seed: RunningNode, path: bytes) -> None:
    with http2.connect(int(seed.config["grpc_port"])) as sock:
        sock.sendall(http2.begun(path))
        sock.settimeout(5)
        assert sock.recv(100)
    with grpc.insecure_channel(f"{HOST}:{seed.config['grpc_port']}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert "Traceback" not in seed.log


def test_what_there_is_not_is_said(seed: RunningNode, channels: list[grpc.Channel]) -> None:
    """Reflection is off unless it is asked for."""
    call: Any = channels[0].unary_unary("/minga.v1.Index/Unheard")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    stub = reflection_pb2_grpc.ServerReflectionStub(channels[0])
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.ServerReflectionInfo(iter(()), timeout=20))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def resident(node: RunningNode) -> int:
    """MiB in memory."""
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) // 1024


def test_big_messages_of_another_network_are_not_parsed(
    seed: RunningNode, channels: list[grpc.Channel]
) -> None:
    """Eight at once, as big as a message may be, made of as many parts as fit."""
    digest = index_pb2.Digest(id="x", epoch=1, version=1)
    message = index_pb2.PushRequest(network="another", sender=peer_pb2.Peer(id="stranger", epoch=1))
    message.digests.extend([digest] * 600_000)
    assert 5_000_000 < message.ByteSize() < 8 * 2**20
    before = most = resident(seed)
    codes: list[grpc.StatusCode] = []

    def push(channel: grpc.Channel) -> None:
        for _ in range(3):
            try:
                index_pb2_grpc.IndexStub(channel).Push(message, timeout=60)
            except grpc.RpcError as error:
                codes.append(error.code())

    senders = [threading.Thread(target=push, args=(channels[number % 4],)) for number in range(8)]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        most = max(most, resident(seed))
        time.sleep(0.01)
    assert set(codes) == {grpc.StatusCode.FAILED_PRECONDITION}
    assert len(codes) == 24
    assert most - before < 250
