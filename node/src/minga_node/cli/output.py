"""How results look: tables and progress for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text


class Output:
    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        # Columns would be cut at 80 when the output is a pipe.
        self._bars: Progress | None = None
        self.console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)

    def data(self, data: Any) -> None:
        """JSON on standard output."""
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))

    def say(self, line: str) -> None:
        """A result in words."""
        if self.quiet or self.as_json:
            return
        if self._bars is not None and not self._bars.disable and sys.stdout.isatty():
            # Above the bars, which stay the last thing on the screen.
            self._bars.console.print(Text(line), soft_wrap=True)
        else:
            click.echo(line)

    def hint(self, line: str) -> None:
        """Something that helps but is no result: on standard error."""
        if not self.quiet and not self.as_json:
            click.echo(line, err=True)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()
    ) -> None:
        """Prints rows under headings."""
        self.console.print(self.make_table(columns, rows, right=right))

    @staticmethod
    def make_table(
        columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()
    ) -> Table:
        """Rows under headings; names are shown as they are, never read as markup."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(
                column, justify="right" if column in right else "left", no_wrap=True, overflow="ellipsis"
            )
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        return table

    def progress(self) -> Progress:
        """Bars on standard error, so that standard output can be a pipe."""
        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            DownloadColumn(binary_units=True),
            SpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=self.quiet or self.as_json or not console.is_terminal,
            transient=False,
        )
        return self._bars


class SpeedColumn(ProgressColumn):
    """Bytes a second, in the units of everything else."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{size(speed)}/s" if speed is not None else "", style="progress.data.speed")


def counted(count: int, what: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def size(count: float) -> str:
    """Bytes for people, in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def when(milliseconds: int) -> str:
    """A time for people, in their own zone."""
    return datetime.fromtimestamp(milliseconds / 1000).strftime("%Y-%m-%d %H:%M")
