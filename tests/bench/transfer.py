"""One node to another over loopback, without shaping: a big file against raw sockets, and many small files.

    python -m tests.bench.transfer [--size 1GiB] [--files 10000] [--tls] [--directory DIR] [--runs 3] [--json]

Two real nodes, each in a process of its own. The raw transfer of the same bytes, in the same run, is
``sendfile`` on one side and ``recv_into`` a mapped file with BLAKE3 over each megabyte on the other, over
two connections. With --tls the nodes meet by mutual TLS; the raw transfer goes without all the same.
"""

from __future__ import annotations

import argparse
import json
import mmap
import multiprocessing
import os
import resource
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from blake3 import blake3

from tests.bench.fan_out import amount, make_file
from tests.support.authority import Authority

CHUNK = 2**20
SMALL = 10 * 1024
DEADLINE = 300.0


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident() -> int:
    """Memory of this process that is not a file's, MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) // 1024
    return 0


def raw_sender(path: str, size: int, pipe: Connection) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    pipe.send(listener.getsockname()[1])

    def send(sock: socket.socket, start: int, end: int) -> None:
        with open(path, "rb") as file, sock:
            while start < end:
                start += os.sendfile(sock.fileno(), file.fileno(), start, end - start)

    before = cpu()
    threads = []
    for part in range(2):
        sock, _ = listener.accept()
        threads.append(threading.Thread(target=send, args=(sock, part * size // 2, (part + 1) * size // 2)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    pipe.send(cpu() - before)


def raw(source: Path, directory: Path, size: int) -> dict[str, float]:
    """Seconds, and CPU seconds of both sides."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=raw_sender, args=(str(source), size, theirs))
    process.start()
    port = ours.recv()
    target = directory / "raw"
    with target.open("w+b") as file:
        os.posix_fallocate(file.fileno(), 0, size)
        with mmap.mmap(file.fileno(), size) as mapped:
            view = memoryview(mapped)

            def receive(sock: socket.socket, start: int, end: int) -> None:
                with sock:
                    while start < end:
                        stop = min(start + CHUNK, end)
                        begin = start
                        while start < stop:
                            start += sock.recv_into(view[start:stop])
                        blake3(view[begin:stop]).digest()

            before, began = cpu(), time.monotonic()
            threads = []
            for part in range(2):
                sock = socket.create_connection(("127.0.0.1", port))
                bounds = part * size // 2, (part + 1) * size // 2
                threads.append(threading.Thread(target=receive, args=(sock, *bounds)))
                threads[-1].start()
            for thread in threads:
                thread.join()
            seconds, used = time.monotonic() - began, cpu() - before
            view.release()
    target.unlink()
    sent = float(ours.recv())
    process.join()
    return {"seconds": seconds, "cpu_send": sent, "cpu_receive": used}


def run_node(directory: str, seed_peer: str, certificates: Path | None, pipe: Connection) -> None:
    """A node that does what it is told through the pipe, until it is told to end."""
    from minga_node.app import Node
    from minga_node.config import Config
    from minga_node.downloads import SmallFile
    from minga_node.index.search.query import Query

    node = Node(
        Config(
            ip="127.0.0.1",
            port=0,
            grpc_port=0,
            directory=Path(directory),
            seed_peer=seed_peer,
            name=Path(directory).name,
            quiet_seconds=0.1,
            rescan_seconds=3600,
            peer_tls_directory=certificates,
        )
    )
    node.start()
    pipe.send(node.self_peer().rest_url)

    def known(count: int) -> list[Any]:
        """Rows of the index, once there are so many."""
        deadline = time.monotonic() + DEADLINE
        while True:
            rows: list[Any] = []
            cursor = None
            while True:
                page = node.index.search(Query(limit=1000, cursor=cursor))
                rows += page.rows
                cursor = page.next_cursor
                if cursor is None:
                    break
            if len(rows) >= count:
                return rows
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {len(rows)} of {count} files are known")
            time.sleep(0.2)

    for order, argument in iter(pipe.recv, ("end", None)):
        before = cpu()
        if order == "know":
            pipe.send(len(known(argument)))
        elif order == "usage":
            pipe.send((cpu(), resident()))
        elif order == "one":
            row = next(row for row in known(1) if row.name == argument)
            began = time.monotonic()
            done = node.downloads.wait(node.downloads.start(row.id, row.name).id, DEADLINE)
            pipe.send((time.monotonic() - began, cpu() - before, resident(), str(done.state)))
        elif order == "many":
            files = [
                SmallFile(row.id, row.name, row.size)
                for row in known(argument)
                if row.name.startswith("many/")
            ]
            before = cpu()
            began = time.monotonic()
            done = node.downloads.wait(node.downloads.start_many(files, "many/").id, DEADLINE)
            pipe.send((time.monotonic() - began, cpu() - before, resident(), str(done.state)))
    node.stop()
    pipe.send("ended")


