"""Many small files end to end: ``minga put -r`` into one node, ``minga get -r`` through another.

    python -m tests.bench.many_files [--files 10000] [--size 10KiB] [--directory DIR] [--runs 3] [--json]

Two ``minga-node`` processes and the command, as users start them, over loopback. The time of ``put`` is that
of the command: when it ends, all files are synced, in the library and published. That of ``get`` begins when
the other node knows of all of them and ends when they are verified, in its library and in the folder that was
asked for; every file is compared afterwards.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.fan_out import amount
from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

FOLDERS = 50


def command(node: RunningNode, place: Path, *arguments: str) -> float:
    """Seconds that the command takes."""
    environment = {**os.environ, "MINGA_NODE": node.url, "XDG_CONFIG_HOME": str(place)}
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "minga_node.cli", "--quiet", *arguments],
        env=environment,
        check=True,
        cwd=place,
    )
    return time.monotonic() - began


def cpu(node: RunningNode) -> float:
    """Seconds of processor time that a node has used."""
    fields = Path(f"/proc/{node.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def once(place: Path, files: int, size: int) -> dict[str, float]:
    source = place / "many"
    for number in range(files):
        path = source / f"{number % FOLDERS:02}" / f"file{number:06}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    os.sync()
    nodes = Nodes(place)
    try:
        giver = nodes.start("giver", gossip_seconds=1, quiet_seconds=1).ready()
        taker = nodes.start("taker", giver, gossip_seconds=1, quiet_seconds=1).ready()
        put = command(giver, place, "put", "-r", "many")
        giver_put = cpu(giver)
        wait_for(
            lambda: taker.get("/api/v1/network")["files"] == files, "the other node knows all files", 300
        )
        giver_before, taker_before = cpu(giver), cpu(taker)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        get = command(taker, place, "get", "-r", "many", "-o", "fetched")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = {
            "put_files_per_s": round(files / put, 1),
            "get_files_per_s": round(files / get, 1),
            "put_node_cpu_ms_per_file": round(giver_put / files * 1e3, 3),
            "get_giver_cpu_ms_per_file": round((cpu(giver) - giver_before) / files * 1e3, 3),
            "get_taker_cpu_ms_per_file": round((cpu(taker) - taker_before) / files * 1e3, 3),
            "get_command_cpu_ms_per_file": round(
                (after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime) / files * 1e3, 3
            ),
            "get_again_files_per_s": round(
                files / command(taker, place, "get", "-r", "many", "-o", "fetched"), 1
            ),
        }
    finally:
        nodes.stop()
    for folder in sorted(source.iterdir()):
        names = [path.name for path in folder.iterdir()]
        same, *_ = filecmp.cmpfiles(folder, place / "fetched" / folder.name, names, shallow=False)
        if len(same) != len(names):
            raise RuntimeError(f"{len(names) - len(same)} files of {folder.name} are not what was put")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--size", type=amount, default=10 * 1024, help="of each file")
    parser.add_argument("--directory", type=Path, help="on the disk to measure; by default in /tmp")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    say: Callable[[str], None] = (
        (lambda line: None) if options.json else (lambda line: print(line, flush=True))
    )
    results = []
    for run in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="minga-many-", dir=options.directory) as place:
            results.append(once(Path(place), options.files, int(options.size)))
        say(f"run {run + 1}: {json.dumps(results[-1])}")
    answer = {key: statistics.median(one[key] for one in results) for key in results[0]}
    print(json.dumps(answer, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
