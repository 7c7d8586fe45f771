"""What a caller may do, and with which names (docs/how-to/access.md). Pure.

All of REST asks this module and no other: a rule about names has one home.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MOST_PREFIXES = 16
"""Prefixes of one grant; a search looks at each."""


class Scope(StrEnum):
    """What a token lets its bearer do; ``write`` includes ``read``."""

    READ = "read"
    WRITE = "write"

    def covers(self, needed: Scope) -> bool:
        return self is Scope.WRITE or needed is Scope.READ


@dataclass(frozen=True, slots=True)
class Grant:
    """What one caller may do.

    Args:
        scope: read, or read and write.
        prefixes: how the names begin that the grant is about; empty for all names.
        expires: seconds since 1970 from which the grant is worth nothing; ``None`` for never.
        id: by which the grant is listed and revoked; empty for a token of the files ``read`` and ``write``.
    """

    scope: Scope
    prefixes: tuple[str, ...] = ()
    expires: int | None = None
    id: str = ""

    @property
    def is_limited(self) -> bool:
        """Whether there are names that the caller may not even know of."""
        return bool(self.prefixes)

    def reads(self, name: str) -> bool:
        """Whether the caller may know of a file, and have its content."""
        return not self.prefixes or name.startswith(self.prefixes)

    def writes(self, name: str) -> bool:
        """Whether the caller may put, remove or rename a file."""
        return self.scope is Scope.WRITE and self.reads(name)

    def is_good(self, now: float) -> bool:
        """Whether the grant has not expired; ``now`` in seconds since 1970."""
        return self.expires is None or now < self.expires


EVERYTHING = Grant(Scope.WRITE)
"""What everybody may do where a node asks for no tokens."""
