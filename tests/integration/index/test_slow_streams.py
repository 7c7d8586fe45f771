"""Streams whose other end is slow: real gRPC, and a peer that reads or sends nothing more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from minga_node.index import Delta
from minga_node.index.log.deltas import wire_bytes
from minga_node.membership import stream_rate
from minga_node.membership.catch_up_slots import STREAMS
from minga_node.membership.messages import Fetch
from minga_node.pclient.channels import OPTIONS
from minga_node.pclient.messages import digest_to_message
from minga_node.pclient.peers import to_message
from minga_protos.v1 import index_pb2, index_pb2_grpc
from tests.support.index_node import IndexNode, Nodes, file, making, until
from tests.support.writer import Writer
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

FILES = 40_000
"""With long names: more than gRPC takes in before its reader reads."""


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    monkeypatch.setattr(stream_rate, "PATIENCE", 1.0)
    with making(tmp_path) as made:
        yield made


@pytest.fixture
def full(nodes: Nodes) -> IndexNode:
    node = nodes.make("full")
    node.index.publish([file(f"{n:06d}{'x' * 150}", n + 1) for n in range(FILES)])
    return node


class Reader:
    """Fetches by gRPC, reads the first message, and then nothing."""

    def __init__(self, node: IndexNode, name: str) -> None:
        record = Writer(name, network="test").record()
        request = index_pb2.FetchRequest(
            network="test",
            sender=to_message(record),
            digests=map(digest_to_message, ()),
        )
        # A connection of its own that takes in little before it is read from.
        options = [*OPTIONS, ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 2**16)]
        self._channel = grpc.insecure_channel(node.peer.grpc_target, options)
        stub = index_pb2_grpc.IndexStub(self._channel)
        # Without a deadline: nothing but the node itself ends it.
        self._call: Any = stub.Fetch(request)
        next(self._call)

    def read_on(self) -> grpc.StatusCode:
        """How it ends."""
        with suppress(grpc.RpcError):
            for _ in self._call:
                pass
        code: grpc.StatusCode = self._call.code()
        self._channel.close()
        return code


def test_readers_that_take_nothing_more_do_not_keep_others_out(nodes: Nodes, full: IndexNode) -> None:
    readers = [Reader(full, f"stuck-{n}") for n in range(STREAMS)]
    newcomer = nodes.make("newcomer", [full.url])
    until(lambda: len(newcomer.index.files_of("full")) == FILES, 60)
    ends = [reader.read_on() for reader in readers]
    assert sorted(end.name for end in ends) == ["CANCELLED", *["OK"] * (STREAMS - 1)], (
        "one made room, no more"
    )


def test_a_giver_that_sends_nothing_more_does_not_keep_others_out(
    nodes: Nodes, full: IndexNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough to be seen waiting, also by a test that is held up itself.
    monkeypatch.setattr(stream_rate, "PATIENCE", 5.0)
    stuck = nodes.make("stuck", [full.url])
    until(lambda: len(stuck.index.files_of("full")) == FILES, 60)
    asked, released = threading.Event(), threading.Event()
    serve = stuck.membership._gossip.serve

    def one_part(request: Fetch, cancel: Any) -> Iterator[Delta]:
        yield next(serve(request, cancel))
        asked.set()
        released.wait(60)

    monkeypatch.setattr(stuck.membership._gossip, "serve", one_part)
    newcomer = nodes.make("newcomer")
    try:
        # It knows nobody but the stuck one until it waits for that.
        newcomer.membership.hear_of(stuck.membership.own())
        wait_for(asked.is_set, "the stuck one is asked")
        assert newcomer.membership._gossip._catch_up.running
        newcomer.membership.hear_of(full.membership.own())
        until(lambda: len(newcomer.index.files_of("full")) == FILES, 60)
    finally:
        released.set()


def test_the_part_that_comes_first_is_not_all(full: IndexNode) -> None:
    delta = full.index.logs.delta("full", 0, 2 * 1024 * 1024)
    assert delta is not None
    assert wire_bytes(delta) < 2.1 * 1024 * 1024
    assert not delta.signature
