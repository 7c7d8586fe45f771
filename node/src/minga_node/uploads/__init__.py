"""The uploading half of pieces: HTTP ranges by ``sendfile`` to whoever asks.

One loop (:mod:`.server`) serves all connections. What a connection asks is read (:mod:`.request_reader`),
waits for a slot (:mod:`.scheduler`, by the pure :mod:`.admission`, :mod:`.fair_queue`, :mod:`.cost`)
and is answered (:mod:`.responses`). What may block, as opening a file does, is done on other threads
(:mod:`.blocking`) and handed back to the loop. The loop holds no lock while it calls another part.
"""

from minga_node.uploads.connection import AvailabilityExchange, Contents, OpenContent
from minga_node.uploads.server import PieceServer

__all__ = ["AvailabilityExchange", "Contents", "OpenContent", "PieceServer"]
