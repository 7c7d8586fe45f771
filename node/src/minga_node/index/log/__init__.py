"""The logs of all nodes: what is written to them, how parts of them travel, and how they are stored.

Each node writes one log, its own. An :class:`Entry` is one version of it; a :class:`Delta` is what counts of
a run of versions, and travels between nodes. :class:`Logs` appends to the own log, applies deltas of the
others and drops tombstones. ``signing`` says what a node signs of its log, ``keys`` whose key is whose.

Threads: none of its own. Any thread may read; a write runs in the caller's thread, in one transaction.

Locks: the store's writer for each transaction. ``KnownLogs`` copies what is known of the logs into memory
when a transaction ends, so a failed one leaves no trace there. ``Logs.hooks`` run inside of the transaction
and may take no lock but their own.

Lifetime: a :class:`Logs` lives as long as the index that made it. An entry lives until a newer one of its
name replaces it; a tombstone until all live nodes have seen it.
"""

from minga_node.index.log.deltas import ENTRY_BYTES, wire_bytes
from minga_node.index.log.entries import LARGEST_INTEGER, Entries, Entry
from minga_node.index.log.keys import Keys
from minga_node.index.log.log_state import MOST_ENTRIES, Delta, LogState, check_delta
from minga_node.index.log.logs import Logs
from minga_node.index.log.signing import KEY, SIGNED, statement, verified

__all__ = [
    "ENTRY_BYTES",
    "KEY",
    "LARGEST_INTEGER",
    "MOST_ENTRIES",
    "SIGNED",
    "Delta",
    "Entries",
    "Entry",
    "Keys",
    "LogState",
    "Logs",
    "check_delta",
    "statement",
    "verified",
    "wire_bytes",
]
