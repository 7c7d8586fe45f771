"""Plays whole swarms in simulated time with the node's own decisions: how close do they get to the bound?

    python -m tests.bench.simulator                      # the table of docs/performance.md
    python -m tests.bench.simulator --peers 64 --pieces 1024 --json

What is modelled says :mod:`tests.bench.simulation`. Ratios are to the bound: the pieces, one after the other,
at the usual rate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from minga_node.uploads.server import SLOTS
from tests.bench.simulation import PIECE_SECONDS, Simulation

CASES: dict[str, dict[str, Any]] = {
    "4 peers, 512 pieces": {"peers": 4, "pieces": 512},
    "8 peers, 512 pieces": {"peers": 8, "pieces": 512},
    "16 peers, 128 pieces": {"peers": 16, "pieces": 128},
    "16 peers, 512 pieces": {"peers": 16, "pieces": 512},
    "16 peers, 1024 pieces": {"peers": 16, "pieces": 1024},
    "16 peers, 1024 pieces of half the size": {
        "peers": 16,
        "pieces": 1024,
        "piece_seconds": PIECE_SECONDS / 2,
    },
    "64 peers, 512 pieces": {"peers": 64, "pieces": 512},
    "256 peers, 512 pieces": {"peers": 256, "pieces": 512},
    "1000 peers, 512 pieces": {"peers": 1000, "pieces": 512},
    "16 peers, a quarter at a quarter of the rate": {"peers": 16, "pieces": 512, "slow": 0.25},
    "16 peers, 4 killed at half time": {"peers": 16, "pieces": 512, "kill": 4},
    "64 peers, 16 killed at half time": {"peers": 64, "pieces": 512, "kill": 16},
    "16 peers, one second apart": {"peers": 16, "pieces": 512, "stagger": 1.0},
    "16 peers, 2 seeds": {"peers": 16, "pieces": 512, "seeds": 2},
}


def play(name: str, options: dict[str, Any], runs: int) -> dict[str, object]:
    last, median, copies, duplicates = [], [], [], []
    for seed in range(runs):
        simulation = Simulation(**options, seed=seed + 1)
        simulation.run()
        ratios = simulation.fast_ratios() if options.get("slow") else simulation.ratios()
        last.append(max(ratios))
        median.append(statistics.median(ratios))
        copies.append(simulation.copies())
        duplicates.append(simulation.duplicates / (options["pieces"] * options["peers"]))
    return {
        "case": name,
        "median_ratio": round(statistics.median(median), 3),
        "last_ratio": round(statistics.median(last), 3),
        "seed_copies": round(statistics.median(copies), 2),
        "duplicates": round(statistics.median(duplicates), 4),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peers", type=int)
    parser.add_argument("--pieces", type=int, default=512)
    parser.add_argument("--slow", type=float, default=0.0, help="share of the peers at a quarter of the rate")
    parser.add_argument("--kill", type=int, default=0, help="peers killed at half time")
    parser.add_argument("--stagger", type=float, default=0.0, help="seconds between the starts of peers")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--piece-seconds", type=float, default=PIECE_SECONDS, help="for one on a free link")
    parser.add_argument("--slots", type=int, default=SLOTS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--most", type=int, default=1000, help="leave out bigger cases of the table")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.peers:
        keys = ("peers", "pieces", "slow", "kill", "stagger", "seeds", "slots", "piece_seconds")
        one = {key: getattr(options, key) for key in keys}
        cases = {f"{options.peers} peers, {options.pieces} pieces": one}
    else:
        cases = {name: case for name, case in CASES.items() if case["peers"] <= options.most}
    results = []
    for name, case in cases.items():
        result = play(name, case, options.runs if case["peers"] < 256 else 1)
        results.append(result)
        if not options.json:
            print(
                f"{name:48} median {result['median_ratio']:.3f}  last {result['last_ratio']:.3f}"
                f"  from the seed {result['seed_copies']:.2f}  duplicates {result['duplicates']:.2%}",
                flush=True,
            )
    if options.json:
        print(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
