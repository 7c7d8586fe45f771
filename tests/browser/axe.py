"""axe-core, from npm, finds what people with a keyboard or a screen reader could not use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from tests.browser.chromium import Page

VERSION = "4.14.1"
SERIOUS = {"serious", "critical"}


def source() -> str:
    """The script; installed once."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "minga" / f"axe-core-{VERSION}"
    script = home / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        home.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run([*command, f"axe-core@{VERSION}"], check=True, timeout=240, capture_output=True)
    return script.read_text(encoding="utf-8")


def serious(page: Page, script: str) -> list[str]:
    """Serious findings on what is shown now, one line each."""
    page.run(script)
    found: dict[str, Any] = page.driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {resultTypes: ['violations']})"
        ".then(done, (error) => done({failure: String(error)}))"
    )
    assert "failure" not in found, found
    return [
        f"{violation['id']}: {violation['help']}: {[node['html'][:160] for node in violation['nodes'][:3]]}"
        for violation in found["violations"]
        if violation["impact"] in SERIOUS
    ]
