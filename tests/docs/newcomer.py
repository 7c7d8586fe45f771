"""What somebody sees who types a page's commands, one after the other, on a terminal of 80 columns."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

from tests.docs.blocks import Block

COLUMNS = 80
_MARK = "### "
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")

NOT_HERE = {"make test"}
"""It would run all tests, this one among them."""
EXPECTED: dict[str, Sequence[str]] = {
    "minga ls": (
        r"^NAME +SIZE +MODIFIED +ID +HOLDERS$|^NAME +SIZE +ID +HOLDERS$",
        r"^big\.bin +\d+\.\d MiB .*(seed|peer)-\d",
    ),
    "minga search llama": (r"llama.* KiB|llama.* MiB|llama.* B ",),
    "minga get big.bin -o downloads/": (
        r"^downloads/big\.bin +\d+\.\d MiB, verified$",
        # How far it is, as long as it lasts: here it may be over before there is a rate.
        r"^big\.bin  ",
    ),
    "minga put README.md": (r"^README\.md  [0-9a-f]{64}$",),
}
"""What a command shows, by its words; patterns of lines."""


def script(blocks: Iterable[Block]) -> str:
    """Commands one by one: those of ``minga`` on a terminal, and each told before it runs."""
    parts = ["set -euo pipefail", f"export TERM=xterm LINES=40 COLUMNS={COLUMNS}"]
    for block in blocks:
        for line in block.text.splitlines():
            command = line.partition("  #")[0].strip()
            if not command or command.startswith("#") or command in NOT_HERE:
                continue
            parts.append(f"echo {shlex.quote(_MARK + command)}")
            parts.append(_on_terminal(command) if command.startswith("minga ") else line)
    return "\n".join(parts)


def _on_terminal(command: str) -> str:
    sized = f"stty cols {COLUMNS} rows 40; {command}"
    return f"script --quiet --return --command {shlex.quote(sized)} /dev/null"


def seen(output: bytes) -> str:
    """What was printed, without colours, and with what a progress bar drew as lines."""
    return _ESCAPE.sub("", output.decode(errors="replace")).replace("\r\n", "\n").replace("\r", "\n")


def by_command(said: str) -> dict[str, list[str]]:
    """The lines that each command printed."""
    shown: dict[str, list[str]] = {}
    command = ""
    for line in said.splitlines():
        if line.startswith(_MARK):
            command = line.removeprefix(_MARK)
        elif line.strip():
            shown.setdefault(command, []).append(line.rstrip())
    return shown
