"""The replicated index: one log per node, all of them at every node, searched locally.

:mod:`.log` holds the logs: entries, deltas, signatures and the tables of the database. :mod:`.search` answers
queries from these tables. :class:`Index` puts both together for the rest of the node.

Threads: this package owns one, ``index-tidier`` (:mod:`.tidier`), which takes new rows into the full-text
index and into the sorted ones. Everything else runs in the caller's thread: the library and downloads
publish, membership and the broker apply deltas, REST and gRPC search.

Locks: a write is a transaction of the store and holds the store's writer. The locks of ``KnownLogs``,
``Sample`` and the tidier guard memory only and are taken after it. Listeners (``Index.on_change``) are called
after the commit and outside of all locks. The hooks of ``Logs`` are the exception: they write in the same
transaction.

Lifetime: an :class:`Index` lives as long as its node; :meth:`Index.close` ends the tidier. The logs are on
the disk. What is known of each log is also kept in memory, as the last committed transaction left it.
"""

from minga_node.index.index import Index
from minga_node.index.log import Delta, Entries, Entry, LogState
from minga_node.index.search import SORTS, HeldAt, Query

__all__ = ["SORTS", "Delta", "Entries", "Entry", "HeldAt", "Index", "LogState", "Query"]
