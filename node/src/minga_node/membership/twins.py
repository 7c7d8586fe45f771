"""A second node with this one's state: a cloned disk, or a backup that was restored while the original ran.

Both have the same name, key and epoch, and each overwrites what the other says. Whoever began later steps
aside: it says so, takes no part in the network, and looks now and then whether the other one is gone. The
earlier one goes on, with a new epoch, so that nothing the two have said differently is left.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from minga_node.errors import MingaError
from minga_node.membership.messages import GossipCalls
from minga_node.model import Peer

log = logging.getLogger(__name__)

ASK_SECONDS = 3.0
"""Time between two questions whether the twin is still there."""
TOLD_SECONDS = 60.0
"""How long this node says that it has a twin, after it last heard of the twin."""


def is_twin(own: Peer, other: Peer) -> bool:
    """Whether a record of this node's name and key is of another process than this."""
    if (other.id, other.key) != (own.id, own.key):
        return False
    return other.born != own.born if other.born and own.born else False


def yields(own: Peer, other: Peer) -> bool:
    """Whether this node, of the two, steps aside."""
    return (own.born, own.grpc_target) > (other.born, other.grpc_target)


@dataclass(frozen=True, slots=True)
class _Twin:
    record: Peer
    heard: float


class Twins:
    """Notices a second node that runs with this node's state, and decides which of the two steps aside.

    Any thread may call.

    Args:
        own: this node's record.
        signed: whether a record's signature is right.
        go_on: called when the earlier of the two, this node, has found the other; or when that one is gone.
    """

    def __init__(
        self,
        own: Callable[[], Peer],
        signed: Callable[[Peer], bool],
        calls: GossipCalls,
        network: str,
        gone_seconds: float,
        clock: Callable[[], float],
        go_on: Callable[[Peer], None],
    ) -> None:
        self._own, self._signed, self._calls, self._network = own, signed, calls, network
        self._gone_seconds, self._clock, self._go_on = gone_seconds, clock, go_on
        self._lock = threading.Lock()
        self._claim: Peer | None = None
        self._twin: _Twin | None = None
        self._next = 0.0
        self.aside = False
        """Whether this node takes no part while the other one is there."""

    def heard(self, record: Peer) -> None:
        """Somebody tells of a node with this one's name."""
        if is_twin(self._own(), record):
            with self._lock:
                self._claim = record

    @property
    def problem(self) -> str | None:
        """Why this node is not ready."""
        twin = self._twin
        if twin is None or (not self.aside and self._clock() - twin.heard > TOLD_SECONDS):
            return None
        where = f"another node has this one's name and state, at {twin.record.host}:{twin.record.rest_port}"
        end = "this one steps aside" if self.aside else "it began later and steps aside"
        return f"{where} (a copied disk?): {end}; remove the state directory of one of them"

    @property
    def due(self) -> bool:
        """Whether :meth:`settle` has something to do."""
        return (self._claim is not None or self.aside) and self._clock() >= self._next

    def settle(self) -> None:
        """Asks the other one whether it is there. Calls another node."""
        with self._lock:
            if not self.due:
                return
            self._next = self._clock() + ASK_SECONDS
            record = self._claim or (self._twin.record if self._twin else None)
            self._claim = None
        if record is None:
            return
        own = self._own()
        try:
            # Who has stepped aside does not say again that it is here.
            other = self._calls.join(
                record.grpc_target, self._network, replace(own, born=0) if self.aside else own
            )
        except MingaError as error:
            log.debug("the other %s: %s", own.id, error)
            self._silent(record)
            return
        if is_twin(own, other.self) and self._signed(other.self):
            self._found(other.self)
        else:
            self._silent(record)

    def _found(self, record: Peer) -> None:
        own, now = self._own(), self._clock()
        new = self._twin is None or self._twin.record.born != record.born
        self._twin = _Twin(record, now)
        self.aside = yields(own, record)
        if new:
            log.error("%s", self.problem)
            if not self.aside:
                self._go_on(record)

    def _silent(self, record: Peer) -> None:
        twin = self._twin
        if self.aside and twin is not None and self._clock() - twin.heard > self._gone_seconds:
            log.warning("the other node named %s is gone: this one goes on, with a new epoch", record.id)
            self.aside, self._twin = False, None
            self._go_on(record)
