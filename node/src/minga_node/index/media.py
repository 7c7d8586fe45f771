"""The media type of an entry, with what else is said of a file. Pure.

A log is signed over a fixed form of its entries (:mod:`.signing`), and earlier releases check it, too.
So a file that may be run says so by a parameter of its media type (RFC 2045, 5.1): whoever made the entry has
signed it, and no holder can say it of another's file.
"""

from __future__ import annotations

_EXECUTABLE = ";executable=1"


def encoded(media_type: str, executable: bool) -> str:
    """As an entry has it."""
    return media_type + _EXECUTABLE if executable else media_type


def decoded(media_type: str) -> tuple[str, bool]:
    """The media type itself, and whether the file may be run."""
    plain = media_type.removesuffix(_EXECUTABLE)
    return plain, len(plain) != len(media_type)


def forms(media_type: str) -> tuple[str, str]:
    """All that entries may have for one media type."""
    return media_type, media_type + _EXECUTABLE
