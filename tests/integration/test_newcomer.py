"""A newcomer's hour: the commands of README and quick start, in order, on a terminal of 80 columns."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import alone, blocks, newcomer, workspace
from tests.docs.blocks import Kind

pytestmark = [pytest.mark.integration, pytest.mark.root]

README = blocks.parse("README.md", (blocks.REPOSITORY / "README.md").read_text(encoding="utf-8"))
HOUR = {"README.md": 2, "quick-start.md": None}
"""How many blocks of a page: the README's others are of other machines."""
QUICK_START = blocks.read(blocks.DOCS / "quick-start.md")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network namespace with its own ports")
@pytest.mark.parametrize("page", [README, QUICK_START], ids=lambda page: page.name)
def test_what_a_newcomer_sees_at_80_columns(page: blocks.Page, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(newcomer.script(page.of(Kind.LOCAL)[: HOUR[page.name]]), encoding="utf-8")
    ended = subprocess.run(
        [*alone.COMMAND, sys.executable, alone.__file__, str(script)],
        cwd=workspace.make(tmp_path, page),
        env=workspace.environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=240,
        check=False,
    )
    said = newcomer.seen(ended.stdout)
    assert ended.returncode == 0, said
    shown = newcomer.by_command(said)
    assert "Traceback" not in said
    assert "Error" not in said
    for command in newcomer.EXPECTED:
        assert command in shown, (command, list(shown))
    for command, lines in shown.items():
        if command.startswith("minga "):
            assert all(len(line) <= 80 for line in lines), (command, lines)
        assert all(
            any(re.search(words, line) for line in lines) for words in newcomer.EXPECTED.get(command, ())
        ), (
            command,
            lines,
        )
