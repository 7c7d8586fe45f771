"""Progress that fits: amounts, rates and times are never cut; the bar gives way first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.progress import Progress, Task
from rich.text import Text

from minga_node.cli.amounts import size
from minga_node.cli.tables import GAP, middle
from minga_node.visible import visible

SHORTEST_NAME = 12
SHORTEST_BAR, LONGEST_BAR = 8, 40


@dataclass(frozen=True)
class Moving:
    """What moves, as of now."""

    name: str
    done: int
    total: int | None
    """Bytes; ``None`` while nobody knows."""
    rate: float | None = None
    """Bytes a second."""
    left: float | None = None
    """Seconds."""
    note: str = ""


def lines(moving: Moving, width: int) -> list[str]:
    """One line in so many cells at most, and one of its own for the note."""
    known = moving.total is not None
    amount = f"{size(moving.done)}/{size(moving.total)}" if moving.total is not None else size(moving.done)
    percent = f"{100 * moving.done // max(1, moving.total)} %".rjust(5) if moving.total is not None else ""
    rate = f"{size(moving.rate)}/s" if moving.rate is not None else ""
    left = clock(moving.left) if moving.left is not None else ""
    name = visible(moving.name)
    least = min(cell_len(name), SHORTEST_NAME)
    parts = [part for part in (percent, amount, rate, left) if part]
    if least + sum(GAP + cell_len(part) for part in parts) > width and percent:
        parts.remove(percent)
    spare = width - sum(GAP + cell_len(part) for part in parts)
    shown = middle(name, max(least, spare))
    spare -= cell_len(shown) + GAP
    bar = []
    if known and spare >= SHORTEST_BAR:
        bar = [_bar(moving.done / max(1, moving.total or 0), min(spare, LONGEST_BAR))]
    first = (" " * GAP).join([shown, *bar, *parts])
    return [first, *([f"  {visible(moving.note)}"] if moving.note else [])]


def clock(seconds: float) -> str:
    """``0:42``, ``12:03``, ``3:00:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bar(share: float, width: int) -> str:
    full = min(width, int(share * width))
    return "━" * full + "╌" * (width - full)


class Bars(Progress):
    """All that moves, each in a line or two."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield Group(
            *(
                Text(line, no_wrap=place == 0, overflow="ignore" if place == 0 else "fold")
                for task in self.tasks
                if task.visible
                for place, line in enumerate(lines(_moving(task), self.console.width))
            )
        )


def _moving(task: Task) -> Moving:
    return Moving(
        task.description,
        int(task.completed),
        int(task.total) if task.total is not None else None,
        task.finished_speed or task.speed,
        None if task.finished else task.time_remaining,
        str(task.fields.get("note", "")),
    )
