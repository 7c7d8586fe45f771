"""Keeps the cache equal to the API server: one list and watch a kind, of labelled objects only.

kopf watches the networks; for children its label filters would be applied on our side, after every pod of
the cluster has been sent here.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from minga_operator import metrics
from minga_operator.cache import Cache
from minga_operator.errors import OperatorError, Refused, Unavailable
from minga_operator.kinds import ObjectKind
from minga_operator.kube import Kube
from minga_operator.resources.common import Object

_log = logging.getLogger(__name__)
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
_SHORT_SECONDS = 1.0
_RELIST_SECONDS = 1800.0
"""How long a watch is trusted: whatever went wrong with it, a list mends."""
_FORBIDDEN = frozenset({403, 404})


class Follower:
    """A thread for one kind, in one namespace or in all (None).

    Where that is refused, what is known of the kind is forgotten, said once and tried again.

    Args:
        turned: called when the kind can be followed after it could not, and the other way round.
    """

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        kind: ObjectKind,
        namespace: str | None,
        turned: Callable[[], None] = lambda: None,
        relist_seconds: float = _RELIST_SECONDS,
    ) -> None:
        self._kube, self._cache, self._turned = kube, cache, turned
        self._kind, self._namespace = kind, namespace
        self._what = kind.plural + (f" in {namespace}" if namespace else "")
        self._relist_seconds = relist_seconds
        self.settled = threading.Event()
        """Set after the first list, or the first refusal."""
        self._refused = ""
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        """Held while the gauge is set: what is shown last is what is so."""
        self._thread = threading.Thread(target=self._run, name=f"watch-{self._what}", daemon=True)
        self._delay = _FIRST_DELAY

    def start(self) -> None:
        """Begins."""
        self._show()
        self._thread.start()

    def stop(self) -> None:
        """The thread ends with its current watch, and nobody misses the kind any more."""
        with self._lock:
            self._stopped.set()
            with suppress(KeyError):
                metrics.UNWATCHED.remove(self._kind.name, self._namespace or "")

    def dead(self) -> str:
        """The name of the thread if it has ended though nobody asked it to; empty if not."""
        ended = self._thread.ident and not self._thread.is_alive() and not self._stopped.is_set()
        return self._thread.name if ended else ""

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._follow()
                continue
            except Refused as refused:
                if refused.status in _FORBIDDEN:
                    self._cannot(str(refused))
                else:
                    self._warn(refused)
            except OperatorError as error:
                self._warn(error)
            except Exception:  # noqa: BLE001 -- nobody would notice that this kind is not watched any more
                _log.exception("watching %s: unexpected; again in %.0f s", self._what, self._delay)
            self._stopped.wait(self._delay)
            self._delay = min(self._delay * 2, _LONGEST_DELAY)

    def _follow(self) -> None:
        """Lists, then watches until that fails or a list is due again.

        Only what a watch brings resets the delay: lists may succeed meanwhile.
        """
        items, version = self._kube.items(self._kind, self._namespace)
        until = time.monotonic() + self._relist_seconds * random.uniform(0.8, 1.2)
        began = time.monotonic()
        with self._kube.watch(self._kind, self._namespace, version) as events:
            if self._stopped.is_set():
                return
            # Who may list and not watch would be left with a list that grows old.
            self._cache.listed(self._kind, self._namespace, items, int(version))
            self._can()
            version = self._take(events, version)
        while not self._stopped.is_set():
            if time.monotonic() - began < _SHORT_SECONDS:
                raise Unavailable("a watch ended as soon as it began")
            if time.monotonic() >= until:
                return
            began = time.monotonic()
            with self._kube.watch(self._kind, self._namespace, version) as events:
                version = self._take(events, version)

    def _take(self, events: Iterator[tuple[str, Object]], version: str) -> str:
        for event, item in events:
            if self._stopped.is_set():
                break
            self._delay = _FIRST_DELAY
            version = item["metadata"]["resourceVersion"]
            if event == "DELETED":
                self._cache.ended(self._kind, self._namespace, item)
            elif event == "BOOKMARK":
                self._cache.passed(self._kind, self._namespace, int(version))
            else:
                self._cache.told(self._kind, self._namespace, item)
        return version

    def _can(self) -> None:
        news = bool(self._refused) or not self.settled.is_set()
        if self._refused:
            _log.info("%s can be watched again", self._what)
        self._refused = ""
        self._show()
        self.settled.set()
        if news:
            self._turned()

    def _cannot(self, why: str) -> None:
        if self._stopped.is_set():
            return
        if self._refused != why:
            _log.warning(
                "%s cannot be watched: %s; the rest goes on, and this is tried again every %.0f s",
                self._what,
                why,
                _LONGEST_DELAY,
            )
        news, self._refused = not self._refused, why
        self._cache.unfollow(self._kind, self._namespace, why)
        self._show()
        self.settled.set()
        if news:
            self._turned()

    def _show(self) -> None:
        with self._lock:
            if not self._stopped.is_set():
                metrics.UNWATCHED.labels(self._kind.name, self._namespace or "").set(bool(self._refused))

    def _warn(self, error: OperatorError) -> None:
        _log.warning("watching %s: %s; again in %.0f s", self._what, error, self._delay)
