"""The replicated index: one log per node, all of them at every node, searched locally."""

from minga_node.index.index import Index
from minga_node.index.log import Delta, Entry, LogState
from minga_node.index.query import SORTS, Query

__all__ = ["SORTS", "Delta", "Entry", "Index", "LogState", "Query"]
