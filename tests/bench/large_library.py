"""What a node with very many small files costs: its first start, a restart, a second node, one change.

    python -m tests.bench.large_library [--files 100000] [--size 1KiB] [--directory DIR] [--json]

Real ``minga-node`` processes on loopback. A first start hashes everything; a restart finds the hashes.
Memory is the resident set of the process (``VmRSS``, and ``VmHWM`` for its peak), after a rest of ten
seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.fan_out import amount
from tests.bench.many_files import FOLDERS, cpu
from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

LONG = 3_600.0
REST = 10.0


def memory(node: RunningNode, field: str = "VmRSS") -> int:
    """MiB."""
    lines = Path(f"/proc/{node.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) // 1024


def knows(node: RunningNode, files: int) -> bool:
    return bool(node.get("/api/v1/network")["files"] == files)


def started(node: RunningNode, files: int, began: float, what: str) -> dict[str, float]:
    """Seconds until it is ready, and until it has shared everything; what it uses then."""
    node.ready(LONG)
    ready = time.monotonic() - began
    wait_for(lambda: knows(node, files), f"{what} shares all files", LONG, 0.1)
    shared = time.monotonic() - began
    used = cpu(node)
    time.sleep(REST)
    return {
        f"{what}_ready_s": round(ready, 2),
        f"{what}_all_s": round(shared, 1),
        f"{what}_cpu_s": round(used, 1),
        f"{what}_idle_cpu_percent": round((cpu(node) - used) / REST * 100, 1),
        f"{what}_mib": memory(node),
        f"{what}_peak_mib": memory(node, "VmHWM"),
    }


def measure(place: Path, files: int, size: int) -> dict[str, float]:
    home = place / "large" / "files"
    for number in range(files):
        path = home / f"{number % FOLDERS:02}" / f"file{number:06}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    os.sync()
    nodes = Nodes(place)
    settings: dict[str, Any] = {
        "gossip_seconds": 1,
        "quiet_seconds": 1,
        "suspect_seconds": 5,
        "dead_seconds": 15,
    }
    try:
        began = time.monotonic()
        node = nodes.start("large", **settings)
        result = started(node, files, began, "first")
        began = time.monotonic()
        node.terminate(LONG)
        result["stop_s"] = round(time.monotonic() - began, 2)
        began = time.monotonic()
        node.launch()
        result |= started(node, files, began, "again")
        began = time.monotonic()
        (home / "00" / "new").write_bytes(b"new")
        wait_for(lambda: knows(node, files + 1), "one more file is shared", LONG)
        result["one_more_s"] = round(time.monotonic() - began, 2)
        began = time.monotonic()
        result |= started(nodes.start("other", node, **settings), files + 1, began, "other")
        return result
    finally:
        nodes.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--size", type=amount, default=1024)
    parser.add_argument("--directory", type=Path, help="on which file system; that of temporary files else")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="minga-large-") as place:
        result = measure(Path(place), options.files, options.size)
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key:24} {value:>10}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
