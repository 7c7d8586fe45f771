"""Text from elsewhere, made fit for a log line and for a terminal. Pure."""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters (Unicode's Cc), the two other ends of a line, and what is no character at all."""
_UNSAFE_IN_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""The same without the line feed and the tab."""
MOST_MESSAGE_CHARACTERS = 4_096
"""Characters of one log message that are shown."""


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text with control characters as ``\x1b`` and the like; with ``lines`` its own lines stay."""
    return (_UNSAFE_IN_LINES if lines else _UNSAFE).sub(_escaped, text)


def visible_json(encoded: str) -> str:
    r"""A JSON document whose strings hold no bare control characters (``\u009b``); it means the same."""
    return _UNSAFE_IN_LINES.sub(lambda match: f"\\u{ord(match[0]):04x}", encoded)


def shortened(text: str, longest: int = MOST_MESSAGE_CHARACTERS) -> str:
    """The beginning of a text that is too long, and how long it was."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
