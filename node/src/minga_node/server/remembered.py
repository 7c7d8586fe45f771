"""Answers that are still right, as nothing that they tell has changed: pages ask for the same again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

MOST_ANSWERS = 64
LARGEST_ANSWER_BYTES = 128 * 1024
"""Bytes of an answer; a list of 100 files has some 35,000."""
MOST_PEERS = 32
"""Whether so many are online is asked quickly."""


class _Answer(NamedTuple):
    version: int
    online: Mapping[str, bool]
    body: bytes


class Remembered:
    """The answers that were asked for last. Thread-safe.

    Args:
        version: another number whenever something may have changed that is written down.
        online: whether a peer is, which time alone can change.
    """

    def __init__(self, version: Callable[[], int], online: Callable[[str], bool]) -> None:
        self._version, self._online = version, online
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()

    def get(self, asked: Hashable) -> bytes | None:
        """The answer, if it is what would be answered now."""
        with self._lock:
            found = self._answers.get(asked)
            if found is None:
                return None
            self._answers.move_to_end(asked)
        if found.version != self._version():
            return None
        if any(self._online(peer) is not online for peer, online in found.online.items()):
            return None
        return found.body

    def put(self, asked: Hashable, version: int, online: Mapping[str, bool], body: bytes) -> None:
        """Remembers an answer.

        Args:
            version: as it was before the answer was looked for.
            online: the peers that it tells of, and what it says of them.
        """
        if len(body) > LARGEST_ANSWER_BYTES or len(online) > MOST_PEERS:
            return
        with self._lock:
            self._answers[asked] = _Answer(version, online, body)
            self._answers.move_to_end(asked)
            while len(self._answers) > MOST_ANSWERS:
                self._answers.popitem(last=False)
