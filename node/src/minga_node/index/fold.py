"""Names as they are compared when somebody searches: without case and accents."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """``Información.PDF`` becomes ``informacion.pdf``.

    Compatibility decomposition (NFKD, Unicode Standard Annex 15) without the combining marks, case-folded.
    """
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
