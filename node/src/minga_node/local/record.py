"""Which local network runs, written down so that other commands find it and ``minga down`` can end it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

DEFAULT_NODE = "http://127.0.0.1:5000"


@dataclass(frozen=True)
class Process:
    """A process and when it began, in clock ticks since boot: an id alone may be somebody else's by now."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        return started_at(self.pid) == self.started


@dataclass(frozen=True)
class LocalRecord:
    network: str
    default: str
    """REST address of the node that commands talk to."""
    supervisor: Process


def path() -> Path:
    """Where the record is kept: in the user's state folder (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "minga" / "up.json"


def write(record: LocalRecord) -> None:
    where = path()
    where.parent.mkdir(parents=True, exist_ok=True)
    fresh = where.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(record)), encoding="utf-8")
    fresh.replace(where)


def read() -> LocalRecord | None:
    """The running local network, if there is one."""
    try:
        data: dict[str, Any] = json.loads(path().read_text(encoding="utf-8"))
        record = LocalRecord(data["network"], data["default"], Process(**data["supervisor"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if record.supervisor.alive else None


def remove() -> None:
    path().unlink(missing_ok=True)


def default_node() -> str:
    """The node that commands talk to when none is named."""
    record = read()
    return record.default if record else DEFAULT_NODE


def started_at(pid: int) -> int | None:
    """When a process began (proc(5), stat, field 22); ``None`` when it is no more, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])
