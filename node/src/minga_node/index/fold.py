"""Names as they are compared when somebody searches: without case and accents."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def fold(text: str) -> str:
    """``Información.PDF`` becomes ``informacion.pdf``.

    Compatibility decomposition (NFKD, Unicode Standard Annex 15) without the combining marks, case-folded.
    """
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def fold_all(texts: Sequence[str]) -> list[str]:
    """Each of them folded; most are ASCII, and many of those are quicker done at once."""
    lines = "\n".join(texts)
    if lines.isascii():
        folded = lines.lower().split("\n")
        # A line's end within a text would make two of it; of no texts one is made.
        if len(folded) == len(texts):
            return folded
    return list(map(fold, texts))
