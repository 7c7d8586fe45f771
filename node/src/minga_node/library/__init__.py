"""The files of this node's directory: found, watched, hashed once, published, served.

``watch`` notices what changes, ``scan`` looks at the whole directory, ``hashing`` makes manifests.
``catalogue`` and ``holdings`` know what is here. ``placing`` gives what arrives its name. :class:`Library` is
what the rest of the node sees.

Threads: the workers ``library``, which takes changes in, and ``sha256``, which computes digests while nothing
else goes on. The pool ``hash`` hashes.

Locks: the library's own comes before the store's writer, which comes before those that only guard memory.

Lifetime: the library lives as long as its node. Hashes and manifests are in the database, so a file is hashed
once for each change.
"""

from minga_node.library.catalogue import OpenFile
from minga_node.library.library import UNKNOWN, Judge, Library

__all__ = ["UNKNOWN", "Judge", "Library", "OpenFile"]
