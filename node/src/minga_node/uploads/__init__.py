"""The uploading half of pieces: HTTP ranges by ``sendfile`` to whoever asks.

One loop (:mod:`.server`) serves all connections. What a connection asks is read (:mod:`.request_reader`),
waits for a slot (:mod:`.scheduler`, by the pure :mod:`.admission`, :mod:`.fair_queue`, :mod:`.cost`) and is
answered (:mod:`.responses`).

Threads: the worker ``piece listener`` runs the loop. What may block, as opening a file does, is done by the
pools ``piece files`` and ``piece pages`` (:mod:`.blocking`) and handed back to the loop.

Locks: none but those of the pools' queues. The loop holds no lock while it calls another part.

Lifetime: the listener lives as long as its node. A connection ends with its peer or after a time without
requests; open files are kept for a few seconds.
"""

from minga_node.uploads.connection import AvailabilityExchange, Contents, OpenContent, Opener
from minga_node.uploads.server import PieceServer

__all__ = ["AvailabilityExchange", "Contents", "OpenContent", "Opener", "PieceServer"]
