"""The commands on the documentation's pages, as tests run them.

Blocks fenced as ``sh`` are commands. A comment before a block says that it needs a cluster
(``<!-- cluster -->``), or why it is not run (``<!-- not run: reason -->``). A block with a title
(```` ```yaml title="network.yaml" ````) is a file that they find.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
PAGES = (
    DOCS / "quick-start.md",
    DOCS / "coming-from-the-course.md",
    *sorted((DOCS / "how-to").glob("*.md")),
)

_FENCE = re.compile(r"^(?P<ticks>```+)(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=ticks)$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->\s*\Z", re.DOTALL)
_TITLE = re.compile(r'title="([^"/]+)"')
_OTHER_SHELLS = {"bash", "shell", "console", "zsh", "powershell", "fish"}


class Kind(Enum):
    """Where a block runs."""

    LOCAL = "local"
    CLUSTER = "cluster"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Block:
    """Commands, and the line of the page on which they begin."""

    page: str
    line: int
    kind: Kind
    text: str
    reason: str = ""


@dataclass(frozen=True)
class Page:
    """What a page has for tests."""

    name: str
    blocks: tuple[Block, ...]
    files: tuple[tuple[str, str], ...]
    """Name and content."""

    def of(self, kind: Kind) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if block.kind is kind)


def read(path: Path) -> Page:
    """A page of the documentation."""
    return parse(path.relative_to(DOCS).as_posix(), path.read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Page:
    """Blocks and files of a page's text.

    Raises:
        ValueError: commands are fenced as something else, or a comment before a block says something unknown.
    """
    return Page(name, tuple(_blocks(name, text)), tuple(_files(text)))


def _blocks(name: str, text: str) -> Iterator[Block]:
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        language = match["info"].split()[0] if match["info"].split() else ""
        if language in _OTHER_SHELLS:
            raise ValueError(f"{name}:{line}: commands are fenced as sh here, not {language}")
        if language == "sh":
            kind, reason = _kind(name, line, text[: match.start()])
            yield Block(name, line, kind, match["body"], reason)


def _kind(name: str, line: int, before: str) -> tuple[Kind, str]:
    comment = _COMMENT.search(before.rsplit("\n```", 1)[-1])
    if comment is None:
        return Kind.LOCAL, ""
    if comment[1] == "cluster":
        return Kind.CLUSTER, ""
    word, _, reason = comment[1].partition(":")
    if word != "not run" or not reason.strip():
        raise ValueError(f"{name}:{line}: expected `cluster` or `not run: reason`, not `{comment[1]}`")
    return Kind.NOT_RUN, reason.strip()


def _files(text: str) -> Iterator[tuple[str, str]]:
    for match in _FENCE.finditer(text):
        if title := _TITLE.search(match["info"]):
            yield title[1], match["body"]


def script(blocks: Iterable[Block]) -> str:
    """One bash script of them all; it says where it is, and ends at the first command that fails."""
    parts = ["set -euo pipefail"]
    for block in blocks:
        parts += [f"echo '### {block.page}:{block.line}'", block.text]
    return "\n".join(parts)
