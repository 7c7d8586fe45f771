"""A folder that looks like a fresh clone, with a home of its own, in which a page's commands run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.docs.blocks import REPOSITORY, Page

_NOT_CLONED = {".git", ".local", ".kube", "site", "downloads", "test-artifacts"}


def make(folder: Path, page: Page) -> Path:
    """Links to what a clone has, and the files that the page shows."""
    clone = folder / "clone"
    clone.mkdir()
    for item in REPOSITORY.iterdir():
        if item.name not in _NOT_CLONED:
            (clone / item.name).symlink_to(item)
    for name, content in page.files:
        (clone / name).write_text(content, encoding="utf-8")
    return clone


def environment(folder: Path) -> dict[str, str]:
    """The variables of a user who has nothing set, with the virtual environment's commands."""
    home = folder / "home"
    home.mkdir()
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("MINGA_", "XDG_", "KUBE", "HELM_", "MAKE", "PYTEST_"))
    }
    # Not resolved: the interpreter of a virtual environment is a link.
    commands = Path(sys.executable).parent
    return {**kept, "HOME": str(home), "PATH": f"{commands}:{kept.get('PATH', '/usr/bin:/bin')}"}
