"""The downloading half of pieces: from holders into files, verified piece by piece.

A few threads (:mod:`.io_threads`) each read many connections. A :mod:`.holder_connection` asks one holder,
and a :mod:`.response_reader` reads its answers. A :mod:`.piece_writer` verifies each piece and writes it into
a :mod:`.partial_file`, which keeps a bitmap of what is here, so a restart goes on where it was.

Threads: those named ``receiving``, which read and verify. Each new connection has one (``to PEER``) until it
stands.

Locks: one for each connection, for each partial file and for the threads' list of connections. None is held
while a holder is waited for.

Lifetime: connections and threads end with their download. A partial file outlasts the process, until the
content is complete or given up.
"""

from minga_node.fetching.holder_connection import HolderConnection
from minga_node.fetching.io_threads import IoThreads
from minga_node.fetching.partial_file import PartialFile
from minga_node.fetching.remote import Remote

__all__ = ["HolderConnection", "IoThreads", "PartialFile", "Remote"]
