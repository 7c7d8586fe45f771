"""Ids already computed, kept over restarts: a file is hashed once for each of its signatures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from minga_node.library.scan import Signature
from minga_node.store import Store

SCHEMA = (
    """
    CREATE TABLE hash (
        inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, id TEXT NOT NULL,
        PRIMARY KEY (inode, size, mtime_ns)
    ) WITHOUT ROWID;
    """,
    # What an earlier release hashed has no device and no time of change: both are 0.
    """
    CREATE TABLE hashed (
        inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
        device INTEGER NOT NULL, id TEXT NOT NULL,
        PRIMARY KEY (inode, size, mtime_ns, ctime_ns, device)
    ) WITHOUT ROWID;
    INSERT INTO hashed SELECT inode, size, mtime_ns, 0, 0, id FROM hash;
    DROP TABLE hash;
    CREATE TABLE library (marker TEXT NOT NULL, boot TEXT NOT NULL);
    INSERT INTO library VALUES ('', '');
    """,
)
SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class KnownHash:
    """The id that a file had when it was hashed."""

    id: str
    """64 hex digits."""
    certain: bool
    """False where the signature does not say it for sure: the file is to be hashed when there is time."""


def judge(
    rows: Sequence[tuple[int, int, str]], signature: Signature, devices: Collection[int]
) -> KnownHash | None:
    """Which id a file has, by what was hashed before with its inode, size and time of modification.

    Args:
        rows: time of change, device and id of each; a device of 0 stands for one of an earlier start of the
            machine, when devices may have had other numbers.
        devices: those that the library's files are on now.
    """
    same = [(device, identity) for changed, device, identity in rows if changed == signature.ctime_ns]
    for device, identity in same:
        if device == signature.device:
            return KnownHash(identity, certain=True)
    # Not the number of any device here: then the file's own has another number now.
    elsewhere = {identity for device, identity in same if device not in devices}
    if len(elsewhere) == 1:
        # Where times are told in whole seconds, two files may well have the same ones.
        return KnownHash(elsewhere.pop(), certain=signature.ctime_ns % SECOND != 0)
    older = {identity for changed, _, identity in rows if changed == 0}
    return KnownHash(older.pop(), certain=False) if len(older) == 1 else None


class Hashes:
    """Args:
    boot: tells one start of the machine from another.
    """

    def __init__(self, store: Store, boot: str | None = None) -> None:
        self._store = store
        store.migrate("library", SCHEMA)
        self.devices: Collection[int] = frozenset()
        """Those that the library's files are on now."""
        self._after_a_boot(this_boot() if boot is None else boot)

    def _after_a_boot(self, boot: str) -> None:
        with self._store.write() as db:
            (before,) = db.execute("SELECT boot FROM library").fetchone()
            if before == boot:
                return
            # Devices have other numbers now, perhaps each other's: what only they tell apart is hashed again.
            db.execute(
                "DELETE FROM hashed WHERE (inode, size, mtime_ns, ctime_ns) IN "
                "(SELECT inode, size, mtime_ns, ctime_ns FROM hashed "
                "GROUP BY 1, 2, 3, 4 HAVING count(DISTINCT id) > 1)"
            )
            db.execute("UPDATE OR REPLACE hashed SET device = 0 WHERE device != 0")
            db.execute("UPDATE library SET boot = ?", (boot,))

    @property
    def marker(self) -> str:
        """What the marker in the directory said; empty before there was one."""
        return str(self._store.rows("SELECT marker FROM library")[0][0])

    @marker.setter
    def marker(self, marker: str) -> None:
        with self._store.write() as db:
            db.execute("UPDATE library SET marker = ? WHERE marker != ?", (marker, marker))

    def get(self, signature: Signature) -> KnownHash | None:
        """The id of the content with this signature, if it was hashed before."""
        rows = self._store.rows(
            "SELECT ctime_ns, device, id FROM hashed WHERE inode = ? AND size = ? AND mtime_ns = ?",
            (signature.inode, signature.size, signature.mtime_ns),
        )
        return judge(rows, signature, self.devices)

    def put(self, hashed: Collection[tuple[Signature, str]]) -> None:
        with self._store.write() as db:
            db.executemany(
                "DELETE FROM hashed WHERE inode = ? AND size = ? AND mtime_ns = ? AND ctime_ns IN (0, ?) "
                "AND device = 0",
                [(s.inode, s.size, s.mtime_ns, s.ctime_ns) for s, _ in hashed],
            )
            db.executemany(
                "INSERT OR REPLACE INTO hashed VALUES (?, ?, ?, ?, ?, ?)",
                [(s.inode, s.size, s.mtime_ns, s.ctime_ns, s.device, identity) for s, identity in hashed],
            )

    def keep_only(self, current: Collection[Signature]) -> None:
        """Forgets files that are no more."""
        wanted = {(s.inode, s.size, s.mtime_ns, s.ctime_ns, s.device) for s in current}
        wanted |= {(s.inode, s.size, s.mtime_ns, changed, 0) for s in current for changed in (0, s.ctime_ns)}
        with self._store.write() as db:
            known = db.execute("SELECT inode, size, mtime_ns, ctime_ns, device FROM hashed").fetchall()
            db.executemany(
                "DELETE FROM hashed WHERE inode = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ? "
                "AND device = ?",
                [row for row in known if row not in wanted],
            )


def this_boot() -> str:
    """The id of this start of the machine (random(4)); empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
