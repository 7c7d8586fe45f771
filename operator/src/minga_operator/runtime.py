"""The parts at work: watches fill the cache and the queue, a few workers empty it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from minga_operator import metrics
from minga_operator.cache import Cache
from minga_operator.census import standing
from minga_operator.errors import InternalError, OperatorError, Unavailable, Waiting
from minga_operator.evictions import Evictions
from minga_operator.follower import Follower
from minga_operator.kinds import NEEDED, NETWORK, WATCHED, ObjectKind
from minga_operator.kube import Kube
from minga_operator.nodes import Nodes
from minga_operator.planning import Settings
from minga_operator.reconcile import Reconciler
from minga_operator.workqueue import Key, WorkQueue

_log = logging.getLogger(__name__)
_POLL_SECONDS = 15.0
_DISCOVERY_SECONDS = 60.0
_RESYNC_SECONDS = 600.0
_STUCK_SECONDS = 300.0


class Runtime:
    """Everything between the first list and the last reconcile."""

    def __init__(self, kube: Kube, settings: Settings, identity: str) -> None:
        self.queue = WorkQueue()
        metrics.QUEUE_DEPTH.set_function(self.queue.depth)
        self._kube, self._settings = kube, settings
        self._evictions = Evictions()
        self._cache = Cache(self.queue.add, self._evictions.notice)
        self._nodes = Nodes()
        self.reconciler = Reconciler(kube, self._cache, self._nodes, settings, identity, self._evictions)
        self._followers: dict[tuple[str, str | None], Follower] = {}
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()
        self._defects: dict[Key, str] = {}
        """What was told of each network."""

    def start(self, timeout: float = 60.0) -> None:
        """Returns when the cache holds what there is and workers run.

        A kind that cannot be watched, or of which there is no answer in time, keeps no other waiting.
        """
        self._discover()
        deadline = time.monotonic() + timeout
        for follower in list(self._followers.values()):
            follower.settled.wait(max(0.0, deadline - time.monotonic()))
        for number in range(self._settings.workers):
            self._spawn(self._work, f"worker-{number}")
        self._spawn(self._poll, "poll")

    # Of networks: told by kopf's watches, and looked at now and then.

    def told(self, body: Mapping[str, Any]) -> None:
        """A watch brought a network."""
        self.queue.add(self.reconciler.known.told(body))

    def ended(self, body: Mapping[str, Any]) -> None:
        """A watch brought the end of a network."""
        gone = self.reconciler.known.ended(body)
        if gone is not None:
            self.reconciler.forget(gone)

    def look(self, namespace: str | None) -> None:
        """Lists the networks of a namespace, or all: a watch says nothing of what ended before it began.

        Raises:
            Refused: they may not be listed or watched.
            Unavailable: not now.
        """
        bodies, version = self._kube.items(NETWORK, namespace)
        with self._kube.watch(NETWORK, namespace, version):
            pass
        news, gone = self.reconciler.known.listed(namespace, bodies, int(version))
        for key in gone:
            self.reconciler.forget(key)
        for key in news:
            self.queue.add(key)

    def unfollow(self, namespace: str | None) -> None:
        """The networks of a namespace, or all, cannot be seen any more."""
        for key in self.reconciler.known.unfollow(namespace):
            self.reconciler.forget(key)

    def blind(self) -> str:
        """Why no network can be reconciled; empty when those of some namespace can."""
        problems = set()
        for namespace in self._settings.namespaces or ("",):
            unseen = self._cache.unseen(NEEDED, namespace)
            if not unseen:
                return ""
            problems |= {f"{kind}: {why or 'no answer yet'}" for kind, why in unseen.items()}
        return "; ".join(sorted(problems))

    def stop(self, timeout: float = 10.0) -> bool:
        """Lets running reconciles finish; returns whether they have."""
        self._stopped.set()
        self.queue.close()
        for follower in self._followers.values():
            follower.stop()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def problem(self) -> str:
        """Why this process should be restarted; empty when it need not."""
        oldest = self.queue.oldest_work()
        if oldest > _STUCK_SECONDS:
            return f"a reconcile has been running for {oldest:.0f} s"
        dead = [thread.name for thread in self._threads if not thread.is_alive()]
        dead += [name for follower in list(self._followers.values()) if (name := follower.dead())]
        return f"ended: {', '.join(dead)}" if dead and not self._stopped.is_set() else ""

    def _spawn(self, target: object, name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        while (key := self.queue.take()) is not None:
            try:
                self._reconcile(key)
            finally:
                self.queue.done(key)

    def _reconcile(self, key: Key) -> None:
        began = time.perf_counter()
        try:
            result = self.reconciler.reconcile(key)
        except (Unavailable, Waiting) as error:
            outcome = "waiting"
            delay = self.queue.retry(key)
            _log.info("%s/%s: %s; again in %.1f s", *key, error, delay)
        except InternalError as error:
            outcome = "failed"
            self.queue.retry(key)
            self._tell_defect(key, error)
        except OperatorError as error:
            outcome = "failed"
            delay = self.queue.retry(key)
            _log.warning("%s/%s: %s: %s; again in %.1f s", *key, error.reason, error, delay)
        except Exception:  # noqa: BLE001 -- a defect of ours must not end the worker
            outcome = "failed"
            delay = self.queue.retry(key)
            _log.exception("%s/%s: unexpected; again in %.1f s", *key, delay)
        else:
            outcome = "changed" if result.writes else "unchanged"
            self.queue.succeeded(key)
            self._defects.pop(key, None)
            metrics.LAST_SUCCESS.set_to_current_time()
            if result.again is not None:
                self.queue.add_after(key, result.again)
            if result.writes:
                _log.info("%s/%s: %d written", *key, result.writes)
        metrics.RECONCILES.labels(outcome).inc()
        metrics.RECONCILE_SECONDS.labels(outcome).observe(time.perf_counter() - began)

    def _tell_defect(self, key: Key, error: InternalError) -> None:
        """Once, with where it came from; the status and the metrics go on saying so."""
        if self._defects.get(key) != str(error):
            self._defects[key] = str(error)
            _log.error("%s/%s: %s; it is tried again", *key, error, exc_info=error.__cause__)

    def _poll(self) -> None:
        """Asks each network what it shares, one after the other; now and then looks at all."""
        resync = time.monotonic() + _RESYNC_SECONDS
        discovery = time.monotonic() + _DISCOVERY_SECONDS
        while not self._stopped.wait(_POLL_SECONDS):
            self._try(self._ask)
            if time.monotonic() >= discovery:
                discovery = time.monotonic() + _DISCOVERY_SECONDS
                self._discover()
            if time.monotonic() >= resync:
                resync = time.monotonic() + _RESYNC_SECONDS
                for namespace in self._settings.namespaces or (None,):
                    self._try(partial(self.look, namespace))
                self._add_all()

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OperatorError as error:
            _log.warning("polling: %s", error)

    def _add_all(self) -> None:
        for network in self.reconciler.known.networks():
            self.queue.add(network.key)

    def _ask(self) -> None:
        metrics.tell_networks(standing(self.reconciler.known.bodies()))
        for network in self.reconciler.known.networks():
            if self._stopped.is_set():
                return
            if self.reconciler.ask_nodes(network):
                self.queue.add(network.key)
            if network.status.get("readySeeds") or network.status.get("readyPeers"):
                totals = self._nodes.totals(network)
                if totals is not None and self.reconciler.known.tell(network.key, totals):
                    self.queue.add(network.key)

    def _discover(self) -> None:
        """Follows every kind that the cluster knows; optional ones may come and go."""
        known = set()
        for kind in WATCHED:
            if not kind.optional or self._has(kind):
                self._follow(kind)
                known |= {kind.name} if kind.optional else set()
            else:
                self._unfollow(kind)
        if known != self.reconciler.kinds:
            self.reconciler.kinds = frozenset(known)
            self._add_all()

    def _has(self, kind: ObjectKind) -> bool:
        """Whether the cluster knows a kind; while nobody tells, what was so last."""
        try:
            return self._kube.knows(kind)
        except OperatorError as error:
            _log.warning("whether there is a kind %s: %s", kind.name, error)
            return kind.name in self.reconciler.kinds

    def _unfollow(self, kind: ObjectKind) -> None:
        for place in [place for place in self._followers if place[0] == kind.name]:
            self._followers.pop(place).stop()
            self._cache.unfollow(kind, place[1])

    def _follow(self, kind: ObjectKind) -> None:
        for namespace in self._settings.namespaces or (None,):
            if (kind.name, namespace) not in self._followers:
                follower = Follower(self._kube, self._cache, kind, namespace, self._add_all)
                self._followers[kind.name, namespace] = follower
                follower.start()
