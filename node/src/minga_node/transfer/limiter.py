"""A limit on bytes a second, shared by threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BURST_SECONDS = 0.2
SMALLEST_BURST = 64 * 1024


class TokenBucket:
    """A token bucket (Turner, 1986) that may be overdrawn once: who finds it empty waits until it is not.

    Args:
        rate: bytes a second; 0 means no limit.
    """

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._clock = clock
        self._burst = max(rate * BURST_SECONDS, SMALLEST_BURST) if rate else 0.0
        self._tokens = self._burst
        self._at = clock()
        self._lock = threading.Lock()
        self.waited = 0.0
        """Seconds that users of the limit were kept waiting, all together."""

    def take(self, count: int) -> float:
        """Takes ``count`` tokens, if need be on credit; seconds to wait before going on."""
        if not self.rate:
            return 0.0
        with self._lock:
            self._refill()
            self._tokens -= count
            wait = max(0.0, -self._tokens / self.rate)
            self.waited += wait
            return wait

    def available(self) -> int:
        """Tokens to be had now without waiting; a lot when there is no limit."""
        if not self.rate:
            return 1 << 40
        with self._lock:
            self._refill()
            return max(0, int(self._tokens))

    def delay(self) -> float:
        """Seconds until a good part of a burst will be available; waiting for all of it would waste
        tokens.
        """
        if not self.rate:
            return 0.0
        with self._lock:
            self._refill()
            return max(0.0, (self._burst / 4 - self._tokens) / self.rate)

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
