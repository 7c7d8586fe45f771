"""What is done on a connection, in steps between which its thread serves others."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Wait(NamedTuple):
    """What has to be there before the next step."""

    bytes: int
    """So many of what comes, or the end of it; 0: only time has to pass."""
    seconds: float
    """At most."""


Steps = Generator[Wait, bool, T]
"""Yields what it waits for, and is told whether that is there (or the time is over); ends with a result."""
