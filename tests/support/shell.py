"""The command ``minga`` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class Shell:
    """Runs the command as a user would, with folders of its own for what it keeps."""

    def __init__(self, home: Path, node: str | None) -> None:
        self.home = home
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("MINGA_")}
        for kind in ("CONFIG", "STATE", "DATA"):
            self.environment[f"XDG_{kind}_HOME"] = str(home / kind.lower())
        if node is not None:
            self.environment["MINGA_NODE"] = node

    def __call__(self, *arguments: str, expect: int = 0, stdin: bytes = b"") -> str:
        """Standard output of a run that ends with ``expect``; else the test fails."""
        ended = self.run(*arguments, stdin=stdin)
        assert ended.returncode == expect, (arguments, ended.returncode, ended.stdout, ended.stderr)
        assert b"Traceback" not in ended.stderr
        return ended.stdout.decode()

    def run(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "minga_node.cli", *arguments],
            env=self.environment,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            timeout=120,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self("--json", *arguments))

    def popen(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A run that is still going on."""
        return subprocess.Popen(
            [sys.executable, "-m", "minga_node.cli", *arguments],
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
