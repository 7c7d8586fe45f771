"""What is known of each log: in the table of logs, and in memory as the last transaction left it."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import NamedTuple

from minga_node.errors import NotFound
from minga_node.index.log import tables
from minga_node.index.log.keys import Keys
from minga_node.index.log.log_state import LogState
from minga_node.index.log.signing import KEY, from_bytes, log_statement, to_bytes, verified
from minga_node.store import Store


class KnownLog(NamedTuple):
    """A log, as it is here."""

    log: int
    """The number that stands for it in the tables."""
    state: LogState
    total: int
    """The hash of the set of its live entries."""

    @property
    def sure(self) -> bool:
        """Whether these are surely its writer's entries."""
        return self.state.version == 0 or bool(self.state.signature)


class KnownLogs:
    """All logs, this node's own among them. Thread-safe; a state is seen once it is committed."""

    def __init__(self, store: Store, self_id: str, network: str, keys: Keys) -> None:
        self._store, self.self_id, self._network, self.keys = store, self_id, network, keys
        self._changed: dict[str, KnownLog | None] = {}
        """What the running transaction changes; ``None`` for a log that it drops."""
        self._known: dict[str, KnownLog] = {}
        self._load()

    def _load(self) -> None:
        with self._store.write() as db:
            if not db.execute("SELECT 1 FROM logs WHERE peer = ?", (self.self_id,)).fetchone():
                self.new(db, self.self_id, self._store.epoch)
            found = db.execute("SELECT peer, log, epoch, version, compacted, total, signature FROM logs")
            for peer, log, epoch, version, compacted, total, signature in found.fetchall():
                state = LogState(epoch, version, compacted, signature)
                # A state of an earlier release has no hashes yet.
                known = KnownLog(log, state, tables.total(db, log) if total is None else from_bytes(total))
                if peer == self.self_id:
                    state = self.signed(state, known.total)
                elif signature and not self.proves(peer, state, known.total, signature):
                    # Of a network that this node has left, or of a key that is not its writer's any more.
                    state = replace(state, signature=b"")
                self.save(db, peer, known._replace(state=state))

    def get(self, peer_id: str) -> KnownLog | None:
        """A log as it is committed."""
        return self._known.get(peer_id)

    @property
    def own(self) -> LogState:
        return self._known[self.self_id].state

    def states(self) -> dict[str, LogState]:
        return {peer: known.state for peer, known in self._known.copy().items()}

    def peers(self) -> dict[int, str]:
        return {known.log: peer for peer, known in self._known.copy().items()}

    # What is signed

    def signed(self, state: LogState, total: int) -> LogState:
        """The own log's state, with this node's signature."""
        if state.version == 0:
            return state
        said = log_statement(self._network, self.self_id, state.epoch, state.version, total)
        return replace(state, signature=self.keys.own.key + self.keys.own.sign(said))

    def proves(self, peer_id: str, state: LogState, total: int, signature: bytes) -> bool:
        """Whether a signature is the writer's, of a log in this state."""
        key = self.keys.get(peer_id) or signature[:KEY]
        said = log_statement(self._network, peer_id, state.epoch, state.version, total)
        return signature[:KEY] == key and verified(key, signature[KEY:], said)

    # Inside a transaction

    def new(self, db: sqlite3.Connection, peer_id: str, epoch: int) -> KnownLog:
        """An empty log."""
        cursor = db.execute(
            "INSERT INTO logs (peer, epoch, version, compacted, total) VALUES (?, ?, 0, 0, ?)",
            (peer_id, epoch, to_bytes(0)),
        )
        known = KnownLog(int(cursor.lastrowid or 0), LogState(epoch, 0), 0)
        self.set(peer_id, known)
        return known

    def latest(self, peer_id: str) -> KnownLog | None:
        """A log as this transaction has left it so far; others see that when it is committed."""
        return self._changed[peer_id] if peer_id in self._changed else self._known.get(peer_id)

    def now(self, peer_id: str) -> KnownLog:
        """The same of a log that there is."""
        known = self.latest(peer_id)
        if known is None:
            raise NotFound(f"no log of {peer_id} is known")
        return known

    def save(self, db: sqlite3.Connection, peer_id: str, known: KnownLog) -> None:
        """What has become of a log; one that is not signed, of a writer that signs, is unproven."""
        state = known.state
        if not state.signature:
            unproven = state.version > 0 and self.keys.get(peer_id) is not None and peer_id != self.self_id
            known = known._replace(state=replace(state, unproven=unproven or state.unproven))
        db.execute(
            "UPDATE logs SET epoch = ?, version = ?, compacted = ?, total = ?, signature = ? WHERE log = ?",
            (state.epoch, state.version, state.compacted, to_bytes(known.total), state.signature, known.log),
        )
        self.set(peer_id, known)

    def set(self, peer_id: str, known: KnownLog | None) -> None:
        """The same without the table; ``None`` for a log that is dropped."""
        if not self._changed:
            self._store.at_end(self._ended)
        self._changed[peer_id] = known

    def _ended(self, committed: bool) -> None:
        changed, self._changed = self._changed, {}
        if committed:
            for peer_id, known in changed.items():
                if known is None:
                    self._known.pop(peer_id, None)
                else:
                    self._known[peer_id] = known
