"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds until a wait fails. Only a test that fails waits so long, and a machine that does ten other things
takes ten times as long as an idle one. A shorter time belongs where it is a promise by itself."""


def wait_for(condition: Callable[[], T], what: str, timeout: float = PATIENCE, every: float = 0.02) -> T:
    """The first true answer of ``condition``; fails with ``what`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what} (last: {answer!r})")
        time.sleep(every)
