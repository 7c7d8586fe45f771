"""Figures and defaults that pages repeat: each has one home, and is filled from there.

A measured figure is at home in a table of :data:`HOMES`, where a comment ends the first cell of its row. A
default is at home in the code: ``<!-- default KEY -->VALUE<!-- /default -->`` is filled from the node's
configuration. A default in prose without marks, as `` `key` (5) ``, is compared with it (:func:`told`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from minga_node.config import Config

DOCS = Path(__file__).parents[1]
HOME = DOCS / "performance.md"
HOMES = (HOME, DOCS / "index-and-messages.md", DOCS / "operations" / "sizing.md")
"""Pages whose tables have measured figures."""
_TOLD = re.compile(r"`([a-z]+(?:_[a-z]+)*)` \((?:default )?(\d+(?:\.\d+)?)(?: s| seconds)?\)")
_ROW = re.compile(r"^\|[^|]*<!-- figure ([a-z0-9-]+) -->\s*\|\s*([^\s|]+)", re.MULTILINE)


def figures(text: str) -> dict[str, str]:
    """The figure of each table row marked ``<!-- figure NAME -->``: the first word of its second cell."""
    return dict(_ROW.findall(text))


def known() -> dict[str, str]:
    """Every figure that has a home.

    Raises:
        ValueError: a figure that has two.
    """
    found: dict[str, str] = {}
    for home in HOMES:
        for name, value in figures(home.read_text(encoding="utf-8")).items():
            if name in found:
                raise ValueError(f"figure {name} has two homes; the second is {home.name}")
            found[name] = value
    return found


def defaults() -> dict[str, str]:
    """Key of the node's configuration → default, as a page writes it."""
    return {name: f"{value:g}" for name, value in _numbers()}


def _numbers() -> Iterator[tuple[str, float]]:
    for name, field in Config.model_fields.items():
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            yield name, field.default


def told(text: str) -> list[tuple[str, str]]:
    """(key, number) wherever prose names a key and its default beside it."""
    return _TOLD.findall(text)


def filled(text: str, figures: Mapping[str, str], defaults: Mapping[str, str] | None = None) -> str:
    """The text with what stands between two marks of a figure, or of a default, made anew.

    Raises:
        KeyError: a figure or a default that has no home.
    """
    for kind, values in (("figure", figures), ("default", defaults or {})):
        text = re.sub(
            rf"(<!-- {kind} ([a-z0-9_-]+) -->)[^<|]*(<!-- /{kind} -->)",
            lambda match, values=values: f"{match[1]}{values[match[2]]}{match[3]}",  # type: ignore[misc]
            text,
        )
    return text
