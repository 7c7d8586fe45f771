"""How a node stands with its broker: one state, written by the connection's thread and read by everybody."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from minga_node.metrics import BROKER_BLOCKED, BROKER_CONNECTED

log = logging.getLogger(__name__)

NOT_YET = "not connected yet"


@dataclass(frozen=True, slots=True)
class State:
    connected: bool = False
    """Whether all is declared there, and this node consumes its queue of events."""
    away: str = NOT_YET
    """Why it is not connected."""
    blocked: str = ""
    """Why the broker takes no messages though it is connected, in its words; empty when it does."""
    hindered: str = ""
    """What else keeps it from carrying messages, though it is connected; empty when nothing does."""
    jobless: str = ""
    """Why no jobs come, though it is connected; empty when they do."""

    @property
    def carries(self) -> bool:
        """Whether what is told now reaches others by the broker."""
        return self.connected and not self.blocked and not self.hindered

    @property
    def problem(self) -> str:
        """What is wrong, for people; empty when all is well."""
        if not self.connected:
            return f"away: {self.away}"
        if self.blocked:
            return f"blocked by the broker: {self.blocked}"
        return self.hindered or self.jobless


class Standing:
    """Keeps the state of the connection, exports it, and logs its changes: each reason once."""

    def __init__(self) -> None:
        self.state = State()
        self.on_lapse: list[Callable[[], None]] = []
        """Called in the connection's thread when the broker carries no more what it carried until now."""
        self._said: set[str] = set()

    def up(self, address: object) -> None:
        self._said.clear()
        log.info("connected to the broker %s", address)
        self._set(State(connected=True, away=""))

    def down(self, address: object, why: str) -> None:
        """``address`` is None where there is not even one."""
        broker = "the broker" if address is None else f"the broker {address}"
        line = f"{broker} is away: {why}"
        if line not in self._said:
            self._said.add(line)
            log.warning("%s; messages wait, keeps trying", line)
        self._set(State(away=why if address is None else f"{why} ({address})"))

    def ended(self) -> None:
        """The node ends the connection itself."""
        self._set(State(away="the node is ending"))

    def blocked(self, why: str) -> None:
        log.warning("blocked by the broker: %s; messages wait", why)
        self._set(replace(self.state, blocked=why))

    def unblocked(self) -> None:
        log.info("the broker takes messages again")
        self._set(replace(self.state, blocked=""))

    def hindered(self, what: str) -> None:
        """``what`` is empty when it carries messages again."""
        if what == self.state.hindered:
            return
        if what:
            log.warning("%s; they wait", what)
        else:
            log.info("the broker keeps messages again")
        self._set(replace(self.state, hindered=what))

    def jobless(self, why: str) -> None:
        """``why`` is empty when jobs come again."""
        if why == self.state.jobless:
            return
        if why:
            log.warning("%s; all else goes on", why)
        else:
            log.info("jobs come again")
        self._set(replace(self.state, jobless=why))

    def _set(self, state: State) -> None:
        before, self.state = self.state, state
        BROKER_CONNECTED.set(state.connected)
        BROKER_BLOCKED.set(state.connected and not state.carries)
        if before.carries and not state.carries:
            for listener in self.on_lapse:
                listener()
