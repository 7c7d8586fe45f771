"""How many copies of everything there are."""

from __future__ import annotations

from collections.abc import Callable

from minga_node.index.logs import Logs
from minga_node.store import Store


def held(store: Store, logs: Logs) -> dict[str, tuple[int, int]]:
    """How many files each peer has completely, and their bytes; looks at the whole index."""
    peers = logs.peers()
    found = store.rows(
        "SELECT h.log, count(*), sum(f.size) FROM held h CROSS JOIN files f ON f.file = h.file "
        "WHERE h.complete GROUP BY h.log"
    )
    return {peers[log]: (files, size) for log, files, size in found if log in peers}


def copies(store: Store, logs: Logs, online: Callable[[str], bool]) -> dict[int, int]:
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
