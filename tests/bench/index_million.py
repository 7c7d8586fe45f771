"""An index of many entries: ingest, size, memory, searches, and an empty node that catches up over gRPC.

``python -m tests.bench.index_million [--entries 1000000] [--logs 100]`` prints a table and a line of JSON.
The names are made of syllables; one entry of twenty is a copy of a file that an earlier log has; every log is
signed by a writer of its own. While entries come in, a second thread searches, so that it shows whether
readers wait for them.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from minga_node.index import Delta, Entry, Index, Query
from minga_node.index.log.signing import MASK, log_statement, set_hash
from tests.support.index_node import IndexNode
from tests.support.writer import Writer

SYLLABLES = [a + b + c for a in "bcdfglmnprstvz" for b in "aeiou" for c in ("", "n", "r", "s", "l")]
KINDS = (
    ("bin", "application/octet-stream"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("csv", "text/csv"),
)
SORTS = ("name", "-name", "size", "-size", "modified", "-modified", "holders", "-holders")
CHUNK = 10_000
COPY = 20
"""One entry of so many is a copy."""
EPOCH = 1_700_000_000_000_000
NETWORK = "bench"


def word(dice: random.Random) -> str:
    return "".join(dice.choices(SYLLABLES, k=dice.randint(2, 4)))


def deltas(entries: int, logs: int, dice: random.Random, writers: list[Writer]) -> Iterator[Delta]:
    words = [word(dice) for _ in range(30_000)]
    each = entries // logs
    copied: list[Entry] = []
    for log in range(logs):
        earlier, taken = list(copied), 0
        dice.shuffle(earlier)
        writer, hashed = writers[log], 0
        for start in range(0, each, CHUNK):
            stop = min(start + CHUNK, each)
            made = []
            for version in range(start + 1, stop + 1):
                if version % COPY == 0 and taken < len(earlier):
                    made.append(earlier[taken]._replace(version=version))
                    taken += 1
                    continue
                extension, media = dice.choice(KINDS)
                folder, first, second = dice.choice(words), dice.choice(words), dice.choice(words)
                name = f"{folder}/{first} {second}-{log}-{version}.{extension}"
                size = int(dice.lognormvariate(13, 3))
                made.append(Entry(version, name, dice.randbytes(32), size, media, dice.getrandbits(40), True))
                if version % (COPY * 10) == 1:
                    copied.append(made[-1])
            hashed = (hashed + set_hash(made)) & MASK
            said = log_statement(NETWORK, writer.name, EPOCH, stop, hashed)
            signature = writer.signer.key + writer.signer.sign(said)
            yield Delta(writer.name, EPOCH, start, stop, False, 0, made, signature)


def memory() -> float:
    """Resident MiB of this process now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def searches(index: Index, dice: random.Random, count: int) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of first pages by kind: by the clock, and of the processor."""

    def some() -> str:
        return "".join(dice.choices(SYLLABLES, k=2))

    kinds: dict[str, Callable[[], Query]] = {
        "substring": lambda: Query(some()[1:5], limit=50),
        "two words": lambda: Query(f"{some()[:4]} {some()[:3]}", limit=50),
        "one or two letters": lambda: Query(some()[: dice.randint(1, 2)], limit=50),
        "very common": lambda: Query(dice.choice([".bin", "an", "ar", "-1", "/", ".p", "s"]), limit=50),
        "nowhere": lambda: Query(dice.choice(["qq", "xkx", "w", "kkkk"]), limit=50),
        "prefix": lambda: Query(some()[:4], prefix=True, limit=50),
        "glob": lambda: Query(f"{some()}*.pdf", limit=50),
        "by size": lambda: Query(some()[1:4], sort="-size", limit=50),
        "by time": lambda: Query(some()[:2], sort="modified", limit=50),
        "by holders": lambda: Query(some(), sort="-holders", limit=50),
        "by name": lambda: Query(some()[:3], sort="-name", limit=50),
        "all, by each sort": lambda: Query(
            sort=dice.choice(SORTS),
            limit=50,
        ),
        "size range": lambda: Query(some()[:3], min_size=10**6, max_size=2 * 10**6, limit=50),
        "type": lambda: Query(some()[:3], media_type="image/*", sort="name", limit=50),
        "size range alone": lambda: Query(min_size=10**6, max_size=10**6 + dice.randrange(10**5), limit=50),
        "type alone": lambda: Query(media_type=dice.choice(KINDS)[1], sort="-modified", limit=50),
        "holder alone": lambda: Query(holder=f"peer-{dice.randrange(100):03d}", sort="-size", limit=50),
        "min holders": lambda: Query(some()[:3], min_holders=dice.randint(2, 4), limit=50),
        "min holders alone": lambda: Query(min_holders=dice.randint(2, 4), sort="-size", limit=50),
        "available": lambda: Query(some()[:3], available=True, limit=50),
        "every filter": lambda: Query(
            some()[1:3],
            min_size=10**4,
            max_size=10**8,
            media_type="application/*",
            min_holders=1,
            holder=f"peer-{dice.randrange(100):03d}",
            sort="modified",
            limit=50,
        ),
        "holder": lambda: Query(some()[:3], holder=f"peer-{dice.randrange(100):03d}", limit=50),
        "in a small grant": lambda: Query(some()[:3], under=(some(),), limit=50),
        "all of a small grant": lambda: Query(under=(some(),), sort=dice.choice(SORTS), limit=50),
        "in a large grant": lambda: Query(some()[:3], under=(some()[0],), limit=50),
        "all of a large grant": lambda: Query(under=(some()[0],), sort=dice.choice(SORTS), limit=50),
        "in 16 grants": lambda: Query(some()[:3], under=tuple(some() for _ in range(16)), limit=50),
    }
    taken: dict[str, list[tuple[float, float]]] = {}
    for kind, make in kinds.items():
        times = taken.setdefault(kind, [])
        for _ in range(count):
            query = make()
            began = time.perf_counter(), time.thread_time()
            index.search(query)
            wall, processor = time.perf_counter() - began[0], time.thread_time() - began[1]
            times.append((wall * 1000, processor * 1000))
    return taken


def summary(times: list[tuple[float, float]]) -> dict[str, float]:
    def part(which: int, share: float) -> float:
        return round(sorted(each[which] for each in times)[min(len(times) - 1, int(len(times) * share))], 2)

    return {"p50": part(0, 0.5), "p99": part(0, 0.99), "cpu_p50": part(1, 0.5), "cpu_p99": part(1, 0.99)}


class Reader:
    """Searches while entries come in."""

    def __init__(self, index: Index) -> None:
        self._index, self._ended = index, threading.Event()
        self.times: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        dice = random.Random(5)
        while not self._ended.wait(0.05):
            began = time.perf_counter(), time.thread_time()
            self._index.search(Query("".join(dice.choices(SYLLABLES, k=2)), prefix=True, limit=50))
            self.times.append((
                (time.perf_counter() - began[0]) * 1000,
                (time.thread_time() - began[1]) * 1000,
            ))

    def stop(self) -> list[tuple[float, float]]:
        self._ended.set()
        self._thread.join()
        return self.times


def lacks_indices(node: IndexNode) -> bool:
    """Whether there are rows that the full-text or the sorted indices do not have yet."""
    behind = node.store.rows(
        "SELECT (SELECT min(file, ordered) FROM names_until) < (SELECT max(file) FROM files)"
    )[0][0]
    return bool(behind)


def catch_up(directory: Path, url: str, total: int) -> None:
    """In a process of its own: an empty node joins and gets everything."""
    node = IndexNode(directory, "empty", [url], network=NETWORK)
    began = time.perf_counter()
    node.start()
    count = 0
    while count < total:
        time.sleep(0.1)
        count = sum(state.version for state in node.index.logs.states().values())
        if time.perf_counter() - began > 600:
            raise SystemExit(f"only {count} of {total} after ten minutes")
    seconds, processor = time.perf_counter() - began, time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    while lacks_indices(node):
        time.sleep(0.1)
    print(
        json.dumps({
            "seconds": seconds,
            "processor": processor,
            "indexed": time.perf_counter() - began,
            "peak_mib": peak,
        })
    )
    node.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--logs", type=int, default=100)
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--catch-up", nargs=3, metavar=("DIRECTORY", "URL", "TOTAL"))
    asked = parser.parse_args()
    if asked.catch_up:
        catch_up(Path(asked.catch_up[0]), asked.catch_up[1], int(asked.catch_up[2]))
        return
    dice = random.Random(4)
    result: dict[str, object] = {"entries": asked.entries, "logs": asked.logs}
    with tempfile.TemporaryDirectory() as folder:
        node = IndexNode(Path(folder), "full", network=NETWORK)
        reader = Reader(node.index)
        spent = processor = 0.0
        writers = [Writer(f"peer-{log:03d}", EPOCH, NETWORK) for log in range(asked.logs)]
        for delta in deltas(asked.entries, asked.logs, dice, writers):
            began, used = time.perf_counter(), time.thread_time()
            node.index.apply(delta)
            spent, processor = spent + time.perf_counter() - began, processor + time.thread_time() - used
        result["prefix_search_meanwhile_ms"] = summary(reader.stop())
        result["ingest_per_second"] = round(asked.entries / spent)
        result["ingest_per_cpu_second"] = round(asked.entries / processor)
        began = time.perf_counter()
        while lacks_indices(node):
            time.sleep(0.05)
        result["full_text_seconds_after"] = round(time.perf_counter() - began, 1)
        disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        result["disk_bytes_per_entry"] = round(disk / asked.entries)
        result["resident_mib"] = round(memory())
        taken = searches(node.index, dice, asked.searches)
        result["search_ms"] = {kind: summary(times) for kind, times in taken.items()}
        everything = summary([each for times in taken.values() for each in times])
        result["search_all_p99_ms"], result["search_all_p99_cpu_ms"] = (
            everything["p99"],
            everything["cpu_p99"],
        )
        serving = time.process_time()
        node.start()
        for writer in writers:
            node.membership.hear_of(writer.record(rest_port=9, grpc_port=9, data_port=9))
        with tempfile.TemporaryDirectory() as other:
            done = subprocess.run(
                [sys.executable, "-m", "tests.bench.index_million", "--catch-up", other, node.url,
                 str(asked.entries // asked.logs * asked.logs)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
        caught = json.loads(done.stdout)
        result["serving_per_cpu_second"] = round(asked.entries / (time.process_time() - serving))
        result["catch_up_per_second"] = round(asked.entries / caught["seconds"])
        result["catch_up_per_cpu_second"] = round(asked.entries / caught["processor"])
        result["catch_up_seconds"] = round(caught["seconds"], 1)
        result["catch_up_full_text_seconds"] = round(caught["indexed"], 1)
        result["catch_up_peak_mib"] = round(caught["peak_mib"])
        node.stop()
    for key, value in result.items():
        if key == "search_ms" and isinstance(value, dict):
            heads = ("p50 ms", "p99 ms", "p50 cpu", "p99 cpu")
            print(f"{'first page of':<28}", *(f"{head:>9}" for head in heads))
            for kind, numbers in value.items():
                print(f"  {kind:<26}", *(f"{number:>9}" for number in numbers.values()))
        else:
            print(f"{key:<28} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
