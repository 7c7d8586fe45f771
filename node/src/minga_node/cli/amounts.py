"""Amounts of bytes as people write and read them."""

from __future__ import annotations

import re
from typing import Any

import click

UNITS = {
    "": 1,
    **{letter: 1000**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}i": 1024**power for power, letter in enumerate("kmgt", 1)},
}
"""As in Kubernetes' quantities and in SI: M is a million, Mi is 1024 * 1024."""


class Amount(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """``500k``, ``2.5M``, ``1Gi``, ``1GiB``, ``1048576``: decimal and binary units are told apart."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?(?:/s)?", str(value).strip().lower())
        count = int(float(match[1]) * UNITS.get(match[2], 0)) if match else 0
        if count < 1:
            self.fail(f"{value!r} is no amount of bytes such as 500k, 2.5M or 1Gi", param, ctx)
        return count


def size(count: float) -> str:
    """Bytes for people, in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
