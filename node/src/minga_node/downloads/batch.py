"""Many small files at once: few connections, few transactions, one sync for hundreds of them."""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minga_node import metrics
from minga_node.downloads.model import Network
from minga_node.errors import MingaError, StorageFailed
from minga_node.manifest import Manifest
from minga_node.transfer import Remote, TokenBucket
from minga_node.transfer.many import fetch_many
from minga_node.transfer.partial import storage_error

log = logging.getLogger(__name__)

GROUP = 500
"""Files that are synced and taken into the library together."""
CONNECTIONS = 4

AdoptMany = Callable[[Sequence[tuple[Path, str, Manifest]]], object]


@dataclass(frozen=True, slots=True)
class SmallFile:
    """A content of at most one piece, and the name it shall have here."""

    content_id: str
    name: str
    size: int


class Batch:
    """Fetches small files; :meth:`run` blocks. Each is verified before it is written.

    Args:
        directory: where files wait to be taken in, on the library's file system.
        adopt: takes files into the library.
    """

    def __init__(
        self,
        files: Sequence[SmallFile],
        *,
        directory: Path,
        name: str,
        network: Network,
        adopt: AdoptMany,
        limiter: TokenBucket,
    ) -> None:
        self.files = list(files)
        self._directory, self._name, self._network = directory, name, network
        self._adopt, self._limiter = adopt, limiter
        self._lock = threading.Lock()
        self._ready: queue.SimpleQueue[tuple[Path, SmallFile, Manifest] | None] = queue.SimpleQueue()
        self._error: MingaError | None = None
        self._cancelled = False
        self.done = 0
        """Files that are in the library."""
        self.bytes = 0
        self.sources: dict[str, int] = {}
        self.missing: list[str] = []
        """Names that nobody gave."""

    def cancel(self) -> None:
        self._cancelled = True

    def run(self) -> None:
        """Fetches from all holders at once; what one does not give is asked of another.

        Raises:
            MingaError: the disk or the library does not take them. What was taken in before stays.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        taker = threading.Thread(target=self._take_in, name="batch", daemon=True)
        taker.start()
        left = self.files
        tried: dict[str, set[str]] = {}
        while left and not self._cancelled and self._error is None:
            left = self._round(left, tried)
        self.missing += [file.name for file in left]
        self._ready.put(None)
        taker.join()
        if self._error is not None:
            raise self._error

    def _round(self, files: Sequence[SmallFile], tried: dict[str, set[str]]) -> list[SmallFile]:
        """Each file of one holder that has not failed it yet; returns those that it was in vain for."""
        shares: dict[str, list[SmallFile]] = {}
        peers = {}
        nobody: list[SmallFile] = []
        for file in files:
            failed = tried.setdefault(file.content_id, set())
            holders = [
                peer
                for peer, whole in self._network.holders(file.content_id)
                if whole and peer.id not in failed
            ]
            if not holders:
                nobody.append(file)
                continue
            peer = random.choice(holders)
            failed.add(peer.id)
            peers[peer.id] = peer
            shares.setdefault(peer.id, []).append(file)
        self.missing += [file.name for file in nobody]
        jobs = []
        vain: list[SmallFile] = []
        per_peer = max(1, min(2, CONNECTIONS // max(1, len(shares))))
        for peer_id, share in shares.items():
            peer = peers[peer_id]
            remote = Remote(peer.id, peer.host, peer.data_port)
            jobs += [(remote, share[part::per_peer], peer.seed) for part in range(per_peer)]
        threads = [
            threading.Thread(target=self._fetch, args=(*job, vain), name="small files", daemon=True)
            for job in jobs
        ]
        for start in range(0, len(threads), CONNECTIONS):
            for thread in threads[start : start + CONNECTIONS]:
                thread.start()
            for thread in threads[start : start + CONNECTIONS]:
                thread.join()
        return vain

    def _fetch(self, remote: Remote, files: Sequence[SmallFile], seed: bool, vain: list[SmallFile]) -> None:
        waiting = {file.content_id: file for file in files}
        counter = metrics.BYTES.labels("in", "seed" if seed else "peer")
        try:
            for content_id, body, manifest in fetch_many(
                remote, list(waiting), name=self._name, limiter=self._limiter
            ):
                if self._cancelled or self._error is not None:
                    return
                if manifest is None:
                    metrics.PIECES.labels("failed").inc()
                    continue
                path = self._directory / f"{content_id}.small"
                with path.open("wb") as out:
                    out.write(body)
                self._ready.put((path, waiting.pop(content_id), manifest))
                counter.inc(len(body))
                metrics.PIECES.labels("verified").inc()
                with self._lock:
                    self.sources[remote.peer_id] = self.sources.get(remote.peer_id, 0) + len(body)
        except OSError as error:
            self._error = storage_error(error, self._directory)
        except MingaError as error:
            log.debug("small files from %s: %s", remote.peer_id, error)
        with self._lock:
            vain.extend(waiting.values())

    def _take_in(self) -> None:
        """Syncs and hands over whole groups, while the next files come."""
        ended = False
        while not ended:
            group: list[tuple[Path, SmallFile, Manifest]] = []
            began = time.monotonic()
            while len(group) < GROUP and (not group or time.monotonic() - began < 1.0):
                try:
                    one = self._ready.get(timeout=0.2 if group else None)
                except queue.Empty:
                    break
                if one is None:
                    ended = True
                    break
                group.append(one)
            if group and self._error is None:
                try:
                    sync_filesystem(self._directory)
                    self._adopt([(path, file.name, manifest) for path, file, manifest in group])
                except MingaError as error:
                    self._error = error
                else:
                    self.done += len(group)
                    self.bytes += sum(file.size for _, file, _ in group)
            if self._error is not None:
                for path, _, _ in group:
                    path.unlink(missing_ok=True)


def sync_filesystem(directory: Path) -> None:
    """Everything that was written to the directory's file system is on the disk: one call for any number of
    files.

    Raises:
        StorageFailed: the disk says no.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "syncfs"):
            os.sync()
        elif library.syncfs(descriptor):
            raise StorageFailed(f"{directory}: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)
