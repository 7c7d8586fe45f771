"""What a node consists of, and how its parts are connected. Nothing runs yet.

A part knows nothing of another's inside, nor of the channels. What it needs of them is handed to it here.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from minga_node import tracing
from minga_node.capacity import Capacity, Limit
from minga_node.claiming import prepare
from minga_node.config import Config
from minga_node.downloads import Downloads
from minga_node.drain import Drain
from minga_node.errors import NotFound
from minga_node.events.feed import Feed
from minga_node.index import Index
from minga_node.library import Library
from minga_node.library.digests import Digests
from minga_node.library.hashes import Hashes
from minga_node.library.watch import Watcher
from minga_node.manifest import Manifest, hash_open
from minga_node.manifests import Manifests
from minga_node.membership import Membership, OwnAddress
from minga_node.messaging import Messaging
from minga_node.model import Peer
from minga_node.observed import Copies
from minga_node.opening import Opening
from minga_node.pclient.channels import Channels
from minga_node.pclient.content import ContentClient
from minga_node.pclient.credentials import ChannelCredentials
from minga_node.pclient.gossip import GossipClient
from minga_node.pclient.transfers import Transfers, take_over
from minga_node.peer_tls import PeerTls
from minga_node.pserver.content import NAME as CONTENT
from minga_node.pserver.content import ContentService
from minga_node.pserver.index import NAME as INDEX
from minga_node.pserver.index import IndexService
from minga_node.pserver.membership import NAME as MEMBERSHIP
from minga_node.pserver.membership import MembershipService
from minga_node.pserver.service import GrpcServer
from minga_node.pserver.transfers import NAME as TRANSFERS
from minga_node.pserver.transfers import TransfersService
from minga_node.reach import Reach
from minga_node.server.http import HttpServer, Limits
from minga_node.server.rest import RESERVED, kind
from minga_node.server.services import Services
from minga_node.store import Store
from minga_node.tokens import TokenDirectory
from minga_node.uploads import PieceServer
from minga_node.version import VERSION
from minga_node.wire import TokenBucket
from minga_node.workers import Worker, Workers

STATE_SECONDS = 30.0
"""Between two looks whether the state can be written, while it fails nobody."""
GRACE_SECONDS = 5.0
"""Time that running requests and pieces get at the end; the whole end takes below ten."""


class NodeParts:
    """The parts of one node, made so that every reason not to start is found before anybody hears of it.

    Raises:
        MingaError, OSError: the node cannot start; one line says why.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._started = threading.Event()
        with ExitStack() as undo:
            lock = prepare(config)
            undo.callback(os.close, lock)
            self.capacity = Capacity(config.directory, Limit(config.storage_limit, config.storage_limit_file))
            self.http = HttpServer(
                config.ip,
                config.port,
                spool=config.own_directory / "incoming",
                rooms=lambda path: self.capacity.room("the body", path),
                limits=Limits(connections=config.rest_connections, threads=config.rest_threads),
                grace=GRACE_SECONDS,
                kind=kind,
                reserved=RESERVED,
            )
            undo.callback(self.http.stop)
            self.store = Store(config.state / "minga.sqlite3")
            undo.callback(self.store.close)
            self.state = Worker("state", self.store.probe, interval=STATE_SECONDS, delay=STATE_SECONDS)
            self.store.on_problem = self.state.wake
            self.index = Index(self.store, config.peer_id(self.http.port), config.network)
            undo.callback(self.index.close)
            self._build()
            self._undo = undo.pop_all()

    def _build(self) -> None:
        config = self.config
        name = config.peer_id(self.http.port)
        tracing.begin(name, config.network, VERSION)
        tokens = TokenDirectory(config.tokens_directory) if config.tokens_directory else None
        tls = PeerTls(config.peer_tls_directory, config.network) if config.peer_tls_directory else None
        self.channels = Channels(ChannelCredentials(tls))
        self.manifests = Manifests(self.store)
        self.library = Library(
            config.directory,
            config.own_directory,
            Hashes(self.store),
            self.index,
            self.manifests,
            hash_open,
            together=self.store.write,
            capacity=self.capacity,
            attributes=self.index.attributes,
        )
        self.watcher = Watcher(self.library, config.quiet_seconds, config.rescan_seconds)
        gossip = GossipClient(self.channels)
        self.address = OwnAddress(config.fixed_host)
        self.content = ContentClient(self.channels, name)
        self.membership = Membership(
            self.self_peer,
            config.network,
            config.seed_peer,
            self.index,
            gossip,
            self.store,
            gossip_seconds=config.gossip_seconds,
            suspect_seconds=config.suspect_seconds,
            dead_seconds=config.dead_seconds,
            forget_seconds=config.forget_seconds,
            forget_left_seconds=config.forget_left_seconds,
            protected=tls is not None,
            address=self.address,
        )
        opening = Opening(self.library)
        self.downloads = Downloads(
            self.store,
            config.own_directory / "partial",
            name=name,
            network=Reach(self.index, self.membership, self.content, name, tls),
            manifests=self.manifests,
            library=opening.open_one,
            several=opening.several,
            adopt=lambda path, wanted, manifest: self._adopt([(path, wanted, manifest)]),
            adopt_many=self._adopt,
            here=self.library.has,
            parallelism=config.parallelism,
            download_limit=config.download_limit,
            capacity=self.capacity,
        )
        self.drain = Drain(
            self.index,
            self.membership,
            lambda peer, file: take_over(self.channels, peer, file),
            name,
            self.watcher.looked,
        )
        self.feed = Feed(config.network, self.store)
        self.index.logs.hooks.append(self.feed.on_entries)
        self.membership.on_state.append(self.feed.on_state)
        self.membership.on_state.append(lambda _status: self.downloads.changed())
        self.index.on_change.append(lambda _peer: self.downloads.changed())
        self.messaging = Messaging(
            config,
            self.store,
            self.index,
            self.library,
            self.downloads,
            self.membership,
            lambda peer: gossip.room(peer.grpc_target),
            self.content.keeps,
            self.feed,
        )
        self.pieces = PieceServer(
            config.ip,
            config.data_port,
            self.downloads.contents,
            limiter=TokenBucket(config.upload_limit),
            gossip=self.downloads.exchange,
            slots=config.upload_slots,
            tls=tls,
        )
        self.digests = Digests(
            self.store, self.library, lambda: self.downloads.busy or self.pieces.uploads > 0
        )
        contents = ContentService(
            self.downloads.manifest, self.downloads.exchange.subscribe, self.messaging.copies.keeps
        )
        transfers = TransfersService(self.downloads.flows, self._take_over)
        self.grpc = GrpcServer(
            config.ip,
            config.grpc_port,
            [
                (CONTENT, contents.register),
                (TRANSFERS, transfers.register),
                (MEMBERSHIP, MembershipService(self.membership, self._room).register),
                (INDEX, IndexService(self.membership, self.index).register),
            ],
            or_any=not config.grpc_port_asked,
            tls=tls,
            network=config.network,
            reflects=config.grpc_reflection,
        )
        self._self = Peer(
            name,
            self.store.epoch,
            self.address.host,
            self.http.port,
            self.grpc.port,
            self.pieces.port,
            config.seed,
            VERSION,
        )
        self.workers = Workers()
        self.workers.watch([
            self.state,
            self.http.clock,
            *self.index.workers,
            self.watcher.worker,
            self.digests.worker,
            *self.downloads.workers,
            *self.membership.workers,
            *self.messaging.workers,
            self.drain.worker,
            self.pieces.worker,
        ])
        self.copies = Copies(self.index)
        self.services = Services(
            config=config,
            capacity=self.capacity,
            self_peer=self.self_peer,
            library=self.library,
            digests=self.digests,
            index=self.index,
            membership=self.membership,
            downloads=self.downloads,
            wants=self.messaging.wants,
            replications=self.messaging.replications,
            messaging=self.messaging,
            drain=self.drain,
            feed=self.feed,
            broker_connected=self.messaging.connected,
            broker_problem=self.messaging.broker_problem,
            flows=Transfers(self.channels, self.downloads.flows, self.membership.alive).flows,
            problems=self.problems,
            dead=lambda: list(filter(None, (self.pieces.worker.problem(), self.grpc.problem()))),
            tokens=tokens,
            below_target=lambda: self.copies.below(config.replication_target),
        )

    def _room(self) -> int:
        """Bytes that this node can still take."""
        return 0 if self.library.away() else self.capacity.disk().free

    def self_peer(self) -> Peer:
        """This node as others are told of it."""
        host = self.address.host
        if self._self.host != host:
            self._self = replace(self._self, host=host)
        return self._self

    def problems(self) -> list[str]:
        """The reasons why this node is not ready; none when it is."""
        found = []
        if not self._started.is_set():
            found.append("the node is starting")
        if self.services.stopping.is_set():
            found.append("the node is ending")
        if away := self.library.away():
            found.append(away)
        if (problem := self.grpc.problem()) is not None:
            found.append(problem)
        return found + self.membership.problems + self.workers.problems()

    def _adopt(self, files: Sequence[tuple[Path, str, Manifest]]) -> None:
        """Takes completed downloads into the library, each with the time of modification of its holders."""
        for path, name, manifest in files:
            for row in self.index.by_name(name):
                if row.id == manifest.id:
                    with suppress(OSError, OverflowError):
                        os.utime(path, ns=(time.time_ns(), row.modified_ms * 1_000_000))
        self.library.adopt(files)
        with self.store.write():
            for _, name, manifest in files:
                self.messaging.completed(name, manifest.id, manifest.size)

    def _take_over(self, content_id: str, name: str) -> str:
        """Begins to fetch what a leaving node asks this one to keep; returns the download's id."""
        if not self.index.by_id(content_id):
            raise NotFound(f"nobody shares the content {content_id}")
        return self.downloads.start(content_id, name).id
