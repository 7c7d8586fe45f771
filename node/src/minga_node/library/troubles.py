"""What in the directory cannot be shared, and why: each told once in the log, all counted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection

log = logging.getLogger(__name__)

LOGGED = 50
"""Lines of one kind at most, then one that says that there are more."""


class Noted:
    """Names with a reason each. Thread-safe.

    Args:
        what: how a line of the log begins.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {}
        self._lines = 0

    def add(self, name: str, reason: str) -> None:
        """Told in the log where it is news."""
        with self._lock:
            if self._reasons.get(name) == reason:
                return
            self._reasons[name] = reason
            self._lines += 1
            lines = self._lines
        if lines <= LOGGED:
            # As it is written in Python: such names may have line breaks, or be no text at all.
            log.warning("%s: %r: %s", self._what, name, reason)
        elif lines == LOGGED + 1:
            log.warning("%s: there are more, which are only counted from now on", self._what)

    def discard(self, name: str) -> None:
        if not self._reasons:
            return
        with self._lock:
            self._reasons.pop(name, None)

    def keep_only(self, names: Collection[str]) -> None:
        with self._lock:
            self._reasons = {name: why for name, why in self._reasons.items() if name in names}

    def __len__(self) -> int:
        return len(self._reasons)

    def first(self, most: int) -> list[tuple[str, str]]:
        """Some of them with their reasons, as text that can be shown anywhere."""
        with self._lock:
            found = list(self._reasons.items())[:most]
        return [(ascii(name)[1:-1] if not name.isprintable() else name, why) for name, why in found]


class Troubles:
    """Of one library."""

    def __init__(self) -> None:
        self.names = Noted("not shared, for its name")
        """Names that the network does not take."""
        self.files = Noted("not shared")
        """Files that could not be read, or were refused for another reason."""
        self.kept = Noted("kept under another name")
        """Files that were not shared yet when another one got their name."""

    def some(self, most: int) -> list[str]:
        """Some lines of each kind."""
        return [
            f"{name}: {why}"
            for noted in (self.names, self.files, self.kept)
            for name, why in noted.first(most)
        ]
