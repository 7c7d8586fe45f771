"""Rows of the tables as :class:`~minga_node.model.FileRow`, with their holders."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minga_node.index.log.logs import Logs
from minga_node.index.media import decoded
from minga_node.model import FileRow, Holder

COLUMNS = "file, name, content, size, media_type, modified"


class RowReader:
    """Reads rows; who is online is asked as they are read."""

    def __init__(self, logs: Logs, online: Callable[[str], bool]) -> None:
        self._logs, self.online = logs, online

    def select(self, db: sqlite3.Connection, where: str, values: Sequence[Any]) -> tuple[FileRow, ...]:
        return self.rows(db, db.execute(f"SELECT {COLUMNS} FROM files {where}", values).fetchall())

    def rows(self, db: sqlite3.Connection, found: Sequence[tuple[Any, ...]]) -> tuple[FileRow, ...]:
        """``found`` begins with the :data:`COLUMNS`."""
        if not found:
            return ()
        peers = self._logs.peers()
        holders: dict[int, list[tuple[int, int]]] = {row[0]: [] for row in found}
        marks = ",".join("?" * len(holders))
        for file, log, complete in db.execute(
            f"SELECT file, log, complete FROM held WHERE file IN ({marks})", tuple(holders)
        ):
            holders[file].append((log, complete))
        # Most rows of a page have the same holders: these are made once.
        made: dict[tuple[tuple[int, int], ...], tuple[Holder, ...]] = {}
        rows = []
        for file, name, content, size, media_type, modified, *_ in found:
            key = tuple(holders[file])
            held = made.get(key)
            if held is None:
                held = made[key] = self._holders(peers, key)
            plain, executable = decoded(media_type)
            rows.append(FileRow(name, content.hex(), size, plain, modified, held, executable))
        return tuple(rows)

    def _holders(self, peers: Mapping[int, str], held: Sequence[tuple[int, int]]) -> tuple[Holder, ...]:
        """Ordered by their ids."""
        known = sorted((peers[log], bool(complete)) for log, complete in held if log in peers)
        return tuple(Holder(peer, complete, self.online(peer)) for peer, complete in known)
