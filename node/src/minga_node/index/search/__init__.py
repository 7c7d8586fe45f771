"""Searches of the index: what is asked, how it is run, and the rows that come back.

A :class:`Query` becomes ``conditions``. ``plans`` (pure) estimates from a ``sample`` in memory what each way
to run it costs, and the cheapest becomes SQL (``sources``). ``searcher`` runs it a page at a time, and
``rows`` makes the result with its holders. ``shared`` and ``copy_counts`` answer the other questions about
many contents at once.

Threads: none of its own. REST and gRPC call from their threads, any number at once.

Locks: a search borrows one reading connection of the store for one page and holds no lock meanwhile. The
sample has a lock of its own, which it holds while it reads its 1,024 rows.

Lifetime: a page is one look at the database; nothing of a search stays in memory. The cursor that the client
keeps says where the next page begins.
"""

from minga_node.index.search.copy_counts import HeldAt
from minga_node.index.search.query import SORTS, Query

__all__ = ["SORTS", "HeldAt", "Query"]
