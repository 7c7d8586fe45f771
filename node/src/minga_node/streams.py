"""Streams that wait without a thread: a generator yields a :class:`Pause` where others would block.

Who pulls such a generator decides what waiting means: :func:`blocking` waits here and now, the HTTP server
lets its thread go and comes back when the signal is given.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class Signal:
    """Tells whoever waits for it, once each, that something has changed. Thread-safe.

    A waiter says which :attr:`version` it has looked at: no change falls between its look and its wait.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[object, Callable[[], None]] = {}
        self.version = 0

    def notify(self) -> None:
        """Calls who waits, in this thread: what they do must be quick and take no lock of the caller's."""
        with self._lock:
            self.version += 1
            waiting, self._waiting = self._waiting, {}
        for callback in waiting.values():
            callback()

    def wait(self, key: object, seen: int, callback: Callable[[], None]) -> None:
        """Has ``callback`` called at the next change after the version ``seen``: at once if there was one."""
        with self._lock:
            if self.version == seen:
                self._waiting[key] = callback
                return
        callback()

    def leave(self, key: object) -> None:
        """Waits no more."""
        with self._lock:
            self._waiting.pop(key, None)


class Changes(threading.Condition):
    """A condition whose :meth:`notify_all` gives a signal, too."""

    def __init__(self, lock: threading.Lock | None = None) -> None:
        super().__init__(lock)
        self.signal = Signal()

    def notify_all(self) -> None:
        super().notify_all()
        self.signal.notify()


@dataclass(frozen=True, slots=True)
class Pause:
    """There is nothing to read yet: look again when ``signal`` is given, or after ``seconds``."""

    seconds: float
    signal: Signal | None = None
    seen: int = 0
    """The signal's version before the look that found nothing."""


def blocking(stream: Iterator[T | Pause]) -> Generator[T, None, None]:
    """The same without pauses: it waits."""
    for item in stream:
        if not isinstance(item, Pause):
            yield item
            continue
        event = threading.Event()
        if item.signal is not None:
            item.signal.wait(event, item.seen, event.set)
        event.wait(item.seconds)
        if item.signal is not None:
            item.signal.leave(event)
