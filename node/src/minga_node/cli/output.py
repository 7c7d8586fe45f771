"""How results look: tables and progress for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
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
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from minga_node.visible import visible, visible_json


def echo(text: str, *, err: bool = False) -> None:
    """Prints lines. Whatever they quote, the terminal takes no order from it."""
    click.echo(visible(text, lines=True), err=err)


def as_json(data: Any, indent: int | None = None) -> str:
    """The same for programs."""
    return visible_json(json.dumps(data, ensure_ascii=False, indent=indent))


class Output:
    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        # Columns would be cut at 80 when the output is a pipe.
        self._bars: Progress | None = None
        self.console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)

    def data(self, data: Any) -> None:
        """JSON on standard output."""
        click.echo(as_json(data, indent=2))

    def say(self, line: str) -> None:
        """A result in words."""
        if self.quiet or self.as_json:
            return
        if self._bars is not None and not self._bars.disable and sys.stdout.isatty():
            # Above the bars, which stay the last thing on the screen.
            self._bars.console.print(plain(line), soft_wrap=True)
        else:
            echo(line)

    def hint(self, line: str) -> None:
        """Something that helps but is no result: on standard error."""
        if not self.quiet and not self.as_json:
            echo(line, err=True)

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
            table.add_row(*map(plain, row))
        return table

    def progress(self) -> Progress:
        """Bars on standard error, so that standard output can be a pipe."""
        console = Console(stderr=True)
        self._bars = Progress(
            Words(lambda task: task.description),
            BarColumn(),
            TaskProgressColumn(),
            DownloadColumn(binary_units=True),
            SpeedColumn(),
            TimeRemainingColumn(),
            Words(lambda task: str(task.fields["note"])),
            console=console,
            disable=self.quiet or self.as_json or not console.is_terminal,
            transient=False,
        )
        return self._bars


class Words(ProgressColumn):
    """What a task says of itself."""

    def __init__(self, words: Callable[[Task], str]) -> None:
        super().__init__()
        self._words = words

    def render(self, task: Task) -> Text:
        return plain(self._words(task))


class SpeedColumn(ProgressColumn):
    """Bytes a second, in the units of everything else."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{size(speed)}/s" if speed is not None else "", style="progress.data.speed")


def plain(text: str, *, lines: bool = False) -> Text:
    """Text as it is, one line or several: no markup, no order to the terminal."""
    return Text(visible(text, lines=lines))


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
