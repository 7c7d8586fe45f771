"""The rules of CONTRIBUTING.md's *Words* that a program can see."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.docs.blocks import DOCS, REPOSITORY

_LATER = {"architecture.md", "index-and-messages.md", "messages.md", "operator.md"}
_LATER |= {"guarantees.md", "bad-days.md"}
"""Pages for people who change Minga, or of another owner: not checked yet."""
PAGES = sorted([
    *(
        path
        for path in DOCS.rglob("*.md")
        if path.name not in _LATER and path.parent.name not in {"reference", "lab-notes"}
    ),
    REPOSITORY / "README.md",
    REPOSITORY / "SECURITY.md",
    REPOSITORY / "CONTRIBUTING.md",
])

PERSON = r"(?:any|every|some)(?:one|body)|nobody|people|persons?|users?|readers?|teams?"
RULES = (
    (re.compile(rf"(?:\b(?P<noun>{PERSON}) )?\b(?P<word>who)\b", re.IGNORECASE), "write: anyone who"),
    (re.compile(r"\b(?P<word>whom|whoever|whomever)\b", re.IGNORECASE), "write: anyone who"),
    (re.compile(r"\b(?P<word>those)\b(?! [a-z]+s\b)", re.IGNORECASE), "repeat the noun"),
    (
        re.compile(r"\b(?P<word>hears?|heard|sent away|sends? away|tells|told)\b", re.IGNORECASE),
        "machines report, receive, reject",
    ),
    (
        re.compile(
            r"\b(?P<word>further ado|by and by|likewise|whence|wherein|heeds?|mends?|anew|thus|hence)\b",
            re.IGNORECASE,
        ),
        "a common word",
    ),
)


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Lines outside of code, without code in them, comments, addresses and quoted output."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            line = re.sub(r"`[^`]*`|\"[^\"]*\"|<!--.*?-->|\]\([^)]*\)|\*[^* ][^*]*\*", " ", line)
            yield number, line


def objections(text: str) -> list[tuple[int, str, str]]:
    """(line, word, what to write instead) of every word that breaks a rule.

    A question may ask who: a line that has a question mark.
    """
    found = []
    for number, line in _prose(text):
        for pattern, instead in RULES:
            for match in pattern.finditer(line):
                asked = match["word"].lower() == "who" and "?" in line
                if not asked and not match.groupdict().get("noun"):
                    found.append((number, match["word"], instead))
    return found
