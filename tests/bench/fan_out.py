"""One file from one node to many, over shaped links: how close do they get to size ÷ bandwidth?

    tests/bench/fanout --peers 16 --rate 100mbit --size 128MiB [--uneven] [--kill K] [--apart S]
                       [--rival libtorrent|aria2] [--runs 3] [--json]

Real ``minga-node`` processes, one in each network namespace (see :mod:`tests.bench.netns`); every copy is
hashed at the end. Directories are in memory where there is room, for else all peers would share the one disk.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minga_node.manifest import hash_file
from tests.bench.ballast import Ballast
from tests.bench.fan_out_nodes import Node, cpu_seconds
from tests.bench.fan_out_rivals import RIVALS
from tests.bench.netns import Star, missing

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def amount(text: str) -> float:
    """``128MiB``, ``100mbit``: bytes or bits, as it says."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]i?|)(b|bit|)", text.strip().lower())
    if not match:
        raise argparse.ArgumentTypeError(f"not an amount: {text!r}")
    return float(match.group(1)) * UNITS[match.group(2)]


@dataclass(frozen=True)
class Case:
    peers: int
    rate: float
    """Bits a second of a usual link."""
    size: int
    uneven: bool
    kill: int
    apart: float

    @property
    def bound(self) -> float:
        return self.size * 8 / self.rate

    def rates(self) -> list[float]:
        """The giver's link first. With ``uneven`` the first quarter of the peers has a quarter of the
        rate.
        """
        slow = self.peers // 4 if self.uneven else 0
        return [self.rate] + [self.rate / 4] * slow + [self.rate] * (self.peers - slow)


def summary(case: Case, seconds: Sequence[float]) -> dict[str, float]:
    """Of the peers' times, sorted; the usual peers' alone if some are slow."""
    ordered = sorted(seconds)
    return {
        "bound_s": round(case.bound, 3),
        "first_s": round(ordered[0], 3),
        "median_s": round(statistics.median(ordered), 3),
        "last_s": round(ordered[-1], 3),
        "first_ratio": round(ordered[0] / case.bound, 3),
        "median_ratio": round(statistics.median(ordered) / case.bound, 3),
        "last_ratio": round(ordered[-1] / case.bound, 3),
    }


def make_file(path: Path, size: int) -> None:
    """Bytes that no compression or deduplication makes smaller."""
    with path.open("wb") as out:
        left = size
        while left:
            left -= out.write(os.urandom(min(left, 4 * 2**20)))


