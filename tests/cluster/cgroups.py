"""The control groups of a cluster's nodes: made before kubelet, which wants its own; removed last."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from .shell import ClusterError, wait_for


def make_cgroup(name: str) -> None:
    """Make `name` (like /minga-default/node1) in every hierarchy of cgroup v1, or in the one of v2."""
    for mount in _hierarchies():
        folder = mount
        for part in name.strip("/").split("/"):
            folder = folder / part
            folder.mkdir(exist_ok=True)
            # A new cpuset is empty and takes no process until it has its parent's processors and memory.
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (folder / file).exists() and not (folder / file).read_text().strip():
                    value = folder.parent / file
                    if value.exists() and value.read_text().strip():
                        (folder / file).write_text(value.read_text())


def remove_cgroup(name: str) -> None:
    """Kill what still runs in `name` and below, then remove it, in every hierarchy."""
    for mount in _hierarchies():
        top = mount / name.strip("/")
        if top.exists():
            wait_for(f"the end of cgroup {top}", lambda top=top: _removed(top), 20, 0.05)  # type: ignore[misc]


def _removed(top: Path) -> bool:
    for folder, _, _ in os.walk(top, topdown=False):
        path = Path(folder)
        with contextlib.suppress(FileNotFoundError):
            for pid in (path / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        with contextlib.suppress(OSError):
            path.rmdir()
    return not top.exists()


def _hierarchies() -> list[Path]:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    kinds = {"cgroup": [Path(m[1]) for m in mounts if m[2] == "cgroup"]}
    kinds["cgroup2"] = [Path(m[1]) for m in mounts if m[2] == "cgroup2"]
    found = kinds["cgroup"] + kinds["cgroup2"]
    if not found:
        raise ClusterError("no control groups are mounted on this machine")
    return found
