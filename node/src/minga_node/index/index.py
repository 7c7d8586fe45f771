"""The replicated index of a node: everything that everybody shares, searchable here."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from minga_node.index import media
from minga_node.index.fold import fold
from minga_node.index.log.entries import Entries, Entry
from minga_node.index.log.log_state import Delta, check_delta
from minga_node.index.log.logs import Logs
from minga_node.index.search.copy_counts import HeldAt, contents_by_copies, held_by_peer, scarce
from minga_node.index.search.query import Query
from minga_node.index.search.rows import RowReader
from minga_node.index.search.searcher import Searcher
from minga_node.index.search.shared import shared_ids, shared_names
from minga_node.index.tidier import Tidier
from minga_node.metrics import INDEX_ENTRIES
from minga_node.model import Attributes, FileRow, Holder, LocalFile, Page
from minga_node.store import Store
from minga_node.workers import Worker

COUNT_SECONDS = 2.0
"""Least time between two counts of all entries for the metric."""


class Index:
    """Publishes this node's files, takes the logs of others, and answers searches from its own copy.

    Args:
        store: holds it.
        self_id: this node's name; its log is written here and nowhere else.
        network: its name; what is signed for one network is worth nothing in another.
    """

    def __init__(self, store: Store, self_id: str, network: str = "") -> None:
        self._store, self.self_id = store, self_id
        self.logs = Logs(store, self_id, network)
        self.online: Callable[[str], bool] = lambda peer_id: peer_id == self_id
        """Whether a peer is online; the membership puts its own here."""
        self.on_change: list[Callable[[str], None]] = []
        """Called with the id of the peer whose log has news, once they are committed and outside of locks."""
        self._rows = RowReader(self.logs, self.is_online)
        self._searcher = Searcher(store, self.logs, self._rows)
        self._counted = -COUNT_SECONDS
        self._tidier = Tidier(store, self._tidied)

    def is_online(self, peer_id: str) -> bool:
        return peer_id == self.self_id or self.online(peer_id)

    @property
    def version(self) -> int:
        """Another number whenever something of it may have changed; read before what depends on it."""
        return self._store.commits

    def publish(self, files: Sequence[LocalFile]) -> int:
        """Shares files, or what became of them; how many were news. Atomic."""

        def make(db: sqlite3.Connection, number: int, version: int) -> list[Entry]:
            entries: list[Entry] = []
            for file in {file.name: file for file in files}.values():
                if _current(db, number, file.name) != file:
                    version += 1
                    content = bytes.fromhex(file.id)
                    entries.append(
                        Entry(
                            version,
                            file.name,
                            content,
                            file.size,
                            media.encoded(file.media_type, file.executable),
                            file.modified_ms,
                            file.complete,
                        )
                    )
            return entries

        return self._append(make)

    def remove(self, names: Sequence[str]) -> int:
        """Shares files no more; how many of them were shared."""

        def make(db: sqlite3.Connection, number: int, version: int) -> list[Entry]:
            shared = [name for name in dict.fromkeys(names) if _current(db, number, name) is not None]
            return [Entry(version + count, name, None) for count, name in enumerate(shared, 1)]

        return self._append(make)

    def _append(self, make: Callable[[sqlite3.Connection, int, int], Sequence[Entry]]) -> int:
        entries = self.logs.append(make)
        if entries:
            self._changed(self.self_id)
        return len(entries)

    def local(self) -> dict[str, LocalFile]:
        """This node's own files by name."""
        own = self.logs.number(self.self_id)
        found = self._store.rows(
            "SELECT f.name, f.content, f.size, ifnull(h.media_type, f.media_type), h.modified, h.complete "
            "FROM held h CROSS JOIN files f ON f.file = h.file WHERE h.log = ?",
            (own,),
        )
        return {
            name: _local_file(name, content, size, media_type, modified, complete)
            for name, content, size, media_type, modified, complete in found
        }

    def files_of(self, peer_id: str) -> dict[str, str]:
        """The ids by name of what a peer shares."""
        found = self._store.rows(
            "SELECT f.name, f.content FROM held h CROSS JOIN files f ON f.file = h.file WHERE h.log = ?",
            (self.logs.number(peer_id),),
        )
        return {name: content.hex() for name, content in found}

    def apply(self, delta: Delta) -> bool:
        """Takes news of another node's log; whether they were any.

        Raises:
            PeerMisbehaved: no honest node sends this; nothing is changed.
        """
        return bool(self.apply_all([delta]))

    def apply_all(self, deltas: Sequence[Delta], *, middle: bool = False) -> tuple[Delta, ...]:
        """Takes news of other nodes' logs, all in one transaction; those that were any. ``middle`` says
        that the last of them is a part of a log that is too long for that; see :meth:`.Logs.apply`.

        Raises:
            PeerMisbehaved: no honest node sends one of these; nothing is changed.
        """
        deltas = [replace(delta, entries=Entries.of(delta.entries)) for delta in deltas]
        for delta in deltas:
            check_delta(delta)
        news = self.logs.apply(deltas, middle=middle)
        if news:
            self._changed(
                *dict.fromkeys(delta.peer_id for delta in news), rows=sum(len(d.entries) for d in news)
            )
        return news

    def forget(self, peer_id: str) -> None:
        """Takes a peer's log out altogether."""
        self.logs.drop(peer_id)
        self._changed()

    def search(self, query: Query) -> Page:
        """One page of what is looked for.

        Raises:
            BadRequest: the query makes no sense.
        """
        return self._searcher.search(query)

    def by_name(self, name: str) -> tuple[FileRow, ...]:
        """The rows of all contents under exactly this name."""
        with self._store.read() as db:
            return self._rows.select(db, "WHERE folded = ? AND name = ? ORDER BY content", (fold(name), name))

    def by_id(self, identity: str) -> tuple[FileRow, ...]:
        """All names of a content."""
        with self._store.read() as db:
            return self._rows.select(
                db,
                "WHERE substr(content, 1, 8) = substr(?1, 1, 8) AND content = ?1 ORDER BY folded, name",
                (bytes.fromhex(identity),),
            )

    def attributes(self, name: str, identity: str) -> Attributes:
        """What is said of a content under a name, else under any other name."""
        rows = [row for row in self.by_name(name) if row.id == identity] or self.by_id(identity)
        if not rows:
            return Attributes()
        return Attributes(rows[0].modified_ms / 1000, rows[0].executable)

    def by_beginning(self, digits: str, limit: int) -> tuple[FileRow, ...]:
        """All names of the contents whose ids begin with these hex digits; ``limit`` at most."""
        low, high = (bytes.fromhex(digits.ljust(64, end)) for end in "0f")
        with self._store.read() as db:
            return self._rows.select(
                db,
                "WHERE substr(content, 1, 8) BETWEEN substr(?1, 1, 8) AND substr(?2, 1, 8)"
                " AND content BETWEEN ?1 AND ?2 ORDER BY folded, name LIMIT ?3",
                (low, high, limit),
            )

    def holders(self, identity: str) -> tuple[Holder, ...]:
        """Everybody who has a content under any name, each once."""
        best: dict[str, Holder] = {}
        for row in self.by_id(identity):
            for holder in row.holders:
                if holder.peer_id not in best or holder.complete:
                    best[holder.peer_id] = holder
        return tuple(best[peer_id] for peer_id in sorted(best))

    def shared(
        self, names: Collection[str], ids: Collection[str], peer_id: str | None = None
    ) -> tuple[set[str], set[str]]:
        """The names and the ids that anybody shares, or that one peer shares; online or not.

        For thousands of them, where :meth:`by_name` and :meth:`by_id` are one query each.
        """
        log = None if peer_id is None else self.logs.number(peer_id)
        if peer_id is not None and log is None:
            return set(), set()
        with self._store.read() as db:
            return shared_names(db, names, log), shared_ids(db, ids, log)

    def count(self) -> int:
        """Entries that count, of all logs together."""
        return int(self._store.rows("SELECT count(*) FROM held")[0][0])

    def totals(self) -> tuple[int, int]:
        """How many contents under a name everybody shares together, and their bytes, each once."""
        found = self._store.rows("SELECT count(*), ifnull(sum(size), 0) FROM files WHERE holders > 0")
        files, size = found[0]
        return int(files), int(size)

    def held(self) -> dict[str, tuple[int, int]]:
        """How many files each peer has completely, and their bytes."""
        return held_by_peer(self._store, self.logs)

    def copies(self) -> dict[int, int]:
        """Contents by the number of complete copies that are online."""
        return contents_by_copies(self._store, self.logs, self.is_online)

    def scarce(
        self, counts: Callable[[str], bool], target: int, after: str = "", limit: int = 1000
    ) -> dict[str, list[HeldAt]]:
        """Own contents with fewer than ``target`` copies at nodes that count. See :func:`.scarce`."""
        return scarce(self._store, self.logs, counts, target, after, limit)

    def _changed(self, *peer_ids: str, rows: int = 1) -> None:
        """The caller's transaction may go on, and may yet fail."""

        def tell() -> None:
            self._tidier.wake(rows)
            for peer_id in peer_ids:
                for listener in self.on_change:
                    listener(peer_id)

        self._store.after_commit(tell)

    def _tidied(self) -> None:
        if time.monotonic() - self._counted > COUNT_SECONDS:
            INDEX_ENTRIES.set(self.count())
            self._counted = time.monotonic()

    @property
    def workers(self) -> tuple[Worker, ...]:
        return (self._tidier.worker,)

    def close(self) -> None:
        """Ends the work in the background."""
        self._tidier.close()


def _current(db: sqlite3.Connection, number: int, name: str) -> LocalFile | None:
    row = db.execute(
        "SELECT f.content, f.size, ifnull(h.media_type, f.media_type), h.modified, h.complete FROM files f "
        "CROSS JOIN held h ON h.log = ? AND h.file = f.file WHERE f.folded = ? AND f.name = ?",
        (number, fold(name), name),
    ).fetchone()
    if row is None:
        return None
    return _local_file(name, *row)


def _local_file(
    name: str, content: bytes, size: int, media_type: str, modified: int, complete: int
) -> LocalFile:
    plain, executable = media.decoded(media_type)
    return LocalFile(name, content.hex(), size, plain, modified, bool(complete), executable)
