"""What it costs idle nodes to remember members that left or died.

    python -m tests.bench.gone [--gone 5000] [--nodes 4] [--seconds 30] [--json FILE]

Real nodes without libraries, in one process on loopback, a round a second. Bytes are those of gossip messages
that a node sends, processor time is that of the whole process divided by the nodes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from minga_node.membership.goodbyes import Goodbye
from minga_node.metrics import GOSSIP_BYTES
from tests.support.index_node import IndexNode, making, until
from tests.support.writer import Writer

SETTLE = 40.0
"""Seconds before the clock starts."""


def sent() -> float:
    return float(GOSSIP_BYTES.labels("out")._value.get())


def remember(node: IndexNode, writers: list[Writer]) -> None:
    """As if half of them had left, and half had died."""
    view = node.membership._view
    heard = time.monotonic() - 600
    with node.membership._lock:
        for number, writer in enumerate(writers):
            view.learn(writer.record(started=1_700_000_000_000), heard)
            if number % 2:
                view.heard_goodbye(Goodbye(writer.name, writer.epoch, 1_700_000_000_001))


def measure(count: int, gone: int, seconds: float) -> dict[str, float]:
    writers = [Writer(f"laptop-{number}-5000", epoch=1_700_000_000_000_000) for number in range(gone)]
    with tempfile.TemporaryDirectory() as directory, making(Path(directory)) as nodes:
        network = nodes.network(count, gossip_seconds=1.0, suspect_seconds=5.0, dead_seconds=15.0)
        until(lambda: all(len(node.membership.alive()) == count - 1 for node in network), 60)
        for node in network:
            remember(node, writers)
        # Until each pair has met, and nothing that has only just begun is counted.
        time.sleep(SETTLE)
        before, cpu, began = sent(), time.process_time(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        return {
            "nodes": count,
            "gone": gone,
            "bytes_a_second": round((sent() - before) / took / count),
            "cpu_ms_a_second": round((time.process_time() - cpu) * 1000 / took / count, 1),
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gone", type=int, default=5000)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = [measure(asked.nodes, gone, asked.seconds) for gone in (0, asked.gone)]
    print(f"{'nodes':>6} {'gone':>6} {'bytes/s sent':>13} {'CPU ms/s':>9}   a node")
    for row in rows:
        print(f"{row['nodes']:>6} {row['gone']:>6} {row['bytes_a_second']:>13} {row['cpu_ms_a_second']:>9}")
    if asked.json:
        asked.json.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
