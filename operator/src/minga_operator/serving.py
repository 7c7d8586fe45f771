"""kopf's operators: one for each namespace that is served, so that one that cannot be watched stops no other.

kopf ends as a whole when any of its watches is refused, and cancels whatever else runs in its event loop. So
each has a thread and a loop of its own, and is begun again when the networks can be listed again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence

import kopf

from minga_operator import metrics
from minga_operator.errors import OperatorError, Refused
from minga_operator.handlers import register
from minga_operator.health import Health
from minga_operator.kinds import NETWORK
from minga_operator.runtime import Runtime

_log = logging.getLogger(__name__)
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 30.0
_STEADY_SECONDS = 10.0
"""Whoever was at work for so long is begun again at once."""
_NOT_YET = "no answer yet"


class Serving:
    """Has kopf watch the networks of some namespaces, or of all (None)."""

    def __init__(
        self, runtime: Runtime, health: Health, namespaces: Sequence[str | None], identity: str
    ) -> None:
        self._runtime, self._health, self._identity = runtime, health, identity
        self._problems: dict[str | None, str] = dict.fromkeys(namespaces, _NOT_YET)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[asyncio.AbstractEventLoop, asyncio.Event] = {}
        """What ends the kopf of each loop."""
        self._threads = [
            threading.Thread(
                target=self._serve, args=(namespace,), name=f"networks-{namespace or 'all'}", daemon=True
            )
            for namespace in namespaces
        ]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Has kopf end."""
        with self._lock:
            self._over.set()
            for loop, end in self._running.items():
                loop.call_soon_threadsafe(end.set)
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def problem(self) -> str:
        """Why no network at all is served; empty when some are."""
        if all(self._problems.values()):
            return "; ".join(sorted({f"networks: {problem}" for problem in self._problems.values()}))
        return ""

    def dead(self) -> str:
        """Which threads have ended though nobody asked them to; empty when none."""
        ended = [thread.name for thread in self._threads if thread.ident and not thread.is_alive()]
        return f"ended: {', '.join(ended)}" if ended and not self._over.is_set() else ""

    def _serve(self, namespace: str | None) -> None:
        delay = _FIRST_DELAY
        while not self._over.is_set():
            began = time.monotonic()
            try:
                self._runtime.look(namespace)
            except OperatorError as error:
                if isinstance(error, Refused):
                    self._runtime.unfollow(namespace)
                self._show(namespace, str(error))
            else:
                self._show(namespace, "")
                self._watch(namespace)
            if time.monotonic() - began > _STEADY_SECONDS:
                delay = _FIRST_DELAY
            self._over.wait(delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    def _watch(self, namespace: str | None) -> None:
        """Returns when kopf has ended, of itself or because it is over."""
        try:
            asyncio.run(self._operate(namespace))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 -- whatever it is, it is begun again
            _log.warning("networks%s: their watch ended: %s", _where(namespace), error or type(error))

    async def _operate(self, namespace: str | None) -> None:
        registry = kopf.OperatorRegistry()
        register(registry, self._runtime, self._health)
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            if self._over.is_set():
                return
            self._running[loop] = end
        try:
            await kopf.operator(
                registry=registry,
                standalone=True,
                identity=self._identity,  # type: ignore[arg-type]  # kopf does not export its alias of str
                clusterwide=namespace is None,
                namespaces=() if namespace is None else (namespace,),
                stop_flag=end,
            )
        finally:
            with self._lock:
                del self._running[loop]

    def _show(self, namespace: str | None, problem: str) -> None:
        before = self._problems[namespace]
        self._problems[namespace] = problem
        metrics.UNWATCHED.labels(NETWORK.name, namespace or "").set(bool(problem))
        if problem and problem != before:
            _log.warning(
                "networks%s cannot be watched: %s; the rest goes on, and this is tried again every %.0f s",
                _where(namespace),
                problem,
                _LONGEST_DELAY,
            )
        elif not problem and before not in {"", _NOT_YET}:
            _log.info("networks%s can be watched again", _where(namespace))


def _where(namespace: str | None) -> str:
    return f" in {namespace}" if namespace else ""
