"""The parts that talk through the broker, put together: outbox, wants, jobs, replication, MOM."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from minga_node.config import Config
from minga_node.downloads import Downloads
from minga_node.errors import BrokerUnavailable, MingaError, NotFound
from minga_node.events import Event, Outbox, decode, make
from minga_node.events.feed import Feed
from minga_node.events.files import FILES, FileEvents
from minga_node.index import Index
from minga_node.index.log import KEY
from minga_node.library import Library
from minga_node.membership import Goodbye, Membership
from minga_node.model import Letter, Peer
from minga_node.mom import BrokerAddresses, Mom, trust
from minga_node.requests import CopyUpkeep, Drops, Jobs, OwnCopies, Presence, Replications, SentJob, Wants
from minga_node.store import Store
from minga_node.workers import Worker

log = logging.getLogger(__name__)

DAY_MS = 86_400_000


def _latest() -> int:
    """The latest moment, in milliseconds since 1970, that a clock of another node may show."""
    return time.time_ns() // 1_000_000 + DAY_MS


class Messaging:
    """Wants and replications are there without a broker too; events and jobs need one.

    Args:
        config: its ``broker_url`` or ``broker_url_file`` says where the broker is; none for gRPC alone.
        room: free bytes of another node; raises MingaError.
        keeps: whether another node has all of a content and is not dropping it; raises MingaError.
        feed: gets what comes through the broker.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        index: Index,
        library: Library,
        downloads: Downloads,
        membership: Membership,
        room: Callable[[Peer], int],
        keeps: Callable[[Peer, str], bool],
        feed: Feed,
    ) -> None:
        network = config.network
        self._index, self._membership, self._network = index, membership, network
        self.copies = OwnCopies(
            index,
            library,
            downloads,
            lambda: membership.joined,
            membership.get,
            keeps,
            config.stalled_seconds,
        )
        self.outbox = Outbox(store) if config.has_broker else None
        self.jobs: Jobs | None = None
        self.mom: Mom | None = None
        if self.outbox is not None:
            self.jobs = Jobs(store, self.outbox, network, index.self_id, self.copies.hold, self.copies.drop)
        self.wants = Wants(store, index, self.outbox, network, downloads.start)
        downloads.on_gone.append(self.wants.gone)
        target, delay = config.replication_target, config.replication_delay_seconds
        presence = Presence(index.self_id, membership.statuses, delay)
        self.replications = Replications(
            store, index, self.outbox, self.jobs, network, membership.alive, room, presence
        )
        self.upkeep = CopyUpkeep(
            index, self.replications, presence, membership.alive, lambda: membership.joined, target, delay
        )
        self.drops = Drops(index, self.jobs, target)
        if self.outbox is None or self.jobs is None:
            return
        index.logs.hooks.append(FileEvents(self.outbox, network, index.self_id).hook)
        handlers = {
            "peer.joined": self._joined,
            "peer.left": self._left,
            "want.placed": self.wants.placed,
            "want.withdrawn": self.wants.withdrawn,
            "want.satisfied": self.wants.satisfied,
            "job.done": self.jobs.done,
            "job.failed": self.jobs.failed,
        }
        trust(config.broker_ca_file)  # What is wrong with it is said before anything starts.
        self.mom = Mom(
            BrokerAddresses(config.broker_url, file=config.broker_url_file, ca_file=config.broker_ca_file),
            network,
            index,
            store,
            self.outbox,
            handlers,
            work=self.jobs.work,
            gave_up=self.jobs.gave_up,
            on_gap=membership.meet_soon,
            on_lapse=self._tell_otherwise,
            tap=feed.put,
        )
        membership.eager = lambda: self.mom is None or not self.mom.state.carries
        membership.on_joined.append(self._tell_joined)

    @property
    def workers(self) -> tuple[Worker, ...]:
        mom = self.mom.workers if self.mom is not None else ()
        return self.wants.worker, self.replications.worker, self.upkeep.worker, *mom

    def connected(self) -> bool | None:
        """Whether the broker is there; None where there is none to connect to."""
        return self.mom.connected if self.mom is not None else None

    def broker_problem(self) -> str:
        """What is wrong with the broker, for people; empty when nothing is, or there is none."""
        return self.mom.state.problem if self.mom is not None else ""

    def sent_jobs(self) -> tuple[SentJob, ...]:
        """What this node asked others to do, the newest first."""
        return self.jobs.list() if self.jobs is not None else ()

    def sent_job(self, id_: str) -> SentJob:
        """One job that this node asked another to do. Raises NotFound."""
        if self.jobs is None:
            raise NotFound(f"there is no job {id_}")
        return self.jobs.get(id_)

    def dead_letters(self, limit: int) -> list[Letter]:
        """Messages and jobs that could not be used, the oldest first.

        Raises:
            BrokerUnavailable: it is away, or there is none.
        """
        if self.mom is None:
            raise BrokerUnavailable("there is no message broker: broker_url is not set")
        return self.mom.dead_letters(limit)

    def _tell_otherwise(self) -> None:
        """The broker went, or takes no more: what it has not confirmed goes by gRPC as well."""
        if self.outbox is None:
            return
        try:
            waiting = self.outbox.oldest(f"dev.minga.{key}" for key in FILES)
            event = decode(waiting.body) if waiting is not None else None
        except MingaError as error:
            log.debug("the outbox: %s", error)  # gossip brings it
            return
        if event is not None and event.number("epoch") == self._index.logs.own.epoch:
            self._membership.tell_again(event.number("version") - 1)

    def start(self) -> None:
        if self.mom is not None:
            self.mom.start()
        self.wants.start()
        self.replications.start()
        if self.mom is not None:
            self.upkeep.start()

    def stop(self) -> None:
        """After the membership, whose goodbye is told here as well."""
        self.copies.stop()
        self.wants.stop()
        self.upkeep.stop()
        self.replications.stop()
        if self.mom is not None and self.outbox is not None:
            last = self._membership.last_word()
            signature = (self._membership.own().key + last.signature).hex()
            self.outbox.add([
                self._event("peer.left", epoch=last.epoch, heartbeat=last.heartbeat, signature=signature)
            ])
            self.mom.stop()

    def completed(self, name: str, content_id: str, size: int) -> None:
        """A download is in the library."""
        if self.outbox is not None:
            self.outbox.add([self._event("transfer.completed", name=name, id=content_id, size=size)])

    def _event(self, key: str, **data: str | int | bool) -> Event:
        peer = self._index.self_id
        return make(self._network, key, peer, **{"peer": peer, **data})

    def _tell_joined(self) -> None:
        peer = self._membership.own()
        if self.outbox is None:
            return
        self.outbox.add([
            self._event(
                "peer.joined", epoch=peer.epoch, host=peer.host, rest_port=peer.rest_port,
                grpc_port=peer.grpc_port, data_port=peer.data_port, seed=peer.seed, software=peer.version,
                started=peer.started, signature=(peer.key + peer.signature).hex(),
            )
        ])  # fmt: skip

    def _joined(self, event: Event) -> None:
        rest, grpc, data = (event.number(key) for key in ("rest_port", "grpc_port", "data_port"))
        if event.text("peer") == self._index.self_id or event.number("started") > _latest():
            return
        signed = bytes.fromhex(event.text("signature"))
        self._membership.hear_of(
            Peer(
                event.text("peer"),
                event.number("epoch"),
                event.text("host"),
                rest,
                grpc,
                data,
                bool(event.data["seed"]),
                event.text("software"),
                event.number("started"),
                signed[:KEY],
                signed[KEY:],
            )
        )

    def _left(self, event: Event) -> None:
        if event.number("heartbeat") > _latest():
            return
        with suppress(MingaError):
            self._membership.hear_goodbye(
                Goodbye(
                    event.text("peer"),
                    event.number("epoch"),
                    event.number("heartbeat"),
                    bytes.fromhex(event.text("signature"))[KEY:],
                )
            )
