"""A node without REST, index and membership: only the parts that move content, with a given list of
others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from minga_node.downloads import Downloads
from minga_node.downloads.contents import CompleteContent
from minga_node.downloads.model import AvailabilityFollowing, End, Hear
from minga_node.fetching import Remote
from minga_node.manifest import Manifest, hash_file
from minga_node.manifests import Manifests
from minga_node.model import Peer
from minga_node.pclient.channels import Channels
from minga_node.pclient.content import ContentClient
from minga_node.pclient.credentials import ChannelCredentials
from minga_node.peer_tls import PeerTls
from minga_node.pserver import content
from minga_node.pserver.service import GrpcServer
from minga_node.store import Store
from minga_node.uploads import OpenContent, PieceServer
from minga_node.wire import TokenBucket


class SwarmPeer:
    """Shares ``directory``; everything else comes from its arguments."""

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        host: str = "127.0.0.1",
        others: Sequence[tuple[Peer, bool]] = (),
        members: dict[str, Peer] | None = None,
        parallelism: int = 4,
        upload_limit: float = 0,
        download_limit: float = 0,
        slots: int = 4,
        tls: PeerTls | None = None,
    ) -> None:
        self.tls = tls
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.others = list(others)
        self.store = Store(directory / ".minga" / "state.db")
        self.manifests = Manifests(self.store)
        self.files: dict[str, Path] = {}
        self.adopted = threading.Condition()
        self.channels = Channels(ChannelCredentials(tls))
        self.client = ContentClient(self.channels, name)
        self.downloads = Downloads(
            self.store,
            directory / ".minga" / "partial",
            name=name,
            network=self,
            manifests=self.manifests,
            library=self.open,
            adopt=self.adopt,
            parallelism=parallelism,
            download_limit=download_limit,
        )
        service = content.ContentService(self.downloads.manifest, self.downloads.exchange.subscribe)
        self.grpc = GrpcServer(host, 0, [(content.NAME, service.register)], tls=tls)
        self.pieces = PieceServer(
            host,
            0,
            self.downloads.contents,
            limiter=TokenBucket(upload_limit),
            gossip=self.downloads.exchange,
            slots=slots,
            tls=tls,
        )
        self.peer = Peer(name, 1, host, 0, self.grpc.port, self.pieces.port)
        self.members = members if members is not None else {}
        self.members[name] = self.peer

    def start(self) -> SwarmPeer:
        self.grpc.start()
        self.pieces.start()
        self.downloads.start_up()
        return self

    def stop(self) -> None:
        self.downloads.stop()
        self.pieces.stop()
        self.grpc.stop(0.2)
        self.client.close()
        self.channels.close()
        self.store.close()

    def share(self, name: str) -> Manifest:
        manifest = hash_file(self.directory / name)
        self.manifests.put(manifest)
        self.files[manifest.id] = self.directory / name
        return manifest

    def open(self, content_id: str) -> OpenContent | None:
        path = self.files.get(content_id)
        return CompleteContent(os.open(path, os.O_RDONLY)) if path else None

    def adopt(self, partial: Path, name: str, manifest: Manifest) -> None:
        target = self.directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(target)
        self.manifests.put(manifest)
        self.files[manifest.id] = target

    # Network

    def holders(self, content_id: str) -> Sequence[tuple[Peer, bool]]:
        return tuple(self.others)

    def listed(self, content_id: str) -> Mapping[str, bool]:
        return {peer.id: True for peer, _ in self.others}

    def contents(self, name: str) -> Sequence[str]:
        return ()  # those of others are known by their ids alone

    def find(self, name: str) -> Peer | None:
        return self.members.get(name)

    def remote(self, peer: Peer) -> Remote:
        return Remote(peer.id, peer.host, peer.data_port, self.tls)

    def manifest(self, peer: Peer, content_id: str) -> Manifest:
        return self.client.manifest(peer, content_id)

    def follow(self, peer: Peer, content_id: str, count: int, hear: Hear, end: End) -> AvailabilityFollowing:
        return self.client.follow(peer, content_id, count, hear, end)