def all_together(actions: Sequence[Callable[[], None]]) -> None:
    """Runs each in a thread; the first error is raised."""
    errors: list[BaseException] = []

    def guarded(action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(action,), daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def play(case: Case, star: Star, directory: Path, source: Path) -> dict[str, Any]:
    """The file from the first node to all others."""
    nodes = [Node(number, leaf, star, directory / f"node{number}") for number, leaf in enumerate(star.leaves)]
    ballast = Ballast(directory, case.size * case.peers)
    try:
        giver, takers = nodes[0], nodes[1:]
        giver.share(source)
        for node in nodes:
            node.start(giver)
        all_together([node.wait_ready for node in nodes])
        content_id = giver.wait_for_file(giver, source.name)
        all_together([lambda node=node: node.wait_for_file(giver, source.name) for node in takers])  # type: ignore[misc]
        ballast.release()
        before = cpu_seconds(nodes)
        start = time.monotonic()
        ends: dict[Node, float] = {}
        killed = takers[-case.kill :] if case.kill else []
        again = killed[: len(killed) // 2]
        resumed: dict[str, int] = {}

        def fetch(number: int, node: Node) -> None:
            due = start + number * case.apart
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            download = node.fetch(source.name, content_id)
            if node in killed:
                time.sleep(max(0.0, start + case.bound / 2 - time.monotonic()))
                resumed[node.name] = -node.verified(download)
                node.kill()
                if node not in again:
                    return
                time.sleep(2)
                node.start(giver)
                node.wait_ready()
                resumed[node.name] = node.verified(download)
            node.wait_complete(download)
            ends[node] = time.monotonic() - began

        all_together([lambda n=n, node=node: fetch(n, node) for n, node in enumerate(takers)])  # type: ignore[misc]
        after = cpu_seconds([node for node in nodes if node not in killed])
        details = {node.name: node.detail(content_id) for node in ends}
        wanted = hash_file(source).id
        for node in ends:
            copy = hash_file(node.directory / source.name).id
            if copy != wanted:
                raise RuntimeError(f"{node.name} has a copy that is not the file")
        usual = [node for node in ends if node.leaf.rate == case.rate and node not in again]
        gib = case.size * len(takers) / 2**30
        result: dict[str, Any] = summary(case, [ends[node] for node in usual])
        result["giver_copies"] = round(
            sum(detail["sources"].get(giver.name, 0) for detail in details.values()) / case.size, 2
        )
        result["duplicates"] = round(
            sum(detail["duplicate_bytes"] for detail in details.values()) / case.size / len(takers), 4
        )
        result["cpu_s_per_gib"] = round((after - before) / gib, 2)
        slow = [ends[node] for node in ends if node.leaf.rate < case.rate]
        if slow:
            result["slow_last_ratio"] = round(max(slow) / (case.bound * 4), 3)
        if again:
            result["restarted_last_s"] = round(max(ends[node] for node in again), 3)
            result["restarted_kept_bytes"] = {node.name: resumed[node.name] for node in again}
        return result
    finally:
        ballast.release()
        for node in nodes:
            node.kill()


def measure(case: Case, rival: str | None, runs: int, say: Callable[[str], None]) -> dict[str, Any]:
    results, rivals = [], []
    for run in range(runs):
        room = (
            Path("/dev/shm")
            if shutil.disk_usage("/dev/shm").free > case.size * (2 * case.peers + 3)
            else None
        )
        with tempfile.TemporaryDirectory(prefix="minga-fanout-", dir=room) as place:
            directory = Path(place)
            source = directory / "file.bin"
            make_file(source, case.size)
            with Star(case.rates()) as star:
                result = play(case, star, directory, source)
            results.append(result)
            say(f"run {run + 1}: minga {json.dumps(result)}")
            if rival:
                ballast = Ballast(directory, case.size * case.peers)
                with Star(case.rates()) as star:
                    seconds = RIVALS[rival](star, directory / "rival", source, ballast.release)
                rivals.append(summary(case, seconds))
                say(f"run {run + 1}: {rival} {json.dumps(rivals[-1])}")
    answer = dict(sorted(results, key=lambda one: one["last_ratio"])[len(results) // 2])
    answer["runs_last_ratio"] = [one["last_ratio"] for one in results]
    if rivals:
        other = dict(sorted(rivals, key=lambda one: one["last_ratio"])[len(rivals) // 2])
        answer["rival"] = {"name": rival, **other}
        answer["of_rival"] = round(
            statistics.median(
                one["last_s"] / two["last_s"] for one, two in zip(results, rivals, strict=True)
            ),
            3,
        )
    return answer


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests/bench/fanout", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=int, default=16)
    parser.add_argument("--rate", type=amount, default=100e6, help="of each link, both ways: 100mbit")
    parser.add_argument("--size", type=amount, default=128 * 2**20, help="of the file: 128MiB")
    parser.add_argument(
        "--uneven", action="store_true", help="a quarter of the links at a quarter of the rate"
    )
    parser.add_argument(
        "--kill", type=int, default=0, help="kill so many at half time, start half of them again"
    )
    parser.add_argument("--apart", type=float, default=0.0, help="seconds between the peers' starts")
    parser.add_argument("--rival", choices=sorted(RIVALS))
    parser.add_argument("--runs", type=int, default=3, help="the median is printed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    problem = missing()
    if problem:
        print(f"fanout: {problem}", file=sys.stderr)
        return 1
    case = Case(options.peers, options.rate, int(options.size), options.uneven, options.kill, options.apart)
    say: Callable[[str], None] = (
        (lambda line: None) if options.json else (lambda line: print(line, flush=True))
    )
    try:
        answer = measure(case, options.rival, options.runs, say)
    except KeyboardInterrupt:
        return 130
    print(json.dumps(answer, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
