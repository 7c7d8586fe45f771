"""Measured figures that other pages repeat: each has its home in a table of docs/performance.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

HOME = Path(__file__).parents[1] / "performance.md"
_ROW = re.compile(r"^\|[^|]*<!-- figure ([a-z0-9-]+) -->[^|]*\|\s*([^\s|]+)", re.MULTILINE)


def figures(text: str) -> dict[str, str]:
    """The figure of each table row marked ``<!-- figure NAME -->``: the first word of its second cell."""
    return dict(_ROW.findall(text))


def filled(text: str, known: Mapping[str, str]) -> str:
    """The text with what stands between ``<!-- figure NAME -->`` and ``<!-- /figure -->`` made anew.

    Raises:
        KeyError: a figure that has no home.
    """
    return re.sub(
        r"(<!-- figure ([a-z0-9-]+) -->)[^<|]*(<!-- /figure -->)",
        lambda match: f"{match[1]}{known[match[2]]}{match[3]}",
        text,
    )
