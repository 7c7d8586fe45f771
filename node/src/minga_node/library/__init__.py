"""The files of this node's directory: found, watched, hashed once, published, served."""

from minga_node.library.catalogue import OpenFile
from minga_node.library.library import UNKNOWN, Judge, Library

__all__ = ["UNKNOWN", "Judge", "Library", "OpenFile"]
