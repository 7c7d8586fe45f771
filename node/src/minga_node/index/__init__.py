"""The replicated index: one log per node, all of them at every node, searched locally."""

from minga_node.index.entries import Entries, Entry
from minga_node.index.index import Index
from minga_node.index.log import Delta, LogState
from minga_node.index.query import SORTS, Query

__all__ = ["SORTS", "Delta", "Entries", "Entry", "Index", "LogState", "Query"]
