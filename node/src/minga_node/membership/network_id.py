"""Which network this is: two of the same name are told apart by an id that the first node of each makes.

The rule (:func:`judge` is pure):

- A node that has no id takes that of whoever has one; so does a node that has never met another one of its
  own network. Such a node sends none.
- Two ids that were both made within the last :data:`YOUNG_MS` may be of one network whose first nodes began
  at once: the earlier one wins, everywhere.
- Else another id is another network, whose nodes are refused.
- A node of a release that knows no ids is taken as one of this network, as before.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from enum import Enum

from minga_node.store import Store

YOUNG_MS = 600_000


class NetworkVerdict(Enum):
    SAME = "the same network, or a node that does not say"
    ADOPT = "their id is to be taken"
    YOUNGER = "they will take this one"
    OTHER = "another network of the same name"


def made_at(id_: str) -> int:
    """Milliseconds since 1970; 0 where it cannot be told."""
    try:
        return int(id_[:12], 16)
    except ValueError:
        return 0


def make(now_ms: int) -> str:
    """A new id: 28 hex digits, of two the earlier is the smaller one."""
    return f"{now_ms:012x}{secrets.token_hex(8)}"


def is_id(text: str) -> bool:
    return len(text) == 28 and all(character in "0123456789abcdef" for character in text)


def judge(mine: str, theirs: str, *, met: bool, now_ms: int) -> NetworkVerdict:
    """What follows from two ids; ``met`` tells whether anybody else is known to have mine."""
    if theirs in {"", mine}:
        return NetworkVerdict.SAME
    if not mine or not met:
        return NetworkVerdict.ADOPT
    if all(now_ms - made_at(id_) < YOUNG_MS for id_ in (mine, theirs)):
        return NetworkVerdict.ADOPT if theirs < mine else NetworkVerdict.YOUNGER
    return NetworkVerdict.OTHER


class NetworkId:
    """This node's, kept in the store. Thread-safe."""

    def __init__(self, store: Store, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        kept = dict(store.rows("SELECT key, value FROM meta WHERE key LIKE 'network%'"))
        self.value: str = kept.get("network_id", "")
        self._met = kept.get("network_met") == "1"

    @property
    def said(self) -> str:
        """What others are told: nothing while it may still change."""
        return self.value if self._met else ""

    def heard(self, theirs: str) -> bool:
        """A node has this id; whether it is of this network."""
        if theirs and not is_id(theirs):
            return False
        with self._lock:
            verdict = judge(self.value, theirs, met=self._met, now_ms=self._clock())
            if verdict is NetworkVerdict.ADOPT or (
                theirs and verdict is NetworkVerdict.SAME and not self._met
            ):
                self._keep(theirs)
        return verdict is not NetworkVerdict.OTHER

    def make(self) -> None:
        """This is the network's first node."""
        with self._lock:
            if not self.value:
                self._keep(make(self._clock()), met=False)

    def _keep(self, value: str, *, met: bool = True) -> None:
        rows = [("network_id", value), ("network_met", "1" if met else "0")]
        with self._store.write() as db:
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
        self.value, self._met = value, met
