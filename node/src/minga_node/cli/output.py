"""How results look: tables and progress for people, JSON and YAML for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from minga_node.cli.amounts import size
from minga_node.cli.bars import Bars
from minga_node.cli.tables import UNLIMITED, Column, Table
from minga_node.visible import visible, visible_json

__all__ = ["Column", "Output", "as_json", "counted", "echo", "for_programs", "plain", "size", "when"]

FORMS = ("table", "wide", "json", "yaml")
TIMES = {"asked", "created", "ended", "expires", "finished", "modified", "since", "started", "updated"}
"""Keys of REST whose values are milliseconds since 1970."""


def echo(text: str, *, err: bool = False) -> None:
    """Prints lines. Whatever they quote, the terminal takes no order from it."""
    click.echo(visible(text, lines=True), err=err)


def as_json(data: Any, indent: int | None = None) -> str:
    """The same for programs."""
    return visible_json(json.dumps(data, ensure_ascii=False, indent=indent))


def for_programs(data: Any) -> Any:
    """The same with times as RFC 3339 has them, in UTC; one that is not there yet is null."""
    if isinstance(data, dict):
        return {
            key: _time(value) if key in TIMES and isinstance(value, int) else for_programs(value)
            for key, value in data.items()
        }
    return [for_programs(each) for each in data] if isinstance(data, list) else data


def _time(milliseconds: int) -> str | None:
    if isinstance(milliseconds, bool) or milliseconds <= 0:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Output:
    """Prints results in one of :data:`FORMS`."""

    def __init__(self, form: str = "table", *, quiet: bool = False) -> None:
        self.form = form
        self.for_programs = form in {"json", "yaml"}
        self.quiet = quiet
        self._bars: Bars | None = None
        # Columns would be cut at 80 when the output is a pipe.
        everything = form == "wide" or not sys.stdout.isatty()
        self.console = Console(width=UNLIMITED if everything else None, highlight=False)

    def data(self, data: Any) -> None:
        """JSON or YAML on standard output."""
        said = for_programs(data)
        if self.form == "yaml":
            # Most commands need none, and start sooner without.
            import yaml

            click.echo(
                yaml.safe_dump(json.loads(as_json(said)), sort_keys=False, allow_unicode=True), nl=False
            )
        else:
            click.echo(as_json(said, indent=2))

    def say(self, line: str) -> None:
        """A result in words."""
        if self.quiet or self.for_programs:
            return
        if self._bars is not None and not self._bars.disable and sys.stdout.isatty():
            # Above the bars, which stay the last thing on the screen.
            self._bars.console.print(plain(line), soft_wrap=True)
        else:
            echo(line)

    def hint(self, line: str) -> None:
        """Something that helps but is no result: on standard error."""
        if not self.quiet and not self.for_programs:
            echo(line, err=True)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Prints rows under headings."""
        self.console.print(self.make_table(columns, rows), soft_wrap=self.form == "wide")

    def make_table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
        """Rows under headings; names are shown as they are, never read as markup."""
        return Table(columns, rows, everything=self.form == "wide")

    def progress(self) -> Bars:
        """Bars on standard error, so that standard output can be a pipe."""
        console = Console(stderr=True)
        self._bars = Bars(
            console=console,
            disable=self.quiet or self.for_programs or not console.is_terminal,
            transient=False,
        )
        return self._bars


def plain(text: str, *, lines: bool = False) -> Text:
    """Text as it is, one line or several: no markup, no order to the terminal."""
    return Text(visible(text, lines=lines))


def counted(count: int, what: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def when(milliseconds: int) -> str:
    """A time for people, in their own zone."""
    return datetime.fromtimestamp(milliseconds / 1000).strftime("%Y-%m-%d %H:%M")
