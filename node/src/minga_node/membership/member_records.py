"""The members in the store, so that a node that comes back finds them without its seed."""

from __future__ import annotations

import time
from collections.abc import Iterable

from minga_node.membership.clock_bounds import record_fits, word_fits
from minga_node.membership.crowd import MOST_KNOWN
from minga_node.membership.known_members import KnownMember
from minga_node.model import Peer
from minga_node.store import Store

STEPS = (
    """
CREATE TABLE members (
    id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, heartbeat INTEGER NOT NULL, departed INTEGER NOT NULL,
    seen INTEGER NOT NULL, host TEXT NOT NULL, rest_port INTEGER NOT NULL, grpc_port INTEGER NOT NULL,
    data_port INTEGER NOT NULL, seed INTEGER NOT NULL, version TEXT NOT NULL, started INTEGER NOT NULL
) WITHOUT ROWID;
""",
    """
ALTER TABLE members ADD COLUMN key BLOB NOT NULL DEFAULT x'';
ALTER TABLE members ADD COLUMN signature BLOB NOT NULL DEFAULT x'';
""",
    # A table of its own: the release before, to which one may go back, writes whole rows of the other.
    """
CREATE TABLE unproven (id TEXT PRIMARY KEY) WITHOUT ROWID;
""",
    """
CREATE TABLE goodbyes (id TEXT PRIMARY KEY, signature BLOB NOT NULL) WITHOUT ROWID;
""",
)


class MemberRecords:
    def __init__(self, store: Store) -> None:
        self._store = store
        store.migrate("membership", STEPS)

    def load(self, now: float) -> dict[str, KnownMember]:
        """The members of before; silent for as long as nobody has heard of them."""
        found: dict[str, KnownMember] = {}
        wall = time.time()
        unproven = {id_ for (id_,) in self._store.rows("SELECT id FROM unproven")}
        goodbyes = dict(self._store.rows("SELECT id, signature FROM goodbyes"))
        for row in self._store.rows("SELECT * FROM members"):
            (
                id_,
                epoch,
                heartbeat,
                left,
                seen,
                host,
                rest,
                grpc_port,
                data,
                seed,
                version,
                started,
                key,
                signature,
            ) = row
            peer = Peer(id_, epoch, host, rest, grpc_port, data, bool(seed), version, started, key, signature)
            heard = now - max(0.0, wall - seen)
            if record_fits(peer) and word_fits(epoch, heartbeat) and len(found) < MOST_KNOWN:
                found[id_] = KnownMember(
                    epoch, heartbeat, heard, started, bool(left), goodbyes.get(id_, b"") if left else b"",
                    peer, proven=id_ not in unproven,
                )  # fmt: skip
        return found

    def save(self, known: Iterable[KnownMember], now: float) -> None:
        wall = time.time()
        known = list(known)
        unproven = [(each.peer.id,) for each in known if each.peer is not None and not each.proven]
        goodbyes = [(each.peer.id, each.goodbye) for each in known if each.peer is not None and each.goodbye]
        rows = [
            (
                each.peer.id, each.epoch, each.heartbeat, each.left, int(wall - (now - each.heard)),
                each.peer.host, each.peer.rest_port, each.peer.grpc_port, each.peer.data_port,
                each.peer.seed, each.peer.version, each.peer.started,
                each.peer.key, each.peer.signature,
            )
            for each in known
            if each.peer is not None
        ]  # fmt: skip
        with self._store.write() as db:
            db.execute("DELETE FROM members")
            db.execute("DELETE FROM unproven")
            db.execute("DELETE FROM goodbyes")
            db.executemany("INSERT INTO goodbyes VALUES (?, ?)", goodbyes)
            db.executemany("INSERT INTO unproven VALUES (?)", unproven)
            db.executemany(f"INSERT INTO members VALUES ({','.join('?' * 14)})", rows)
