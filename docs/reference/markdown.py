"""Pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

GENERATED = "<!-- Made from the code by `make reference`: change the code, not this page. -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold anything but line breaks."""
    first, *lines = [f"| {' | '.join(cell(text) for text in line)} |" for line in (head, *rows)]
    return "\n".join([first, "|" + "---|" * len(head), *lines])


def cell(text: str) -> str:
    """Text that does not end its cell early."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: object) -> str:
    """Text as code; nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def prose(text: str) -> str:
    """A docstring as Markdown: one paragraph a paragraph, single backticks, no HTML."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    flat = (" ".join(paragraph.split()) for paragraph in paragraphs)
    return "\n\n".join(flat).replace("``", "`").replace("<", "&lt;")


def whole(title: str, *parts: str) -> str:
    """A page that says where it comes from."""
    return "\n\n".join([f"# {title}", GENERATED, *(part for part in parts if part)])
