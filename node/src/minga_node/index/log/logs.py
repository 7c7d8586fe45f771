"""The replicated logs in the store: what is written and taken, and their compaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace

from minga_node.errors import Forged, PeerMisbehaved
from minga_node.index.log import deltas, tables
from minga_node.index.log.entries import Entries, Entry
from minga_node.index.log.keys import Keys
from minga_node.index.log.known_logs import KnownLog, KnownLogs
from minga_node.index.log.log_state import Delta, LogState, following
from minga_node.index.log.signing import KEY, MASK
from minga_node.index.log.table_schema import STEPS, WRITER
from minga_node.metrics import GOSSIP_REFUSED
from minga_node.store import Store

SIGNED_EVERY = 200
"""Entries of the own log for each signature. Whoever hears of them one by one can soon check them."""
CATCH_UP_ENTRIES = 5_000
"""Entries in one transaction that are part of a catch-up."""
FEW_PAGES, MANY_PAGES = 1_000, 16_000
"""Pages of 4 KiB in the write-ahead log before they go to their place."""

Hook = Callable[[sqlite3.Connection, Delta], None]
"""Called in the transaction that applies what a delta brings."""


class Logs:
    """All logs, this node's own among them. Thread-safe; a state is seen once it is committed."""

    def __init__(self, store: Store, self_id: str, network: str = "") -> None:
        self._store, self.self_id = store, self_id
        self.hooks: list[Hook] = []
        self.on_false: list[Callable[[str], None]] = []
        """Called with the writer of a log whose parts proved false together, once they are gone."""
        store.migrate("index", STEPS)
        store.prepare(WRITER)
        self.keys = Keys(store)
        self._known = KnownLogs(store, self_id, network, self.keys)

    @property
    def own(self) -> LogState:
        return self._known.own

    def state(self, peer_id: str) -> LogState | None:
        found = self._known.get(peer_id)
        return found.state if found else None

    def states(self) -> dict[str, LogState]:
        return self._known.states()

    def number(self, peer_id: str) -> int | None:
        """The number that stands for a log in the tables."""
        found = self._known.get(peer_id)
        return found.log if found else None

    def peers(self) -> dict[int, str]:
        return self._known.peers()

    def signs(self, peer_id: str) -> bool:
        """Whether a log is known with its writer's signature."""
        found = self._known.get(peer_id)
        return found is not None and bool(found.state.signature)

    def append(self, make: Callable[[sqlite3.Connection, int, int], Sequence[Entry]]) -> tuple[Entry, ...]:
        """Writes to this node's own log what ``make(connection, log, version)`` says, in one transaction."""
        with self._store.write() as db:
            before = self._known.now(self.self_id)
            entries = tuple(make(db, before.log, before.state.version))
            for start in range(0, len(entries), SIGNED_EVERY):
                self._append(db, entries[start : start + SIGNED_EVERY])
        return entries

    def _append(self, db: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        log, state, total = self._known.now(self.self_id)
        changes = tables.apply(db, [tables.EntryBatch(log, state.version == 0, (Entries.of(entries),))])
        total = (total + changes[log]) & MASK
        after = self._known.signed(LogState(state.epoch, entries[-1].version, state.compacted), total)
        self._known.save(db, self.self_id, KnownLog(log, after, total))
        delta = Delta(
            self.self_id, state.epoch, state.version, after.version, False, 0, entries, after.signature
        )
        for hook in self.hooks:
            hook(db, delta)

    def apply(self, news: Sequence[Delta], *, middle: bool = False) -> tuple[Delta, ...]:
        """Takes what another node knows of logs, in one transaction; those deltas that were news. Those that
        do not follow what is known are left alone: the next round asks again.

        What a writer that has a key did not sign is left alone too, but in the ``middle`` of a log that is
        too long for one transaction: that is kept as unproven until its signed end has come.

        Raises:
            PeerMisbehaved: one is of this node's own log, which nobody else writes; nothing is taken.
            Forged: one is not what its writer signed; nothing is taken.
        """
        if any(delta.peer_id == self.self_id for delta in news):
            raise PeerMisbehaved("somebody sends entries of this node's own log")
        taken: list[Delta] = []
        parts: dict[str, list[Delta]] = {}
        for delta in news:
            parts.setdefault(delta.peer_id, []).append(delta)
        ends = {peer_id: some[-1] for peer_id, some in parts.items()}
        with self._store.write() as db:
            waiting: dict[str, tuple[KnownLog, tables.EntryBatch]] = {}
            for delta in news:
                known = self._known.latest(delta.peer_id) or self._first(db, delta)
                if known is None or not self._to_be_heard(delta, ends[delta.peer_id], known, middle):
                    continue
                base, batch = waiting.get(
                    delta.peer_id, (known, tables.EntryBatch(known.log, known.state.version == 0, ()))
                )
                state = following(known.state, delta, ends[delta.peer_id], unproven=base.state.unproven)
                if state is None:
                    continue
                if state is not known.state:
                    tables.forget(db, known.log)
                    base, batch = KnownLog(known.log, state, 0), tables.EntryBatch(known.log, True, ())
                entries = Entries.of(delta.entries).after(state.version)
                if entries:
                    batch = batch._replace(parts=(*batch.parts, entries))
                waiting[delta.peer_id] = base, batch
                # A log that was begun at nothing lacks the tombstones its sender had already dropped.
                floor = max(state.compacted, delta.compacted if delta.from_version == 0 else 0)
                after = LogState(delta.epoch, max(state.version, delta.to_version), floor, delta.signature)
                self._known.save(db, delta.peer_id, KnownLog(known.log, after, 0))
                taken.append(replace(delta, entries=entries))
            for peer_id, (base, _) in list(waiting.items()):
                if self._lacks_end(parts[peer_id]):
                    # As where its sender has dropped tombstones since it began: it all has to come again.
                    self._known.save(db, peer_id, base)
                    del waiting[peer_id]
                    taken = [delta for delta in taken if delta.peer_id != peer_id]
            changes = self._write(db, [batch for _, batch in waiting.values() if batch.parts])
            for peer_id, (base, batch) in waiting.items():
                if not self._settle(db, peer_id, base, changes.get(batch.log, 0), middle):
                    taken = [delta for delta in taken if delta.peer_id != peer_id]
            for delta in taken:
                for hook in self.hooks:
                    hook(db, delta)
        return tuple(taken)

    def _to_be_heard(self, delta: Delta, end: Delta, known: KnownLog, middle: bool) -> bool:
        """Whether a delta may be the word of its log's writer, as far as can be seen before it is applied."""
        key = self.keys.get(delta.peer_id)
        state = known.state
        old = (delta.epoch, delta.to_version) <= (state.epoch, state.version)
        if key is None or (old and not state.unproven):
            return True
        if delta.signature and delta.signature[:KEY] != key:
            # Its sender may be right that the writer has another key by now; that is not found out here.
            GOSSIP_REFUSED.labels("key").inc()
            return False
        # Parts do not begin an epoch: a record of the writer must have told it.
        if not end.signature and not (middle and delta.epoch <= state.epoch) and not state.unproven:
            GOSSIP_REFUSED.labels("unsigned").inc()
            return False
        return True

    def _lacks_end(self, parts: Sequence[Delta]) -> bool:
        """Whether this transaction took some parts of a log, and those that lead on from there to its signed
        end, which came with them, were left alone."""
        end = parts[-1]
        state = self._known.now(end.peer_id).state
        version = state.version
        for delta in parts:
            if (delta.epoch, delta.from_version) == (state.epoch, version):
                version = delta.to_version
        return (
            bool(end.signature)
            and not state.signature
            and end.to_version == version
            and version > state.version
        )

    def _write(self, db: sqlite3.Connection, batches: Sequence[tables.EntryBatch]) -> dict[int, int]:
        if not batches:
            return {}
        rows = sum(len(part) for batch in batches for part in batch.parts)
        # Pages that many transactions of a catch-up change are written to their place once.
        db.execute(f"PRAGMA wal_autocheckpoint = {MANY_PAGES if rows > CATCH_UP_ENTRIES else FEW_PAGES}")
        return tables.apply(db, batches)

    def _settle(
        self, db: sqlite3.Connection, peer_id: str, base: KnownLog, change: int, middle: bool
    ) -> bool:
        """Compares what a log has become with what its writer signed; False when all of it had to go.

        Raises:
            Forged: what was there before was right, so what came is not.
        """
        log, state, _ = self._known.now(peer_id)
        total = (base.total + change) & MASK
        if state.signature:
            right = self._known.proves(peer_id, state, total, state.signature)
        else:
            right = middle or base.state.unproven or self.keys.get(peer_id) is None
        if right:
            if state.signature and self.keys.get(peer_id) is None:
                self.keys.put(db, peer_id, state.signature[:KEY])
            self._known.save(db, peer_id, KnownLog(log, state, total))
            return True
        if base.sure or not state.signature:
            raise Forged(f"somebody sends entries of {peer_id[:128]!r} that are not what it signed", peer_id)
        tables.forget(db, log)
        self._known.save(db, peer_id, KnownLog(log, LogState(state.epoch, 0), 0))
        self._store.after_commit(lambda: self._proved_false(peer_id))
        return False

    def _proved_false(self, peer_id: str) -> None:
        for listener in self.on_false:
            listener(peer_id)

    def _first(self, db: sqlite3.Connection, delta: Delta) -> KnownLog | None:
        """A log of which nothing was known; None where the delta does not begin at its beginning."""
        return self._known.new(db, delta.peer_id, delta.epoch) if delta.from_version == 0 else None

    def delta(self, peer_id: str, from_version: int, max_bytes: int, *, reset: bool = False) -> Delta | None:
        """What somebody lacks who knows a log up to ``from_version``, about ``max_bytes`` of it; None where
        there is nothing that can be given on. See :func:`.deltas.read`."""
        known = self._known.get(peer_id)
        if known is None or known.state.unproven or known.state.version < from_version:
            return None
        with self._store.read() as db:
            return deltas.read(db, peer_id, from_version, max_bytes, reset=reset)

    def compact(self, peer_id: str, floor: int) -> int:
        """Drops the tombstones of a log up to a version; how many."""
        with self._store.write() as db:
            known = self._known.now(peer_id)
            floor = min(floor, known.state.version)
            if floor <= known.state.compacted:
                return 0
            where = (known.log, floor)
            count = db.execute("DELETE FROM tombstones WHERE log = ? AND version <= ?", where).rowcount
            self._known.save(db, peer_id, known._replace(state=replace(known.state, compacted=floor)))
        return count

    def renew(self, epoch: int) -> None:
        """Begins a new epoch of the own log with the same entries."""
        with self._store.write() as db:
            known = self._known.now(self.self_id)
            state = self._known.signed(replace(known.state, epoch=epoch), known.total)
            self._known.save(db, self.self_id, known._replace(state=state))

    def begin(self, peer_id: str, epoch: int) -> bool:
        """Empties the log of a peer that began a new epoch; whether there was an older one."""
        with self._store.write() as db:
            known = self._known.latest(peer_id)
            if known is None or peer_id == self.self_id or known.state.epoch >= epoch:
                return False
            tables.forget(db, known.log)
            self._known.save(db, peer_id, KnownLog(known.log, LogState(epoch, 0), 0))
        return True

    def drop(self, peer_id: str) -> None:
        """Forgets a log altogether, and its writer's key."""
        with self._store.write() as db:
            known = self._known.latest(peer_id)
            if peer_id == self.self_id:
                return
            self.keys.put(db, peer_id, b"")
            if known is not None:
                tables.forget(db, known.log)
                db.execute("DELETE FROM logs WHERE log = ?", (known.log,))
                self._known.set(peer_id, None)

    def learn_key(self, peer_id: str, key: bytes) -> None:
        """Takes the first key that is heard of a peer: what there is of its log has yet to be proven."""
        with self._store.write() as db:
            self.keys.put(db, peer_id, key)
            known = self._known.latest(peer_id)
            if known is not None:
                unproven = known.state.version > 0
                state = replace(known.state, signature=b"", unproven=unproven)
                self._known.save(db, peer_id, known._replace(state=state))
