"""A node's life: its parts begin in one order, and end in another."""

from __future__ import annotations

import ipaddress
import logging
import threading
from contextlib import suppress

from minga_node import tracing
from minga_node.errors import MingaError
from minga_node.metrics import BUILD, without_broker
from minga_node.observed import observe
from minga_node.parts import GRACE_SECONDS, NodeParts
from minga_node.server.rest import create_app
from minga_node.version import VERSION

log = logging.getLogger(__name__)


class Node(NodeParts):
    """One node. It is made, then :meth:`start` lets it serve, then :meth:`stop` ends it for good."""

    def start(self) -> None:
        """Begins to serve, then to look at the library and to join; both go on in the background.

        Raises:
            MingaError, OSError: the node cannot serve; the caller stops it then.
        """
        BUILD.info({"version": VERSION})
        config = self.config
        observe(
            self.copies,
            self.downloads,
            self.pieces,
            self.capacity,
            config.upload_slots,
            config.replication_target,
        )
        if not self.config.has_broker:
            without_broker()
        self._warn_when_open()
        self.state.start()
        with suppress(MingaError):
            # What an earlier process left goes before anybody puts anything.
            self.library.clean()
        self.http.start(*create_app(self.services))
        self.grpc.start()
        self.pieces.start()
        self.watcher.start()
        if config.sha256:
            self.digests.start()
        self.downloads.start_up()
        self.messaging.start()
        self.membership.start()
        self._started.set()
        peer = self._self
        log.info(
            "%s serves %s: REST %s, gRPC port %d, pieces port %d",
            peer.id,
            self.config.directory,
            peer.rest_url,
            peer.grpc_port,
            peer.data_port,
        )

    def _warn_when_open(self) -> None:
        if self.services.tokens is None and not ipaddress.ip_address(self.config.ip).is_loopback:
            log.warning("REST is open to everybody who reaches this node: tokens_directory is not set")

    def stop(self) -> None:
        """Says goodbye, lets running requests and pieces finish, and keeps the state; within ten seconds."""
        self.services.stopping.set()
        self.workers.end()
        self.drain.stop()
        self.membership.stop()
        self.messaging.stop()
        ends = [
            threading.Thread(target=self.http.stop),
            threading.Thread(target=self.pieces.stop, args=(GRACE_SECONDS,)),
            threading.Thread(target=self.watcher.stop),
            threading.Thread(target=self.digests.stop),
        ]
        for thread in ends:
            thread.start()
        for thread in ends:
            thread.join(GRACE_SECONDS + 2)
        self.downloads.stop(1.0)
        self.grpc.stop(0.5)
        self.content.close()
        self.channels.close()
        self.state.stop()
        tracing.end()
        self._undo.close()
