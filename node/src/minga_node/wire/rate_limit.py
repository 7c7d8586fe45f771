"""A limit on bytes a second, shared by threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BURST_SECONDS = 0.2
SMALLEST_BURST_BYTES = 64 * 1024
HOLDS_SECONDS = 1.0
"""How long after a wait a limit still counts as what holds back."""


class TokenBucket:
    """A token bucket (Turner, 1986) that may be overdrawn once: who finds it empty waits until it is not.

    Args:
        rate: bytes a second; 0 means no limit.
        above: a limit that several share; what is taken here is taken there as well.
    """

    def __init__(
        self,
        rate: float,
        *,
        above: TokenBucket | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate = rate
        self.above = above
        self._clock = clock
        self._burst = max(rate * BURST_SECONDS, SMALLEST_BURST_BYTES) if rate else 0.0
        self._tokens = self._burst
        self._at = clock()
        self._lock = threading.Lock()
        self._holds_until = self._at
        self.waited = 0.0
        """Seconds that users of the limit were kept waiting, all together."""

    def take(self, count: int) -> float:
        """Takes ``count`` tokens, if need be on credit; seconds to wait before going on."""
        shared = self.above.take(count) if self.above is not None else 0.0
        if not self.rate:
            return shared
        with self._lock:
            self._refill()
            self._tokens -= count
            wait = max(0.0, -self._tokens / self.rate)
            if wait:
                self.waited += wait
                self._holds_until = self._at + wait + HOLDS_SECONDS
            return max(wait, shared)

    @property
    def holds_back(self) -> bool:
        """Whether somebody waits for tokens of this bucket, or did so just now."""
        return bool(self.rate) and self._clock() < self._holds_until

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
