"""Many small files at once: few connections, few transactions, one sync for hundreds of them."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from minga_node import metrics
from minga_node.capacity import Capacity
from minga_node.disk import sync_filesystem
from minga_node.downloads.model import AdoptMany, DownloadNetwork, no_room
from minga_node.errors import MingaError, StorageFull
from minga_node.fetching import Remote
from minga_node.fetching.partial_file import storage_error
from minga_node.fetching.small_files import fetch_many
from minga_node.manifest import SMALLEST_PIECE_BYTES, Manifest
from minga_node.streams import Changes, Pause
from minga_node.uploads import OpenContent
from minga_node.wire import TokenBucket

log = logging.getLogger(__name__)

GROUP = 500
"""Files that are synced and taken into the library together."""
CONNECTIONS = 4
LOOK = 5.0
"""Seconds after which a reader that was told of nothing looks by itself."""


@dataclass(frozen=True, slots=True)
class SmallFile:
    """A content of at most one piece, and the name it shall have here."""

    content_id: str
    name: str
    size: int


class SmallFileBatch:
    """Fetches small files; :meth:`run` blocks. Each is verified before it is written.

    Args:
        directory: where files wait to be taken in, on the library's file system.
        library: opens a content that is here already, under whatever name.
        here: whether a name has a content here already: then nothing is done.
        adopt: takes files into the library.
        capacity: how much may be kept.
    """

    def __init__(
        self,
        files: Sequence[SmallFile],
        *,
        directory: Path,
        name: str,
        network: DownloadNetwork,
        library: Callable[[str], OpenContent | None],
        here: Callable[[str, str], bool],
        adopt: AdoptMany,
        limiter: TokenBucket,
        capacity: Capacity | None = None,
    ) -> None:
        self.files = list(files)
        self.size = sum(file.size for file in self.files)
        self.limiter = limiter
        self._directory, self._name, self._network = directory, name, network
        self._capacity = capacity or Capacity(directory.parent)
        self._library, self._here, self._adopt = library, here, adopt
        self._lock = threading.Lock()
        self._ready: queue.SimpleQueue[tuple[Path, SmallFile, Manifest] | None] = queue.SimpleQueue()
        self._error: MingaError | None = None
        self._cancelled = False
        self._paths = (directory / f"{uuid.uuid4().hex}.{number}.small" for number in itertools.count())
        self._taken: list[SmallFile] = []
        self._news = Changes(self._lock)
        self._ended = False
        self.syncing = False
        """Whether it waits for the disk just now."""
        self.bytes = 0
        """Of the files that are in the library."""
        self.sources: dict[str, int] = {}
        self.missing: list[str] = []
        """Names that nobody gave."""

    @property
    def done(self) -> int:
        """Files that are in the library."""
        return len(self._taken)

    def cancel(self) -> None:
        self._cancelled = True

    def taken(self) -> Iterator[Sequence[SmallFile] | Pause]:
        """The files that got into the library since the last look, each once, to the end of the batch."""
        seen = 0
        while True:
            version = self._news.signal.version
            with self._news:
                fresh, ended = self._taken[seen:], self._ended
            if fresh:
                yield fresh
                seen += len(fresh)
            elif ended:
                return
            else:
                yield Pause(LOOK, self._news.signal, version)

    def run(self) -> None:
        """Fetches from all holders at once; what one does not give is asked of another.

        Raises:
            MingaError: the disk or the library does not take them. What was taken in before stays.
        """
        taker = threading.Thread(target=self._take_in, name="batch", daemon=True)
        taker.start()
        try:
            left = self._from_here()
            tried: dict[str, set[str]] = {}
            while left and self._goes_on:
                left = self._round(left, tried)
            self.missing += [file.name for files in left.values() for file in files]
        except OSError as error:
            self._error = storage_error(error, self._directory)
        except StorageFull as error:
            self._error = error
        finally:
            self._ready.put(None)
            taker.join()
            with self._news:
                self._ended = True
                self._news.notify_all()
        if isinstance(self._error, StorageFull):
            raise no_room(self._name, self._capacity, None)
        if self._error is not None:
            raise self._error

    @property
    def _goes_on(self) -> bool:
        return not self._cancelled and self._error is None

    def _from_here(self) -> dict[str, list[SmallFile]]:
        """Takes what needs no fetching; returns the others by their content, of which some share one."""
        self._directory.mkdir(exist_ok=True)
        left: dict[str, list[SmallFile]] = {}
        known: list[SmallFile] = []
        for file in self.files:
            if not self._goes_on:
                break
            if self._here(file.name, file.content_id):
                known.append(file)
            elif (body := self._local(file.content_id)) is not None:
                self._store([file], body, Manifest.of_one_piece(body))
            else:
                left.setdefault(file.content_id, []).append(file)
        self._count(known)
        return left

    def _local(self, content_id: str) -> bytes | None:
        content = self._library(content_id)
        if content is None:
            return None
        try:
            body = (
                os.pread(content.fileno(), SMALLEST_PIECE_BYTES, 0)
                if content.size <= SMALLEST_PIECE_BYTES
                else b""
            )
        finally:
            content.close()
        return body if Manifest.of_one_piece(body).id == content_id else None

    def _round(
        self, left: dict[str, list[SmallFile]], tried: dict[str, set[str]]
    ) -> dict[str, list[SmallFile]]:
        """Each content of one holder that has not failed it yet; returns those that it was in vain for."""
        shares: dict[str, list[str]] = {}
        peers = {}
        for content_id, files in left.items():
            failed = tried.setdefault(content_id, set())
            holders = [
                peer for peer, whole in self._network.holders(content_id) if whole and peer.id not in failed
            ]
            if not holders:
                self.missing += [file.name for file in files]
                continue
            peer = random.choice(holders)
            failed.add(peer.id)
            peers[peer.id] = peer
            shares.setdefault(peer.id, []).append(content_id)
        vain: list[str] = []
        jobs = []
        per_peer = max(1, min(2, CONNECTIONS // max(1, len(shares))))
        for peer_id, share in shares.items():
            peer = peers[peer_id]
            remote = self._network.remote(peer)
            for part in range(per_peer):
                wanted = {content_id: left[content_id] for content_id in share[part::per_peer]}
                jobs.append((remote, wanted, peer.seed))
        threads = [
            threading.Thread(target=self._fetch, args=(*job, vain), name="small files", daemon=True)
            for job in jobs
        ]
        for start in range(0, len(threads), CONNECTIONS):
            for thread in threads[start : start + CONNECTIONS]:
                thread.start()
            for thread in threads[start : start + CONNECTIONS]:
                thread.join()
        return {content_id: left[content_id] for content_id in vain}

    def _fetch(
        self, remote: Remote, waiting: dict[str, list[SmallFile]], seed: bool, vain: list[str]
    ) -> None:
        counter = metrics.BYTES.labels("in", "seed" if seed else "peer")
        try:
            for content_id, body, manifest in fetch_many(
                remote,
                list(waiting),
                name=self._name,
                limiter=self.limiter,
                goes_on=lambda: self._goes_on,
            ):
                if not self._goes_on:
                    return
                if manifest is None:
                    metrics.PIECES.labels("failed").inc()
                    continue
                self._store(waiting.pop(content_id), body, manifest)
                counter.inc(len(body))
                metrics.PIECES.labels("verified").inc()
                with self._lock:
                    self.sources[remote.peer_id] = self.sources.get(remote.peer_id, 0) + len(body)
        except OSError as error:
            self._error = storage_error(error, self._directory)
        except StorageFull as error:
            self._error = error
        except MingaError as error:
            log.debug("small files from %s: %s", remote.peer_id, error)
        finally:
            with self._lock:
                vain.extend(waiting)

    def _store(self, files: Sequence[SmallFile], body: bytes, manifest: Manifest) -> None:
        for file in files:
            self._capacity.check(len(body), file.name)
            with self._lock:
                path = next(self._paths)
            path.write_bytes(body)
            self._ready.put((path, file, manifest))

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
                    self.syncing = True
                    sync_filesystem(self._directory)
                    self.syncing = False
                    self._adopt([(path, file.name, manifest) for path, file, manifest in group])
                except MingaError as error:
                    self._error = error
                except Exception as error:
                    # A thread of its own: what is not told here, nobody would hear of.
                    log.exception("a group of small files was not taken in")
                    self._error = MingaError(str(error))
                else:
                    self._count([file for _, file, _ in group])
            if self._error is not None:
                for path, _, _ in group:
                    path.unlink(missing_ok=True)

    def _count(self, files: Sequence[SmallFile]) -> None:
        with self._news:
            self._taken += files
            self.bytes += sum(file.size for file in files)
            self._news.notify_all()
