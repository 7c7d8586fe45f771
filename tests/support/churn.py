"""A log whose node replaces and removes its files all the time."""

from __future__ import annotations

from minga_node.index import Index
from minga_node.model import LocalFile, Peer

READER = Peer("reader", 5, "127.0.0.1", 1, 2, 3)
BATCH = 1_000


def churn(index: Index, round_: int) -> None:
    """A batch of new names that go again, and one of old names with new contents."""
    fresh = [LocalFile(f"new-{round_}-{n}", "ab" * 32, 1, "x/y", 1) for n in range(BATCH)]
    index.publish(fresh)
    index.remove([file.name for file in fresh])
    index.publish([LocalFile(f"same-{n}", f"{round_ * BATCH + n:064x}", 1, "x/y", 1) for n in range(BATCH)])


def rows(index: Index, *more: str) -> int:
    """Of all tables that entries are in, and of more."""
    of = ("files", "held", "tombstones", *more)
    return sum(index._store.rows(f"SELECT count(*) FROM {each}")[0][0] for each in of)
