"""One reconcile: from a network and what there is to what there should be, and a status that says so."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from minga_operator import draining, pacing, planning, status
from minga_operator.brokers import Brokers, Found
from minga_operator.cache import Cache
from minga_operator.children import Children
from minga_operator.errors import (
    CannotWatch,
    InternalError,
    InvalidSpec,
    OperatorError,
    Refused,
    Unavailable,
)
from minga_operator.events import Events
from minga_operator.evictions import Evictions
from minga_operator.kinds import BY_NAME, CLAIM, NEEDED, POD
from minga_operator.known import Known
from minga_operator.kube import Kube
from minga_operator.network import Network, Plan, Tokens, parse
from minga_operator.nodes import Nodes
from minga_operator.observed import Observed
from minga_operator.observing import Observer
from minga_operator.peer_tls import CertificateSecrets
from minga_operator.planning import Settings
from minga_operator.resources import common, desired
from minga_operator.statuses import Statuses
from minga_operator.tokens import TokenSecrets
from minga_operator.volumes import VolumeClaims
from minga_operator.workqueue import Key


@dataclass(frozen=True)
class Result:
    """What a reconcile did."""

    writes: int = 0
    again: float | None = None
    """Seconds until the next look, when something outside our watches is being waited for."""


@dataclass(frozen=True)
class ReconcileOutcome:
    """What applying came to."""

    plan: Plan | None = None
    drain: draining.Decision = field(default_factory=draining.Decision)
    broker_error: OperatorError | None = None
    partial_error: OperatorError | None = None
    """A part of the spec that cannot be; the rest of it holds."""
    writes: int = 0
    pending: Sequence[str] = ()
    """What would be done, were the network not paused."""


class Reconciler:
    """Holds no state that matters: killed anywhere, the next reconcile goes on."""

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        nodes: Nodes,
        settings: Settings,
        identity: str,
        evictions: Evictions | None = None,
    ) -> None:
        self._kube, self._cache, self._nodes, self._settings = kube, cache, nodes, settings
        self._evictions = evictions or Evictions()
        self._events = Events(kube, identity)
        self._children = Children(kube, cache)
        self._brokers = Brokers(kube, cache, self._children)
        self._tokens = TokenSecrets(kube, cache, self._children)
        self._certificates = CertificateSecrets(kube, self._children)
        self._volumes = VolumeClaims(kube, cache, self._events)
        self.known = Known()
        self._observer = Observer(kube, cache, nodes, self.known, self._evictions)
        self._statuses = Statuses(kube, self.known)
        self.kinds: frozenset[str] = frozenset()
        """Optional kinds that the cluster knows."""

    def forget(self, key: Key) -> None:
        """The network is gone; the garbage collector removes what was its."""
        self.known.forget(key)
        self._nodes.know(key, None)
        self._children.forget(key)
        self._evictions.forget(key)
        self._observer.forget(key)

    def ask_nodes(self, network: Network) -> bool:
        """Asks some of a network's nodes whether they have their broker; returns whether that is news."""
        return self._observer.ask(network)

    def reconcile(self, key: Key) -> Result:
        """Makes everything so. Doing it twice changes nothing.

        Raises:
            OperatorError: it could not be finished; the status says why, and it is to be tried again.
        """
        body = self.known.body(key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            return Result()
        try:
            return self._reconcile(body)
        except OperatorError:
            raise
        except Exception as caught:
            # Not even the status could be told.
            error = InternalError(caught)
            self._report_defect(body, error)
            raise error from caught

    def _reconcile(self, body: Mapping[str, Any]) -> Result:
        error: OperatorError | None = None
        try:
            network = parse(body)
        except InvalidSpec as caught:
            network, error = parse({**body, "spec": {}}), caught
        outcome = ReconcileOutcome()
        if error is None:
            try:
                outcome = self._look(network) if network.spec.paused else self._apply(network)
            except Unavailable:
                raise
            except OperatorError as caught:
                error = caught
            except Exception as caught:  # noqa: BLE001 -- whoever looks at the network is told
                error = InternalError(caught)
        error = error or outcome.partial_error
        drain = None if outcome.plan is None else outcome.drain
        observed, soon = self._observer.look(network, drain, now())
        observed = replace(observed, pending=outcome.pending)
        writes = outcome.writes + self._report(network, outcome, observed, error)
        if error is not None:
            raise error
        draining_now, missing = bool(outcome.drain.since), outcome.broker_error is not None
        return Result(writes, pacing.again(network, draining=draining_now, missing=missing, soon=soon))

    def _apply(self, network: Network) -> ReconcileOutcome:
        self._check_sight(network)
        tokens = self._tokens.find(network)
        self._nodes.know(network.key, tokens)
        renewed = self._certificates.ensure(network, datetime.datetime.now(datetime.UTC))
        found = self._brokers.find(network)
        if found.news:
            self._events.post(network, "Normal", "Credentials", "Rotate", found.news)
        network, partial_error, writes = self._volumes.resize(network)
        writes += renewed
        drain = self._drain(network)
        plan = self._plan(network, found, tokens, drain)
        wanted = desired(network, plan)
        for item in wanted:
            try:
                writes += self._children.ensure(
                    network, item, lambda *event: self._events.post(network, *event)
                )
            except Refused as refused:
                if not BY_NAME[item["kind"]].apart:
                    raise
                partial_error = partial_error or refused
        spare = _spare(network)
        spare += [(kind, f"{network.name}-{component}") for kind, component in drain.workloads]
        writes += self._children.prune(network, wanted, spare)
        for what in drain.overdue:
            note = f"drainSeconds is over: {what}"
            self._events.post(network, "Warning", "DrainDeadline", "Drain", note)
        partial_error = partial_error or planning.lacking(network, self.kinds)
        return ReconcileOutcome(plan, drain, found.error, partial_error, writes)

    def _look(self, network: Network) -> ReconcileOutcome:
        """What :meth:`_apply` would do. Nothing is written, and no node is asked to drain."""
        self._check_sight(network)
        notes = []
        secrets = self._brokers.look(network), self._tokens.look(network)
        (broker, lacks_credentials), (tokens, lacks_tokens) = secrets
        if lacks_credentials:
            notes.append(f"Secret {common.credentials_name(network)}: {broker.news or 'it is completed'}")
        if lacks_tokens:
            notes.append(f"Secret {common.tokens_name(network)} is made")
        network, grown = self._volumes.pending(network)
        plan = self._plan(network, broker, tokens, draining.Decision())
        notes += grown + self._children.pending(network, desired(network, plan), _spare(network))
        return ReconcileOutcome(None, broker_error=broker.error, pending=notes)

    def _check_sight(self, network: Network) -> None:
        """What is not seen may be there all the same: nothing is decided without it."""
        unseen = self._cache.unseen(NEEDED, network.namespace)
        if refused := [why for why in unseen.values() if why]:
            raise CannotWatch(f"The operator lacks rights, and changes nothing without them: {refused[0]}")
        if unseen:
            raise Unavailable(f"there is no list of {', '.join(sorted(unseen))} yet")

    def _plan(self, network: Network, broker: Found, tokens: Tokens | None, drain: draining.Decision) -> Plan:
        return planning.plan(
            network,
            self._settings,
            self._observer.existing(network),
            credentials=broker.credentials,
            broker_digest=broker.digest,
            tokens=tokens,
            kinds=self.kinds,
            keep=drain.keep,
        )

    def _drain(self, network: Network) -> draining.Decision:
        """Asks the pods that are to leave for what only they have."""
        there = self._observer.existing(network)
        pods, claims = self._cache.of(POD, network.key), self._cache.of(CLAIM, network.key)
        groups = draining.leaving(network, there.seeds, there.peers, there.daemons, pods)
        if not groups:
            self.known.tell_reports(network.key, {})
            return draining.decide(network, (), {}, (), now())
        names = [name for group in groups for name in group.names]
        peers = [name for group in groups for name in group.peers]
        addresses = draining.running(pods, names)
        reports = {
            name: self._nodes.drain(network, addresses[name], peers) if name in addresses else None
            for name in names
        }
        nothing: set[str] = set()
        for group in groups:
            live = there.of(group.kind, group.component)
            if live is not None:
                nothing |= draining.untouched(live, group.names, pods, claims)
        last = self.known.tell_reports(network.key, reports)
        return draining.decide(network, groups, reports, nothing, now(), last)

    def _report_defect(self, body: Mapping[str, Any], error: InternalError) -> None:
        """Says so with nothing but what the API server gave."""
        metadata, before = body["metadata"], body.get("status") or {}
        wanted = status.defect(before, metadata.get("generation", 0), error, now())
        patch = status.patch(before, {**before, **wanted})
        if patch:
            self._statuses.write((metadata["namespace"], metadata["name"]), metadata["uid"], patch)

    def _report(
        self, network: Network, outcome: ReconcileOutcome, observed: Observed, error: OperatorError | None
    ) -> int:
        """Writes the status where it is not what it should be; returns whether that was so."""
        key = network.key
        for item in self._evictions.untold(key):
            note = f"{item.pod}{' was evicted' if item.reason == 'PodEvicted' else ''}: {item.message}"
            self._events.post(network, "Warning", item.reason, "Look", note)
        wanted = status.status(network, outcome.plan, observed, error, outcome.broker_error, now())
        patch = status.patch(network.status, wanted)
        if not patch:
            return 0
        if not self._statuses.write(key, network.uid, patch):
            # A watch that is interrupted just now never says so.
            if self.known.body(key) is None:
                self.forget(key)
            return 0
        self._events.post_transition(network, wanted)
        return 1


def _spare(network: Network) -> list[tuple[str, str]]:
    """Secrets that stay when they are switched off: pods that still mount them can be made anew."""
    kept = [common.tokens_name, common.certificate_name, common.authority_name]
    if network.spec.broker.managed is not None:
        kept += [common.credentials_name, common.cookie_name]
    return [("Secret", name(network)) for name in kept]


def now() -> str:
    """The time as the API server writes it."""
    return datetime.datetime.now(datetime.UTC).strftime(draining.FORMAT)
