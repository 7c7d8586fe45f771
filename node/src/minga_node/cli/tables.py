"""Tables that fit: numbers, ids and rates are never cut, names give way in the middle, notes get a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from minga_node.visible import visible

GAP = 2
SHORTEST = 8
"""Cells that a name keeps however narrow the terminal is."""
LIST = 20
"""Cells that a list of names keeps."""
MOST_NAMES = 4
"""Names in one cell, unless everything is to be shown."""
UNLIMITED = 10_000
"""The width of what is no terminal."""


@dataclass(frozen=True)
class Column:
    """How one column gives way where the terminal is narrow; by itself not at all."""

    title: str
    right: bool = False
    least: int = 0
    """Cells down to which a name is cut in its middle; 0: it is never cut."""
    names: bool = False
    """Whether a cell is a list of names, of which ``+N`` may stand for the last ones."""
    leaves: int = 0
    """The column of the highest number leaves first; one of 0 stays."""
    note: bool = False
    """Whether a cell goes to a line of its own below the row, where not all fit."""


def middle(text: str, width: int) -> str:
    """A name in so many cells at most: its beginning and its end, which are what tells names apart."""
    if cell_len(text) <= width:
        return text
    head, tail = "", ""
    for character in text:
        if cell_len(head + character) > (width - 1) // 2:
            break
        head += character
    for character in reversed(text):
        if cell_len(character + tail) > width - 1 - cell_len(head):
            break
        tail = character + tail
    return f"{head}…{tail}"


def some(names: str, width: int, most: int = MOST_NAMES) -> str:
    """The first of a list of names, and how many more there are: ``a-node +3``."""
    each = names.split(", ")
    for count in range(min(most, len(each)), 0, -1):
        rest = len(each) - count
        said = ", ".join(each[:count]) + (f" +{rest}" if rest else "")
        if cell_len(said) <= width:
            return said
    rest = len(each) - 1
    more = f" +{rest}" if rest else ""
    return middle(each[0], max(SHORTEST, width - cell_len(more))) + more


class Table:
    """Rows under headings, laid out for the width of whatever shows them.

    Args:
        everything: whether all is shown, however wide that is.
    """

    def __init__(
        self, columns: Sequence[Column], rows: Sequence[Sequence[str]], *, everything: bool = False
    ) -> None:
        self._columns = list(columns)
        self._rows = [[visible(cell) for cell in row] for row in rows]
        self._everything = everything

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        width = UNLIMITED if self._everything else options.max_width
        for place, line in enumerate(self.lines(width)):
            yield Text(line, style="" if place else "bold", no_wrap=width >= UNLIMITED)

    def lines(self, width: int) -> Iterator[str]:
        """All lines, the headings first."""
        most = 10**9 if self._everything else MOST_NAMES
        columns = self._columns
        whole = [
            [
                some(cell, UNLIMITED, most) if column.names else cell
                for column, cell in zip(columns, row, strict=True)
            ]
            for row in self._rows
        ]
        shown, widths = self._layout(whole, width)
        yield self._line([column.title for column in columns], shown, widths)
        for row, cells in zip(self._rows, whole, strict=True):
            fitted = list(cells)
            for place in shown:
                if columns[place].names and cell_len(cells[place]) > widths[place]:
                    fitted[place] = some(row[place], widths[place], most)
                elif columns[place].least:
                    fitted[place] = middle(cells[place], widths[place])
            yield self._line(fitted, shown, widths)
            for place, column in enumerate(columns):
                if column.note and place not in shown and row[place]:
                    yield f"  {row[place]}"

    def _layout(self, rows: list[list[str]], width: int) -> tuple[list[int], dict[int, int]]:
        columns = self._columns
        natural = {
            place: max([cell_len(column.title), *(cell_len(row[place]) for row in rows)])
            for place, column in enumerate(columns)
        }
        shown = [place for place in natural if not columns[place].note or any(row[place] for row in rows)]
        if _total(natural, shown) <= width:
            return shown, natural
        shown = [place for place in shown if not columns[place].note]
        least = {place: self._least(place, natural[place]) for place in shown}
        while _total(least, shown) > width:
            leaving = [place for place in shown if columns[place].leaves]
            if not leaving:
                break
            empty = [place for place in leaving if not any(row[place] for row in rows)]
            shown.remove(max(empty or leaving, key=lambda place: columns[place].leaves))
        widths = {place: least[place] for place in shown}
        giving = [place for place in shown if columns[place].least]
        over = _total(widths, shown) - width
        for place in giving:
            taken = min(max(0, over), max(0, widths[place] - SHORTEST))
            widths[place] -= taken
            over -= taken
        for place in (*giving, *(place for place in shown if columns[place].names)):
            widths[place] += min(max(0, -over), natural[place] - widths[place])
            over = _total(widths, shown) - width
        return shown, widths

    def _least(self, place: int, natural: int) -> int:
        column = self._columns[place]
        if column.names:
            return max([
                cell_len(column.title),
                *(cell_len(some(row[place], LIST)) for row in self._rows),
            ])
        return min(natural, max(cell_len(column.title), column.least)) if column.least else natural

    def _line(self, cells: Sequence[str], shown: Sequence[int], widths: dict[int, int]) -> str:
        parts = []
        for place in shown:
            pad = " " * (widths[place] - cell_len(cells[place]))
            parts.append(pad + cells[place] if self._columns[place].right else cells[place] + pad)
        return (" " * GAP).join(parts).rstrip()


def _total(widths: dict[int, int], shown: Sequence[int]) -> int:
    return sum(widths[place] for place in shown) + GAP * (len(shown) - 1)
