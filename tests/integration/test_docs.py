"""Every command of the quick start and the how-tos that needs no cluster, as the pages have them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import alone, blocks, workspace
from tests.docs.blocks import Kind

LOCAL = [page for path in blocks.PAGES if (page := blocks.read(path)).of(Kind.LOCAL)]

pytestmark = [pytest.mark.integration, pytest.mark.root]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network namespace with its own ports")
@pytest.mark.parametrize("page", LOCAL, ids=lambda page: page.name)
def test_what_a_page_says_works(page: blocks.Page, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(blocks.script(page.of(Kind.LOCAL)), encoding="utf-8")
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
    assert ended.returncode == 0, ended.stdout.decode(errors="replace")
