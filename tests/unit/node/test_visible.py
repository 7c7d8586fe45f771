"""Log lines and words for a terminal hold no control characters, whatever they quote."""

from __future__ import annotations

import json
import logging
import re
import sys
from pathlib import Path

import pytest

from minga_node import cli
from minga_node.log_setup import HumanFormatter, JsonFormatter
from minga_node.visible import MOST_MESSAGE_CHARACTERS, shortened, visible, visible_json

EVIL = "x\n12:00:00 INFO    forged\x1b[2J\x9b31m\u2028\x7f\r\ud800"


def record(message: str, *, error: bool = False) -> logging.LogRecord:
    found = None
    if error:
        try:
            raise ValueError(message)
        except ValueError:
            found = sys.exc_info()
    return logging.LogRecord("minga_node.membership", logging.INFO, "", 1, "%s", (message,), found)


def test_control_characters_are_shown_as_escapes_and_the_rest_as_it_is() -> None:
    assert visible("a\x1b[2J\n\x9b\u2028\ud800") == "a\\x1b[2J\\x0a\\x9b\\u2028\\ud800"
    assert visible("a\n\tb\r", lines=True) == "a\n\tb\\x0d"
    assert visible("Año 2026 – 猫 🐈") == "Año 2026 – 猫 🐈"


def test_json_keeps_its_meaning() -> None:
    encoded = visible_json(json.dumps({"name": EVIL}, ensure_ascii=False, indent=2))
    assert json.loads(encoded) == {"name": EVIL}
    encoded.encode()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", encoded)


@pytest.mark.parametrize("error", [False, True])
@pytest.mark.parametrize("formatter", [HumanFormatter(), JsonFormatter()])
def test_a_log_message_is_one_line_without_control_characters(
    formatter: logging.Formatter, error: bool
) -> None:
    first, *others = formatter.format(record(EVIL, error=error)).split("\n")
    assert all(line.startswith("    ") for line in others), "a traceback is indented"
    for line in (first, *others):
        line.encode()
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028]", line)


@pytest.mark.parametrize("formatter", [HumanFormatter(), JsonFormatter()])
def test_a_log_message_has_a_bound(formatter: logging.Formatter) -> None:
    assert len(formatter.format(record("x" * 7_000_000))) < MOST_MESSAGE_CHARACTERS + 300
    assert len(formatter.format(record("x" * 100_000, error=True))) < 3 * MOST_MESSAGE_CHARACTERS
    assert shortened("x" * MOST_MESSAGE_CHARACTERS) == "x" * MOST_MESSAGE_CHARACTERS


def test_every_command_prints_through_one_place() -> None:
    """``output.echo``; the script of a shell is printed as it is, a mark has its colour, and what lays lines
    out (below) makes them visible itself."""
    folder = Path(cli.__file__).parent
    direct = {
        path.name: len(re.findall(r"click\.s?echo\(|(?<![.\w])(?<!def )print\(|\bText\(", path.read_text()))
        for path in folder.glob("*.py")
    }
    laid_out = {"tables.py": 1, "bars.py": 1}
    direct = {name: count for name, count in direct.items() if count}
    assert direct == {"output.py": 4, "completion.py": 1, "doctor.py": 1, **laid_out}
