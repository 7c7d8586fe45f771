"""A simulation of the gossip: the real digests, comparison and view, with a simulated clock and network.

    python -m tests.bench.gossip [--json FILE]

For each size: one node publishes; rounds until every node knows, with regular rounds alone and with news
pushed at once, and messages a node. Nodes take turns within a round, as they do when each has its own clock.
Then the bytes of a round with nothing new, of real messages as gRPC sends them.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

from minga_node.membership.rumours import how_many
from minga_node.membership.scuttlebutt import Digest, compare, need
from minga_node.pclient.messages import digest_to_message
from minga_protos.v1 import index_pb2

EPOCH = 1_700_000_000_000_000
FANOUT = 2


def rounds_until_all_know(size: int, dice: random.Random, *, eager: bool) -> tuple[int, float]:
    """Rounds, and messages that a node sent because of the news.

    Only the digest that has news is followed: the others are the same at every node, and a comparison of
    equal digests finds nothing.
    """
    log = "node-0"
    held = [Digest(log, EPOCH, 1, 0)] * size
    held[0] = Digest(log, EPOCH, 1, 1)
    messages = 0
    if eager:
        # Rumours: who hears of it first tells some others at once, within a fraction of a round.
        told, fresh = {0}, [0]
        while fresh:
            heard: list[int] = []
            for node in fresh:
                for other in dice.sample(range(size), how_many(size - 1, own=node == 0)):
                    messages += 1
                    if other not in told:
                        told.add(other)
                        heard.append(other)
            fresh = heard
        for node in told:
            held[node] = held[0]
    rounds = 0
    know = sum(digest.version for digest in held)
    while know < size:
        rounds += 1
        for node in range(size):
            for _ in range(FANOUT):
                other = dice.randrange(size)
                ours, theirs = held[other], held[node]
                if ours.version == theirs.version:
                    continue
                found = compare({log: ours}, {log: theirs})
                messages += 1
                if found.needs:
                    held[node] = ours
                elif found.wanted and need(theirs, found.wanted[0]) is not None:
                    held[other] = theirs
                    messages += 1
                know += 1
    return rounds, messages / size


def bytes_of_a_round(size: int, files: int) -> tuple[int, int]:
    """Request and answer when nothing is new but heartbeats; ``files`` a node only shows in the versions."""
    now = int(time.time() * 1000)
    mine = {
        f"peer-{n}": Digest(f"peer-{n}", EPOCH, now - 900, files, files, now - 10**6) for n in range(size)
    }
    # Half of the heartbeats are newer at the other one.
    theirs = {
        id_: Digest(id_, EPOCH, now - dice * 1800, files, files, now - 10**6)
        for dice, id_ in enumerate(mine, 0)
        for dice in [dice % 2]
    }
    request = index_pb2.ReconcileRequest(network="minga", digests=map(digest_to_message, theirs.values()))
    found = compare(mine, theirs)
    assert not found.needs
    assert not found.wanted
    answer = index_pb2.ReconcileResponse(id="peer-0", digests=map(digest_to_message, found.newer))
    return request.ByteSize(), answer.ByteSize()


def cost_of_a_comparison(size: int) -> float:
    """Milliseconds of the processor to compare two full sets of digests."""
    logs = {f"peer-{n}": Digest(f"peer-{n}", EPOCH, n, 5, 5, 1) for n in range(size)}
    began = time.thread_time()
    compare(logs, dict(logs))
    return (time.thread_time() - began) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    dice = random.Random(7)
    result: list[dict[str, float]] = []
    print(f"{'nodes':>7} {'rounds':>7} {'messages':>9} {'+pushed':>8} {'messages':>9} {'compare ms':>11}")
    for size in (16, 100, 1_000, 10_000):
        runs = 20 if size <= 1_000 else 3
        plain = [rounds_until_all_know(size, dice, eager=False) for _ in range(runs)]
        pushed = [rounds_until_all_know(size, dice, eager=True) for _ in range(runs)]
        row = {
            "nodes": size,
            "rounds": max(rounds for rounds, _ in plain),
            "messages": round(sum(count for _, count in plain) / runs, 2),
            "rounds_pushed": max(rounds for rounds, _ in pushed),
            "messages_pushed": round(sum(count for _, count in pushed) / runs, 2),
            "compare_ms": round(cost_of_a_comparison(size), 1),
        }
        result.append(row)
        widths = (7, 7, 9, 8, 9, 11)
        print(*(f"{value:>{width}}" for value, width in zip(row.values(), widths, strict=True)))
    print(f"\n{'nodes':>7} {'files each':>11} {'request B':>10} {'answer B':>9}")
    sizes = []
    for size in (16, 128, 1_000, 10_000):
        for files in (10, 100_000):
            request, answer = bytes_of_a_round(size, files)
            sizes.append({"nodes": size, "files": files, "request": request, "answer": answer})
            print(f"{size:>7} {files:>11} {request:>10} {answer:>9}")
    if asked.json:
        asked.json.write_text(json.dumps({"spread": result, "bytes": sizes}))


if __name__ == "__main__":
    main()
