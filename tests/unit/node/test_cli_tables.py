"""Tables and progress at the widths that terminals have: what matters is never cut."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from minga_node.cli import board, downloads, files, network, requests, tokens
from minga_node.cli.bars import Bars, Moving, clock, lines
from minga_node.cli.output import for_programs
from minga_node.cli.tables import Column, Table, middle, some

WIDTHS = (60, 80, 120)
LONG = "models/meta-llama/Llama-3.3-70B-Instruct/model-00017-of-00030.safetensors"
ID = "8c766a0e41f2"
HOLDERS = ", ".join(f"library-peers-{number}" for number in range(7))
WHEN = "2026-11-30 14:05"
TABLES: dict[str, tuple[tuple[Column, ...], list[str], list[str]]] = {
    "ls": (files.COLUMNS, [LONG, "1023.9 GiB", WHEN, ID, HOLDERS], ["1023.9 GiB", " +6"]),
    "downloads": (
        downloads.COLUMNS,
        [ID[:8], LONG, "running", "100 %", "1023.9 GiB", "112.4 MiB/s", "12", "no holder is online now"],
        [ID[:8], "running", "100 %", "112.4 MiB/s", "no holder is online now"],
    ),
    "peers": (
        network.COLUMNS,
        ["library-peers-0-of-a-long-name (seed)", "this node", "1000000", "1023.9 GiB", "112.4 MiB/s",
         "100.0 MiB/s", "12", "0.4 s ago", "198.18.0.12:5000", "0.2.0"],
        ["112.4 MiB/s", "100.0 MiB/s", "this node"],
    ),
    "wants": (requests.WANTS, [ID, LONG, "searching", "library-peers-0", WHEN], [ID, "searching"]),
    "replications": (
        requests.REPLICATIONS,
        [ID, LONG, "1 of 3", "running", HOLDERS, "nobody has room for it"],
        [ID, "1 of 3", "nobody has room for it"],
    ),
    "jobs": (
        requests.JOBS,
        [ID, "hold", LONG, "library-peers-0", "failed", WHEN, "no room"],
        [ID, "failed", "no room"],
    ),
    "tokens": (
        tokens.COLUMNS,
        ["5e884898", "write", "team-a/a-long-folder/ team-b/another-folder/", "2026-12-31T23:59:59Z", "ci"],
        ["5e884898", "2026-12-31T23:59:59Z", "ci"],
    ),
    "up": (
        board.COLUMNS,
        ["peer-0", "http://127.0.0.1:5001", "ready", "12", "9.5 MiB", "3", "2 at 112.4 MiB/s"],
        ["http://127.0.0.1:5001", "2 at 112.4 MiB/s"],
    ),
}  # fmt: skip


def printed(table: Table, width: int) -> list[str]:
    """Lines as a terminal of that width gets them."""
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_a_row_fits_and_what_matters_is_whole(name: str, width: int) -> None:
    columns, row, whole = TABLES[name]
    shown = printed(Table(columns, [row]), width)
    assert len(shown) <= 3, shown
    assert all(cell_len(line) <= width for line in shown)
    for word in whole:
        assert any(word in line for line in shown), (word, shown)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_name_gives_way_in_its_middle(width: int) -> None:
    _, line = printed(Table(files.COLUMNS, [TABLES["ls"][1]]), width)
    name = line.split("  ")[0]
    assert name.startswith("models/")
    assert name.endswith("ensors")
    assert ("…" in name) is (name != LONG)


def test_less_important_columns_leave_first() -> None:
    def headings(width: int) -> list[str]:
        return printed(Table(files.COLUMNS, [TABLES["ls"][1]]), width)[0].split()

    assert headings(120) == ["NAME", "SIZE", "MODIFIED", "ID", "HOLDERS"]
    assert headings(80) == ["NAME", "SIZE", "ID", "HOLDERS"]
    assert headings(60) == ["NAME", "SIZE", "HOLDERS"]


def test_a_note_has_its_own_line_only_where_it_has_no_room() -> None:
    columns, row, _ = TABLES["downloads"]
    note = row[-1]
    assert printed(Table(columns, [row]), 80)[2] == f"  {note}"
    assert printed(Table(columns, [[*row[:1], "a", *row[2:]]]), 120)[1].endswith(note)


def test_wide_and_pipes_cut_nothing() -> None:
    columns, row, _ = TABLES["ls"]
    assert HOLDERS in next(
        line for line in printed(Table(columns, [row], everything=True), 10_000) if ID in line
    )
    assert LONG in printed(Table(columns, [row]), 10_000)[1]


def test_wide_characters_keep_the_columns_straight() -> None:
    rows = [["漢字漢字漢字漢字漢字漢字漢字.txt", "1 B", WHEN, ID, "far"], ["a", "12 KiB", WHEN, ID, "far"]]
    shown = printed(Table(files.COLUMNS, rows), 60)
    assert {cell_len(line.split("far")[0]) for line in shown[1:]} == {cell_len(shown[0].split("HOLDERS")[0])}


def test_middle_and_some() -> None:
    assert middle("abcdefghij", 10) == "abcdefghij"
    assert middle("abcdefghij", 5) == "ab…ij"
    assert some("a-node, b, c, d", 9) == "a-node +3"
    assert some("a, b", 9) == "a, b"
    assert some("", 9) == ""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("total", [None, 1023 * 1024**3])
def test_progress_never_cuts_a_number(width: int, total: int | None) -> None:
    moving = Moving(LONG, 1000 * 1024**3, total, 112.4 * 1024**2, 3600 * 12, "from 3 peers, the disk is full")
    first, note = lines(moving, width)
    assert cell_len(first) <= width
    assert note == "  from 3 peers, the disk is full"
    assert "1000.0 GiB" in first
    assert "112.4 MiB/s" in first
    assert "12:00:00" in first
    assert first.startswith("models")
    assert total is None or "1023.0 GiB" in first


def test_the_bar_gives_way_first() -> None:
    moving = Moving("big.bin", 50, 100, 10.0, 5)
    assert "━" in lines(moving, 80)[0]
    assert "━" not in lines(Moving(LONG, 50 * 1024**3, 100 * 1024**3, 1e8, 5), 60)[0]
    assert clock(42) == "0:42"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_terminal_gets_these_lines(width: int) -> None:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    with Bars(console=console, auto_refresh=False) as bars:
        task = bars.add_task(LONG, total=1000, note="from 2 peers")
        bars.update(task, completed=370)
        bars.refresh()
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "370 B/1000 B" in shown
    assert "from 2 peers" in shown


def test_times_are_as_rfc_3339_has_them() -> None:
    said = for_programs([
        {"modified": 1_764_547_200_123, "ended": 0, "size": 5, "asked": ["a"], "x": {"since": 1}}
    ])
    assert said == [
        {"modified": "2025-12-01T00:00:00.123Z", "ended": None, "size": 5, "asked": ["a"],
         "x": {"since": "1970-01-01T00:00:00.001Z"}}
    ]  # fmt: skip
