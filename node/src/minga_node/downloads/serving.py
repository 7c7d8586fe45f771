"""What other nodes ask of downloads and tell them, by the piece listener and by gRPC."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from minga_node.downloads.contents import ParkedContent, PartialContent
from minga_node.downloads.entry import DownloadEntry
from minga_node.downloads.model import Here
from minga_node.downloads.task import Task
from minga_node.manifest import piece_size
from minga_node.uploads import OpenContent
from minga_node.wire import piece_set as sets
from minga_node.wire.piece_set import Pieces


class DownloadServing:
    """Takes no lock of its own: each answer is of one look at ``active``.

    Args:
        active: downloads that have not ended, by content id.
        waits: told of a peer (content, peer) that asks for what has no task just now.
    """

    def __init__(
        self,
        node: Here,
        active: Mapping[str, DownloadEntry],
        waits: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._node, self._active, self._waits = node, active, waits

    def _task(self, content_id: str) -> Task | None:
        entry = self._active.get(content_id)
        return entry.task if entry is not None else None

    def open(self, content_id: str) -> OpenContent | None:
        """What is here of a download: of one that waits, the pieces that it had when it gave up."""
        entry = self._active.get(content_id)
        if entry is None:
            return None
        # In this order: a task that begins takes over what is left.
        left, task = entry.carried.left, entry.task
        try:
            if task is not None and task.partial is not None:
                return PartialContent(task.partial)
            if left is not None and left.have:
                return ParkedContent(self._node.directory / content_id, left)
        except OSError:  # it ended, or was taken away, just now
            pass
        return None

    def available(self, content_id: str) -> tuple[Pieces, int] | None:
        """The pieces that are here and how many there are; None if nothing is and nothing comes."""
        entry = self._active.get(content_id)
        if entry is not None:
            task = entry.task
            if task is None or task.partial is None:
                return self._left(entry)
            return task.partial.have, task.partial.manifest.pieces
        content = self._node.library(content_id)
        if content is None:
            return None
        count = -(-content.size // piece_size(content.size))
        content.close()
        return sets.all_pieces(count), count

    def _left(self, entry: DownloadEntry) -> tuple[Pieces, int]:
        """The same of one that waits."""
        left = entry.carried.left
        manifest = self._node.manifests.get(entry.content_id) if left is not None and left.have else None
        return (left.have, manifest.pieces) if left is not None and manifest is not None else (0, 1)

    def met(self, content_id: str, peer_id: str) -> None:
        """The peer follows what comes here."""
        task = self._task(content_id)
        if task is not None:
            task.met(peer_id)
        elif content_id in self._active:
            self._waits(content_id, peer_id)

    def heard(self, content_id: str, peer_id: str, pieces: str) -> None:
        """The peer's request said what it has."""
        task = self._task(content_id)
        if task is not None:
            task.heard(peer_id, pieces)

    def has(self, content_id: str, peer_id: str) -> Pieces:
        """What the peer is known to have."""
        task = self._task(content_id)
        return task.has(peer_id) if task is not None else 0

    def tell(self, content_id: str, peer_id: str) -> bool:
        """Tells the peer what is new here, where there is a connection to it."""
        task = self._task(content_id)
        return task is not None and task.tell(peer_id)
