"""What there is of a network, from the cache, from Events and from its nodes."""

from __future__ import annotations

from minga_operator import troubles
from minga_operator.cache import Cache
from minga_operator.complaints import Complaints
from minga_operator.connections import Connections
from minga_operator.draining import Decision
from minga_operator.evictions import Evictions
from minga_operator.kinds import DAEMON_SET, POD, SERVICE, STATEFUL_SET, ObjectKind
from minga_operator.known import Known
from minga_operator.kube import Kube
from minga_operator.network import Network
from minga_operator.nodes import Nodes
from minga_operator.observed import Observed
from minga_operator.planning import Existing
from minga_operator.resources import Object, common
from minga_operator.workqueue import Key

_PODS_SECONDS = 10.0
"""How often the Events about pods are looked at that do not come or do not start."""

_CONNECTION_SECONDS = 3.0
"""How often nodes are asked that have no broker."""


class Observer:
    """Looks; it writes nothing."""

    def __init__(self, kube: Kube, cache: Cache, nodes: Nodes, known: Known, evictions: Evictions) -> None:
        self._cache, self._known, self._evictions = cache, known, evictions
        self._complaints = Complaints(kube)
        self._connections = Connections(nodes)

    def existing(self, network: Network) -> Existing:
        """The network's workloads."""

        def live(kind: ObjectKind, name: str) -> Object | None:
            return self._cache.get(kind, network.key, name)

        return Existing(
            seeds=live(STATEFUL_SET, common.seed_name(network)),
            peers=live(STATEFUL_SET, common.peer_name(network)),
            daemons=live(DAEMON_SET, common.peer_name(network)),
            broker=live(STATEFUL_SET, common.broker_name(network)),
        )

    def look(self, network: Network, drain: Decision | None, now: str) -> tuple[Observed, float | None]:
        """What there is, and in how many seconds it may be otherwise without a word of the API server.

        Args:
            drain: what was decided about pods that leave; None where nothing was.
            now: RFC 3339.

        Raises:
            Unavailable: not now.
        """
        key, totals = network.key, self._known.totals(network.key)
        there, pods = self.existing(network), self._cache.of(POD, network.key)
        peers = there.daemons if network.spec.peers.mode == "DaemonSet" else there.peers
        workloads = {common.SEED: there.seeds, common.PEER: peers, common.BROKER: there.broker}
        told = self._complaints.about(network, workloads, pods, now)
        self._connections.ask(network, pods, everybody=False)
        said = self._connections.said(network, pods)
        observed = Observed(
            seeds=there.seeds,
            peers=peers,
            broker=there.broker,
            pods=pods,
            files=totals.files if totals else None,
            bytes=totals.bytes if totals else None,
            members=totals.members if totals else None,
            service=self._cache.get(SERVICE, key, network.name),
            said=said,
            refused=told.refused,
            unmounted=told.unmounted,
            evicted=[f"{item.pod}: {item.message}" for item in self._evictions.recent(key)],
            # Time goes on while a network is paused, or nothing could be decided.
            draining=network.status.get("draining", {}) if drain is None else drain.since,
            drain_notes=drain.notes if drain else {},
            last_drain=drain.ended if drain else {},
        )
        if not all(one.connected for one in said.values()):
            return observed, _CONNECTION_SECONDS
        waits = any(troubles.lacking(live) for live in workloads.values())
        waits |= any(troubles.fresh(pod, now) or troubles.hangs(pod, now) for pod in pods)
        return observed, _PODS_SECONDS if waits else None

    def ask(self, network: Network) -> bool:
        """Asks some nodes whether they have their broker; returns whether that is news."""
        return self._connections.ask(network, self._cache.of(POD, network.key), everybody=True)

    def forget(self, key: Key) -> None:
        """The network is gone."""
        self._connections.forget(key)
