"""Hashes files of the directory, several at once, and tells of each that is done."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from minga_node.errors import DirectoryAway, MingaError
from minga_node.library.library import Library
from minga_node.library.scan import FoundFile, Signature


class Hashing:
    """Used by one thread.

    Args:
        tell: called on another thread with each file and its id; None where it has none.
    """

    def __init__(self, library: Library, tell: Callable[[tuple[FoundFile, str | None]], object]) -> None:
        self._library, self._tell = library, tell
        self._running: dict[str, Signature] = {}
        self._pool = ThreadPoolExecutor(os.cpu_count() or 2, thread_name_prefix="hash")

    def __bool__(self) -> bool:
        """Whether any is being hashed, or has not been taken note of."""
        return bool(self._running)

    def begin(self, found: FoundFile) -> None:
        self._running[found.name] = found.signature
        self._pool.submit(self._hash, found)

    def has(self, found: FoundFile) -> bool:
        """Whether just this is being hashed."""
        return self._running.get(found.name) == found.signature

    def ended(self, found: FoundFile) -> None:
        """What was told of it is taken note of."""
        if self.has(found):
            del self._running[found.name]

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _hash(self, found: FoundFile) -> None:
        identity: str | None = None
        try:
            identity = self._library.hash(found)
        except DirectoryAway:
            pass
        except Exception as error:  # noqa: BLE001 (whatever it is, it is about this file)
            reason = str(error) if isinstance(error, MingaError) else f"{type(error).__name__}: {error}"
            self._library.troubles.files.add(found.name, reason)
        finally:
            self._tell((found, identity))
