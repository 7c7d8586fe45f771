"""What a node does with its own copies when it is asked to: hold one more, drop one and lose nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from minga_node.downloads import Download, Downloads, DownloadState
from minga_node.errors import Conflict, Gone, MingaError, NoHolders, NotFound, StorageFailed
from minga_node.index import Index
from minga_node.library import Library
from minga_node.model import Peer
from minga_node.names import check_name, is_shareable

log = logging.getLogger(__name__)

JOIN_SECONDS = 60.0
"""How long a job waits for its node to be in the network, without which it knows of no holder."""
LOOK_SECONDS = 0.5
NOBODY_SECONDS = 20.0
"""How long a job waits for a content that nobody online has."""


class OwnCopies:
    """Holds one more copy here, or drops this node's copy so that nothing is lost.

    Args:
        joined: whether this node is in the network.
        peer: where another node is; None when that is not known.
        keeps: asks another node whether it has all of a content and is not dropping it; raises MingaError.
        stalled: seconds without one more verified byte after which a copy is given up for this time; its
            pieces are kept.
    """

    def __init__(
        self,
        index: Index,
        library: Library,
        downloads: Downloads,
        joined: Callable[[], bool],
        peer: Callable[[str], Peer | None],
        keeps: Callable[[Peer, str], bool],
        stalled: float,
    ) -> None:
        self._index, self._library, self._downloads = index, library, downloads
        self._joined, self._peer, self._ask = joined, peer, keeps
        self._stalled, self._nobody = stalled, min(stalled, NOBODY_SECONDS)
        self._lock = threading.Lock()
        self._dropping: set[str] = set()
        self._one_drop = threading.Lock()
        """Held by the drop that is under way: two of one content would not know of each other."""
        self._stop = threading.Event()

    def stop(self) -> None:
        self._stop.set()

    def hold(self, content_id: str, name: str, copies: int) -> None:
        """Returns when a verified copy is in the library, or when ``copies`` others have one (0: no matter).

        Raises:
            InvalidName: nothing can ever be held under this name.
            Gone: everybody who had it denies it.
            MingaError: it cannot be fetched, or not now.
        """
        check_name(name)
        if self._library.names_of(content_id):
            return
        self._wait_until_joined()
        found = self._index.holders(content_id)
        if not found:
            raise NotFound(f"nobody ever shared the content {content_id}")
        if 0 < copies <= sum(holder.complete and holder.online for holder in found):
            return
        if self._taken(name, content_id):
            # The name stands for something else here; the copy counts, not its name.
            name = f"{content_id[:12]}/{name}"
            name = name if is_shareable(name) else content_id
        # Under which name it comes does not matter.
        self._wait_for(self._downloads.on_its_way(content_id) or self._downloads.start(content_id, name))

    def _wait_for(self, download: Download) -> None:
        """Returns when it is complete.

        Raises:
            Gone: everybody who had it denies it.
            MingaError: it failed; or it does not move, and goes on without anybody who waits for it.
        """
        verified, since = -1, time.monotonic()
        while not download.state.ended:
            if self._stop.is_set():
                raise StorageFailed("the node is ending")
            # Nobody has it just now: other jobs need not wait for that.
            patience = self._nobody if download.state is DownloadState.WAITING else self._stalled
            if download.verified != verified:
                verified, since = download.verified, time.monotonic()
            elif time.monotonic() - since > patience:
                raise NoHolders(f"nothing more came for {patience:g} s: {download.why}")
            download = self._downloads.wait(download.id, LOOK_SECONDS)
        if download.error_type == Gone.type:
            raise Gone(download.error)
        if download.state is not DownloadState.COMPLETE:
            raise StorageFailed(download.error or f"the copy ended as {download.state}")

    def _taken(self, name: str, content_id: str) -> bool:
        """Whether the name, or that of a folder that it needs, is another file's here."""
        here = self._library.find(name)
        if here is not None:
            return here.id != content_id
        parts = name.split("/")
        return any(self._library.find("/".join(parts[:count])) for count in range(1, len(parts)))

    def _wait_until_joined(self) -> None:
        deadline = time.monotonic() + JOIN_SECONDS
        while not self._joined() and time.monotonic() < deadline and not self._stop.wait(0.1):
            pass

    def keeps(self, content_id: str) -> bool:
        """Whether a complete copy is here, on the disk, and stays."""
        with self._lock:
            if content_id in self._dropping:
                return False
        opened = self._library.open_id(content_id)
        if opened is None:
            return False
        opened.stream.close()
        return True

    def drop(self, content_id: str, keep: int) -> None:
        """Removes this node's copies of a content, if ``keep`` others have one and keep it at this moment.

        It first says of itself that it keeps none, then it asks. So of two nodes that drop at the same time
        at least one hears a no, as in Dekker's mutual exclusion, and the last copy stays whatever happens.

        Raises:
            Conflict: they are too few; nothing was removed.
        """
        names = self._library.names_of(content_id)
        if not names:
            return
        with self._one_drop:
            self._drop(content_id, names, max(1, keep))

    def _drop(self, content_id: str, names: Sequence[str], keep: int) -> None:
        with self._lock:
            self._dropping.add(content_id)
        try:
            others = self._keepers(content_id, keep)
            if others < keep:
                raise Conflict(f"{others} other nodes keep all of it, and {keep} must: the copy stays")
            for name in names:
                with suppress(NotFound):
                    self._library.delete(name)
        finally:
            with self._lock:
                self._dropping.discard(content_id)

    def _keepers(self, content_id: str, enough: int) -> int:
        """Other nodes that say that they keep a content; no more are asked than are enough."""
        found = 0
        for holder in self._index.holders(content_id):
            if found >= enough:
                break
            peer = self._peer(holder.peer_id) if holder.complete and holder.online else None
            if peer is None or peer.id == self._index.self_id:
                continue
            try:
                found += self._ask(peer, content_id)
            except MingaError as error:
                log.info("%s does not say whether it keeps a content: %s", holder.peer_id, error)
        return found
