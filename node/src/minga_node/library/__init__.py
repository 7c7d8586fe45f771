"""The files of this node's directory: found, watched, hashed once, published, served."""

from minga_node.library.library import Library, OpenFile

__all__ = ["Library", "OpenFile"]
