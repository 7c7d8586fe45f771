"""Nodes that have an index and members but no files: everything real, in this process, on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from minga_node.index import Index, Query
from minga_node.membership import Membership
from minga_node.model import LocalFile, Peer
from minga_node.pclient.channels import Channels
from minga_node.pclient.gossip import GossipClient
from minga_node.pserver import index as index_service
from minga_node.pserver import membership as membership_service
from minga_node.pserver.service import GrpcServer
from minga_node.store import Store
from tests.support.quiet_handler import QuietHandler
from tests.waiting import wait_for

GOSSIP_SECONDS = 0.1


def until(condition: Callable[[], object], timeout: float = 20) -> None:
    """Waits until all nodes agree on something."""
    wait_for(condition, "the nodes agree", timeout)


def file(name: str, seed: int = 1, **changes: object) -> LocalFile:
    """A shared file that exists in name only."""
    fields: dict[str, object] = {
        "name": name, "id": f"{seed:064x}", "size": seed, "media_type": "text/plain", "modified_ms": seed
    }  # fmt: skip
    return LocalFile(**{**fields, **changes})  # type: ignore[arg-type]


class IndexNode:
    """A node without a library."""

    def __init__(
        self,
        directory: Path,
        name: str,
        seeds: Sequence[str] = (),
        *,
        network: str = "test",
        gossip_seconds: float = GOSSIP_SECONDS,
        suspect_seconds: float = 2.0,
        dead_seconds: float = 4.0,
        eager: Callable[[], bool] = lambda: True,
        port: int = 0,
        rest_port: int = 0,
    ) -> None:
        self.name = name
        self.store = Store(directory / name / "minga.sqlite3")
        self.index = Index(self.store, name, network)
        self.channels = Channels()
        self.calls = GossipClient(self.channels)
        self.membership = Membership(
            lambda: self.peer,
            network,
            seeds,
            self.index,
            self.calls,
            self.store,
            gossip_seconds=gossip_seconds,
            suspect_seconds=suspect_seconds,
            dead_seconds=dead_seconds,
            eager=eager,
        )
        services = [
            (membership_service.NAME, membership_service.MembershipService(self.membership).register),
            (index_service.NAME, index_service.IndexService(self.membership, self.index).register),
        ]
        self.grpc = GrpcServer("127.0.0.1", port, services, max_workers=16)
        self.rest = ThreadingHTTPServer(("127.0.0.1", rest_port), self._handler())
        self.rest.daemon_threads = True
        self.peer = Peer(
            name, self.store.epoch, "127.0.0.1", self.rest.server_port, self.grpc.port, 1, version="test"
        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        node = self

        class Handler(QuietHandler):
            def body(self) -> bytes:
                peer = node.peer
                said = {key: getattr(peer, key) for key in ("id", "epoch", "host", "version")}
                said |= {key: getattr(peer, key) for key in ("rest_port", "grpc_port", "data_port")}
                return json.dumps(said).encode()

        return Handler

    @property
    def url(self) -> str:
        return self.peer.rest_url

    def start(self) -> IndexNode:
        threading.Thread(target=self.rest.serve_forever, args=(0.05,), daemon=True).start()
        self.grpc.start()
        self.membership.start()
        return self

    def stop(self, *, goodbye: bool = True) -> None:
        if goodbye:
            self.membership.stop()
        else:
            self.membership.die()
        self.rest.shutdown()
        self.rest.server_close()
        self.grpc.stop(0.2)
        self.index.close()
        self.channels.close()
        self.store.close()

    def names(self, text: str = "") -> list[str]:
        return [row.name for row in self.index.search(Query(text, limit=100_000)).rows]

    def contents(self) -> dict[str, dict[str, str]]:
        """What this node thinks that everybody shares."""
        return {peer: self.index.files_of(peer) for peer in self.index.logs.states()}


class Nodes:
    """Makes nodes and ends them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.running: list[IndexNode] = []

    def make(self, name: str, seeds: Sequence[str] = (), **options: Any) -> IndexNode:
        node = IndexNode(self.directory, name, seeds, **options)
        self.running.append(node.start())
        return node

    def network(self, count: int, **options: Any) -> list[IndexNode]:
        first = self.make("node-0", (), **options)
        return [first, *(self.make(f"node-{n}", [first.url], **options) for n in range(1, count))]

    def stop(self, node: IndexNode, *, goodbye: bool = True) -> None:
        self.running.remove(node)
        node.stop(goodbye=goodbye)


@contextmanager
def making(directory: Path) -> Iterator[Nodes]:
    nodes = Nodes(directory)
    try:
        yield nodes
    finally:
        for node in nodes.running:
            node.stop()
