"""Fetches thousands of tiny files, and says what that leaves: threads, descriptors, memory.

    python -m tests.bench.many_downloads [COUNT]

Two nodes without REST and index in one process; each download is one of its own, as by ``POST /downloads``.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

from minga_node.downloads import DownloadState
from tests.support.swarm_peer import SwarmPeer

COUNT = 10_000
AHEAD = 50
"""Downloads that are asked for and have not ended, at most."""
STEPS = 10


def resident() -> float:
    """MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def line(done: int, began: float) -> str:
    gc.collect()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return (
        f"{done:7} downloads {time.monotonic() - began:7.1f} s {threading.active_count():4} threads "
        f"{descriptors:5} descriptors {resident():7.1f} MiB"
    )


def fetch(giver: SwarmPeer, taker: SwarmPeer, count: int) -> None:
    began, waiting = time.monotonic(), deque[str]()
    for number in range(1, count + 1):
        (giver.directory / f"{number}").write_bytes(b"%d" % number * 20)
        waiting.append(taker.downloads.start(giver.share(f"{number}").id, f"{number}").id)
        while len(waiting) > AHEAD or (number == count and waiting):
            ended = taker.downloads.wait(waiting.popleft(), 120)
            assert ended.state is DownloadState.COMPLETE, ended
        if number % max(1, count // STEPS) == 0:
            print(line(number, began), flush=True)
    time.sleep(10)
    print(line(count, began), "after ten seconds' rest", flush=True)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory() as folder:
        giver = SwarmPeer("giver", Path(folder) / "giver").start()
        taker = SwarmPeer("taker", Path(folder) / "taker", others=[(giver.peer, True)]).start()
        try:
            fetch(giver, taker, count)
        finally:
            taker.stop()
            giver.stop()


if __name__ == "__main__":
    main()
