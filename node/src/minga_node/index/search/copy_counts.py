"""How many complete copies there are: of everything, at each peer, and of what too few have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minga_node.index.log.logs import Logs
from minga_node.store import Store


@dataclass(frozen=True, slots=True)
class HeldAt:
    """A complete copy: whose, and when the file was modified there (milliseconds since 1970)."""

    peer_id: str
    modified_ms: int


def scarce(
    store: Store, logs: Logs, counts: Callable[[str], bool], target: int, after: str, limit: int
) -> dict[str, list[HeldAt]]:
    """Contents that are completely here and have fewer than ``target`` complete copies at nodes that count.
    In the order of their ids, each with all its complete copies.

    Args:
        after: only ids larger than this one.
        limit: so many contents at most.
    """
    peers = logs.peers()
    here = ",".join(str(number) for number, peer_id in peers.items() if counts(peer_id))
    found = store.rows(
        "SELECT DISTINCT f.content FROM files f"
        " WHERE substr(f.content, 1, 8) >= ifnull(substr(:after, 1, 8), x'') AND f.content > :after"
        " AND EXISTS (SELECT 1 FROM held o WHERE o.file = f.file AND o.log = :own AND o.complete)"
        " AND (SELECT count(DISTINCT h.log) FROM files g CROSS JOIN held h ON h.file = g.file AND h.complete"
        f" AND h.log IN ({here})"
        "  WHERE substr(g.content, 1, 8) = substr(f.content, 1, 8) AND g.content = f.content) < :target"
        " ORDER BY substr(f.content, 1, 8), f.content LIMIT :limit",
        {"after": bytes.fromhex(after), "own": logs.number(logs.self_id), "target": target, "limit": limit},
    )
    copies: dict[str, list[HeldAt]] = {}
    for (content,) in found:
        rows = store.rows(
            "SELECT h.log, min(h.modified) FROM files f CROSS JOIN held h ON h.file = f.file AND h.complete"
            " WHERE substr(f.content, 1, 8) = substr(?1, 1, 8) AND f.content = ?1 GROUP BY h.log",
            (content,),
        )
        copies[content.hex()] = [HeldAt(peers[log], modified) for log, modified in rows if log in peers]
    return copies


def held_by_peer(store: Store, logs: Logs) -> dict[str, tuple[int, int]]:
    """How many files each peer has completely, and their bytes; looks at the whole index."""
    peers = logs.peers()
    found = store.rows(
        "SELECT h.log, count(*), sum(f.size) FROM held h CROSS JOIN files f ON f.file = h.file "
        "WHERE h.complete GROUP BY h.log"
    )
    return {peers[log]: (files, size) for log, files, size in found if log in peers}


def contents_by_copies(store: Store, logs: Logs, online: Callable[[str], bool]) -> dict[int, int]:
    """Contents by the number of complete copies that are online; looks at the whole index."""
    here = [str(number) for number, peer_id in logs.peers().items() if online(peer_id)]
    found = store.rows(
        "SELECT copies, count(*) FROM ("
        " SELECT count(DISTINCT h.log) AS copies FROM files f"
        " LEFT JOIN held h ON h.file = f.file AND h.complete"
        f" AND h.log IN ({','.join(here)})"
        " WHERE f.holders > 0 GROUP BY f.content) GROUP BY copies"
    )
    return dict(found)
