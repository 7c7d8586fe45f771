"""The replicated logs in the store: what is known of each, their deltas, their compaction."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, chain

from minga_node.errors import NotFound, PeerMisbehaved
from minga_node.index import tables
from minga_node.index.log import Delta, Entry, LogState
from minga_node.index.schema import STEPS, WRITER
from minga_node.store import Store

ROWS = 20_000
"""Entries in one delta that this node makes, at most."""
MANY = 5_000
"""Entries in one transaction that are part of a catch-up."""
FEW_PAGES, MANY_PAGES = 1_000, 16_000
"""Pages of 4 KiB in the write-ahead log before they go to their place."""
ENTRY_BYTES = 60
"""Of an entry on the wire, besides its name and media type."""

Hook = Callable[[sqlite3.Connection, str, int, Sequence[Entry]], None]
"""Called in the transaction that applies entries: connection, peer id, epoch, entries."""


class Logs:
    """All logs, this node's own among them. Thread-safe; a state is seen once it is committed."""

    def __init__(self, store: Store, self_id: str) -> None:
        self._store, self.self_id = store, self_id
        self.hooks: list[Hook] = []
        store.migrate("index", STEPS)
        store.prepare(WRITER)
        with store.write() as db:
            row = db.execute("SELECT log, epoch FROM logs WHERE peer = ?", (self_id,)).fetchone()
            if row is None:
                db.execute("INSERT INTO logs VALUES (NULL, ?, ?, 0, 0)", (self_id, store.epoch))
        self._changed: dict[str, tuple[int, LogState] | None] = {}
        """What the running transaction changes; ``None`` for a log that it drops."""
        self._states: dict[str, tuple[int, LogState]] = {
            peer: (log, LogState(epoch, version, compacted))
            for peer, log, epoch, version, compacted in store.read().execute(
                "SELECT peer, log, epoch, version, compacted FROM logs"
            )
        }

    @property
    def own(self) -> LogState:
        return self._states[self.self_id][1]

    def state(self, peer_id: str) -> LogState | None:
        found = self._states.get(peer_id)
        return found[1] if found else None

    def states(self) -> dict[str, LogState]:
        return {peer: state for peer, (_, state) in self._states.copy().items()}

    def number(self, peer_id: str) -> int | None:
        """The number that stands for a log in the tables."""
        found = self._states.get(peer_id)
        return found[0] if found else None

    def peers(self) -> dict[int, str]:
        return {log: peer for peer, (log, _) in self._states.copy().items()}

    def append(self, make: Callable[[sqlite3.Connection, int, int], Sequence[Entry]]) -> tuple[Entry, ...]:
        """Writes to this node's own log what ``make(connection, log, version)`` says, in one transaction."""
        with self._store.write() as db:
            log, state = self._now(self.self_id)
            entries = tuple(make(db, log, state.version))
            if entries:
                tables.apply(db, [tables.Batch(log, state.version == 0, entries)])
                self._save(db, self.self_id, log, LogState(state.epoch, entries[-1].version, state.compacted))
                for hook in self.hooks:
                    hook(db, self.self_id, state.epoch, entries)
        return entries

    def apply(self, deltas: Sequence[Delta]) -> tuple[Delta, ...]:
        """Takes what another node knows of logs, in one transaction; those deltas that were news. Those that
        do not follow what is known are left alone: the next round asks again.

        Raises:
            PeerMisbehaved: one is of this node's own log, which nobody else writes; nothing is taken.
        """
        if any(delta.peer_id == self.self_id for delta in deltas):
            raise PeerMisbehaved("somebody sends entries of this node's own log")
        news: list[Delta] = []
        with self._store.write() as db:
            waiting: dict[int, tables.Batch] = {}
            for delta in deltas:
                known = self._latest(delta.peer_id) or self._first(db, delta)
                if known is None:
                    continue
                log, state = known
                if delta.epoch < state.epoch:
                    continue
                needless = state.version >= delta.compacted or state.compacted >= delta.compacted
                if delta.epoch > state.epoch or delta.reset:
                    if delta.from_version > 0 or (delta.epoch == state.epoch and needless):
                        continue
                    waiting.pop(log, None)
                    tables.forget(db, log)
                    state = LogState(delta.epoch, 0)
                elif delta.from_version > state.version or delta.to_version <= state.version:
                    continue
                elif 0 < state.version < delta.compacted and state.compacted < delta.compacted:
                    # Its sender has dropped tombstones of names that are still here: only all of it will do.
                    continue
                entries = delta.entries
                if delta.from_version < state.version:
                    entries = tuple(entry for entry in entries if entry.version > state.version)
                batch = waiting.get(log)
                if batch is not None:
                    waiting[log] = batch._replace(entries=(*batch.entries, *entries))
                elif entries:
                    waiting[log] = tables.Batch(log, state.version == 0, entries)
                # A log that was begun at nothing lacks the tombstones its sender had already dropped.
                floor = max(state.compacted, delta.compacted if delta.from_version == 0 else 0)
                self._save(db, delta.peer_id, log, LogState(delta.epoch, delta.to_version, floor))
                for hook in self.hooks:
                    hook(db, delta.peer_id, delta.epoch, entries)
                news.append(delta)
            if waiting:
                rows = sum(len(batch.entries) for batch in waiting.values())
                # Pages that many transactions of a catch-up change are written to their place once.
                db.execute(f"PRAGMA wal_autocheckpoint = {MANY_PAGES if rows > MANY else FEW_PAGES}")
                tables.apply(db, tuple(waiting.values()))
        return tuple(news)

    def _first(self, db: sqlite3.Connection, delta: Delta) -> tuple[int, LogState] | None:
        """A log of which nothing was known; None where the delta does not begin at its beginning."""
        if delta.from_version > 0:
            return None
        cursor = db.execute("INSERT INTO logs VALUES (NULL, ?, ?, 0, 0)", (delta.peer_id, delta.epoch))
        known = int(cursor.lastrowid or 0), LogState(delta.epoch, 0)
        self._set(delta.peer_id, *known)
        return known

    def delta(self, peer_id: str, from_version: int, max_bytes: int, *, reset: bool = False) -> Delta | None:
        """What somebody lacks who knows a log up to ``from_version``, about ``max_bytes`` of it."""
        known = self._states.get(peer_id)
        if known is None or known[1].version <= from_version:
            return None
        log, state = known
        db = self._store.read()
        most = min(ROWS, max_bytes // ENTRY_BYTES + 1)
        limits = (log, from_version, state.version, most + 1)
        rows = db.execute(
            "SELECT h.version, f.name, f.content, f.size, f.media_type, h.modified, h.complete "
            "FROM held h CROSS JOIN files f ON f.file = h.file "
            "WHERE h.log = ? AND h.version > ? AND h.version <= ? ORDER BY h.version LIMIT ?",
            limits,
        ).fetchall()
        gone = db.execute(
            "SELECT version, name, NULL, 0, '', 0, 1 FROM tombstones WHERE log = ? AND version > ? "
            "AND version <= ? ORDER BY version LIMIT ?",
            limits,
        ).fetchall()
        ordered = sorted(chain(rows, gone)) if gone else rows
        sizes = accumulate(len(row[1]) + len(row[4]) + ENTRY_BYTES for row in ordered)
        fitting = bisect_right(tuple(sizes), max_bytes)
        taken = min(max(fitting, 1), most, len(ordered))
        to_version = ordered[taken - 1][0] if taken < len(ordered) else state.version
        entries = list(map(Entry._make, ordered[:taken]))
        return Delta(peer_id, state.epoch, from_version, to_version, reset, state.compacted, entries)

    def compact(self, peer_id: str, floor: int) -> int:
        """Drops the tombstones of a log up to a version; how many."""
        with self._store.write() as db:
            log, state = self._now(peer_id)
            floor = min(floor, state.version)
            if floor <= state.compacted:
                return 0
            count = db.execute("DELETE FROM tombstones WHERE log = ? AND version <= ?", (log, floor)).rowcount
            self._save(db, peer_id, log, LogState(state.epoch, state.version, floor))
        return count

    def renew(self, epoch: int) -> None:
        """Begins a new epoch of the own log with the same entries."""
        with self._store.write() as db:
            log, state = self._now(self.self_id)
            self._save(db, self.self_id, log, LogState(epoch, state.version, state.compacted))

    def begin(self, peer_id: str, epoch: int) -> bool:
        """Empties the log of a peer that began a new epoch; whether there was an older one."""
        with self._store.write() as db:
            known = self._latest(peer_id)
            if known is None or peer_id == self.self_id or known[1].epoch >= epoch:
                return False
            tables.forget(db, known[0])
            self._save(db, peer_id, known[0], LogState(epoch, 0))
        return True

    def drop(self, peer_id: str) -> None:
        """Forgets a log altogether."""
        with self._store.write() as db:
            known = self._latest(peer_id)
            if known is None or peer_id == self.self_id:
                return
            tables.forget(db, known[0])
            db.execute("DELETE FROM logs WHERE log = ?", (known[0],))
            self._set(peer_id, None, None)

    # Inside a transaction

    def _latest(self, peer_id: str) -> tuple[int, LogState] | None:
        """A log as this transaction has left it so far; others see that when it is committed."""
        return self._changed[peer_id] if peer_id in self._changed else self._states.get(peer_id)

    def _now(self, peer_id: str) -> tuple[int, LogState]:
        known = self._latest(peer_id)
        if known is None:
            raise NotFound(f"no log of {peer_id} is known")
        return known

    def _save(self, db: sqlite3.Connection, peer_id: str, log: int, state: LogState) -> None:
        db.execute(
            "UPDATE logs SET epoch = ?, version = ?, compacted = ? WHERE log = ?",
            (state.epoch, state.version, state.compacted, log),
        )
        self._set(peer_id, log, state)

    def _set(self, peer_id: str, log: int | None, state: LogState | None) -> None:
        if not self._changed:
            self._store.at_end(self._ended)
        self._changed[peer_id] = None if log is None or state is None else (log, state)

    def _ended(self, committed: bool) -> None:
        changed, self._changed = self._changed, {}
        if committed:
            for peer_id, known in changed.items():
                if known is None:
                    self._states.pop(peer_id, None)
                else:
                    self._states[peer_id] = known