class Process:
    def __init__(self, directory: Path, seed_peer: str, certificates: Path | None = None) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(
            target=run_node, args=(str(directory), seed_peer, certificates, theirs)
        )
        self._process.start()
        self.url = self._answer()

    def _answer(self) -> Any:
        if not self._pipe.poll(DEADLINE):
            raise RuntimeError("a node does not answer")
        return self._pipe.recv()

    def ask(self, order: str, argument: Any = None) -> Any:
        self._pipe.send((order, argument))
        return self._answer()

    def end(self) -> None:
        self._pipe.send(("end", None))
        self._process.join(20)
        if self._process.is_alive():
            self._process.kill()


def once(place: Path, size: int, files: int, *, tls: bool = False) -> dict[str, float]:
    giver_directory, taker_directory = place / "giver", place / "taker"
    taker_directory.mkdir()
    (giver_directory / "many").mkdir(parents=True)
    source = giver_directory / "big.bin"
    make_file(source, size)
    for number in range(files):
        (giver_directory / "many" / f"file{number:05}").write_bytes(os.urandom(SMALL))
    os.sync()
    base = raw(source, place, size)
    certificates = Authority().directory(place / "tls", "minga.peers.minga") if tls else None
    giver = Process(giver_directory, "", certificates)
    taker = None
    try:
        giver.ask("know", files + 1)
        taker = Process(taker_directory, giver.url, certificates)
        taker.ask("know", files + 1)
        result: dict[str, float] = {}
        before, _ = giver.ask("usage")
        seconds, used, memory, state = taker.ask("one", "big.bin")
        after, giver_memory = giver.ask("usage")
        if state != "complete":
            raise RuntimeError(f"the big file: {state}")
        gib = size / 2**30
        result |= {
            "gb_per_s": round(size / seconds / 1e9, 3),
            "raw_gb_per_s": round(size / base["seconds"] / 1e9, 3),
            "of_raw": round(base["seconds"] / seconds, 3),
            "giver_cpu_s_per_gib": round((after - before) / gib, 3),
            "taker_cpu_s_per_gib": round(used / gib, 3),
            "raw_cpu_s_per_gib": round((base["cpu_send"] + base["cpu_receive"]) / gib, 3),
            "giver_anonymous_mib": giver_memory,
            "taker_anonymous_mib": memory,
        }
        if files:
            before = after
            seconds, used, memory, state = taker.ask("many", files + 1)
            after, _ = giver.ask("usage")
            if state != "complete":
                raise RuntimeError(f"the small files: {state}")
            result |= {
                "files_per_s": round(files / seconds, 1),
                "giver_cpu_ms_per_file": round((after - before) / files * 1e3, 3),
                "taker_cpu_ms_per_file": round(used / files * 1e3, 3),
            }
        return result
    finally:
        for process in (taker, giver):
            if process is not None:
                process.end()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=amount, default=2**30)
    parser.add_argument("--files", type=int, default=10_000, help=f"of {SMALL // 1024} KiB each")
    parser.add_argument("--tls", action="store_true", help="let the nodes meet by mutual TLS")
    parser.add_argument("--directory", type=Path, help="on the disk to measure; by default in /tmp")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    say: Callable[[str], None] = (
        (lambda line: None) if options.json else (lambda line: print(line, flush=True))
    )
    results = []
    for run in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="minga-transfer-", dir=options.directory) as place:
            results.append(once(Path(place), int(options.size), options.files, tls=options.tls))
        say(f"run {run + 1}: {json.dumps(results[-1])}")
    answer = {key: statistics.median(one[key] for one in results) for key in results[0]}
    print(json.dumps(answer, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
