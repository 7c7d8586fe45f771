"""Whose key is whose: this node's own pair, and the public keys by which others' words are known."""

from __future__ import annotations

import sqlite3

from minga_node.index.log.signing import Signer
from minga_node.store import Store


class Keys:
    """The first key that is heard of a peer is kept, until somebody decides that its node is gone.

    Changes are made within the caller's transaction and are seen once it is committed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.write() as db:
            row = db.execute("SELECT secret FROM identity").fetchone()
            secret = bytes(row[0]) if row else Signer.make_secret()
            if row is None:
                db.execute("INSERT INTO identity VALUES (?)", (secret,))
        self.own = Signer(secret)
        self._keys: dict[str, bytes] = dict(store.rows("SELECT peer, key FROM keys"))

    def get(self, peer_id: str) -> bytes | None:
        """A peer's public key; None while it has not told any."""
        return self._keys.get(peer_id)

    def put(self, db: sqlite3.Connection, peer_id: str, key: bytes) -> None:
        """Takes a key for a peer's; an empty one for a peer that signs nothing."""
        if key:
            db.execute("INSERT OR REPLACE INTO keys VALUES (?, ?)", (peer_id, key))
        else:
            db.execute("DELETE FROM keys WHERE peer = ?", (peer_id,))

        def ended(committed: bool) -> None:
            if not committed:
                return
            if key:
                self._keys[peer_id] = key
            else:
                self._keys.pop(peer_id, None)

        self._store.at_end(ended)
