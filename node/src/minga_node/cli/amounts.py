"""Amounts of bytes as people write them."""

from __future__ import annotations

import re
from typing import Any

import click

UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


class Amount(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """``500k``, ``2.5M``, ``1GiB``, ``1048576``: binary units, as in curl and wget."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?(?:/s)?", str(value).strip().lower())
        count = int(float(match[1]) * UNITS[match[2]]) if match else 0
        if count < 1:
            self.fail(f"{value!r} is no amount of bytes such as 500k or 2.5M", param, ctx)
        return count
