"""Reading a file while it is fetched: how soon it begins, and how it compares to the download itself.

    python -m tests.bench.reading [--size 256MiB] [--holders 2] [--limit 0] [--directory DIR] [--runs 3]

Real nodes over loopback. In each run two fresh nodes fetch the same file from the holders, one after the
other: the first by a plain download, the second by ``GET /files/...`` of what it does not have, whose bytes
are hashed as they come and compared. ``--limit`` is what each holder sends, bytes a second; without it the
processor is the bound.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from blake3 import blake3

from tests.bench.fan_out import amount, make_file
from tests.nodes import HOST, Nodes, RunningNode
from tests.waiting import wait_for

BLOCK = 1024 * 1024


def download(node: RunningNode) -> float:
    """Seconds from the request until the file is complete in the node's library."""
    began = time.monotonic()
    ended = node.fetch(name="big.bin", timeout=600)
    if ended["state"] != "complete":
        raise RuntimeError(f"the download: {ended['error']}")
    return time.monotonic() - began


def read(node: RunningNode) -> tuple[float, float, str]:
    """Seconds to the first byte and to the last, and the digest of all of them."""
    connection = http.client.HTTPConnection(HOST, node.config["port"], timeout=600)
    began = time.monotonic()
    connection.request("GET", "/files/big.bin")
    response = connection.getresponse()
    digest = blake3(response.read(1))
    first = time.monotonic() - began
    while chunk := response.read(BLOCK):
        digest.update(chunk)
    last = time.monotonic() - began
    connection.close()
    return first, last, digest.hexdigest()


def once(place: Path, size: int, holders: int, limit: int) -> dict[str, float]:
    nodes = Nodes(place)
    try:
        seeds: list[RunningNode] = []
        for number in range(holders):
            target = place / f"holder{number}" / "files" / "big.bin"
            target.parent.mkdir(parents=True)
            if number:
                target.write_bytes((place / "holder0/files/big.bin").read_bytes())
            else:
                make_file(target, size)
            seeds.append(nodes.start(f"holder{number}", *seeds[:1], upload_limit=limit).ready())
        wanted = blake3((place / "holder0/files/big.bin").read_bytes()).hexdigest()

        def taker(name: str) -> RunningNode:
            node = nodes.start(name, seeds[0]).ready()
            wait_for(
                lambda: (
                    sum(
                        holder["online"]
                        for row in node.get("/api/v1/files?name=big.bin")["files"]
                        for holder in row["holders"]
                    )
                    == holders
                ),
                "it knows the file and its holders",
            )
            return node

        node = taker("downloads")
        plain = download(node)
        # A holder more would make the second one faster.
        node.terminate()
        first, last, digest = read(taker("reads"))
        if digest != wanted:
            raise RuntimeError("what was read is not the file")
        return {
            "first_byte_s": round(first, 3),
            "read_mb_per_s": round(size / last / 1e6, 1),
            "download_mb_per_s": round(size / plain / 1e6, 1),
            "of_download": round(plain / last, 3),
        }
    finally:
        nodes.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=amount, default=256 * 2**20)
    parser.add_argument("--holders", type=int, default=2)
    parser.add_argument("--limit", type=amount, default=0, help="bytes a second that each holder sends")
    parser.add_argument("--directory", type=Path, help="on the disk to measure; by default in /tmp")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    say: Callable[[str], None] = (
        (lambda line: None) if options.json else (lambda line: print(line, flush=True))
    )
    results = []
    for run in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="minga-reading-", dir=options.directory) as place:
            results.append(once(Path(place), int(options.size), options.holders, int(options.limit)))
        say(f"run {run + 1}: {json.dumps(results[-1])}")
    answer = {key: statistics.median(one[key] for one in results) for key in results[0]}
    print(json.dumps(answer, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
