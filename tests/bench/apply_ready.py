"""How long from `kubectl apply` to Ready, with all images on the nodes.

python -m tests.bench.apply_ready [--runs 3] [--shape 1+3 --shape 3+20] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import uuid
from pathlib import Path
from typing import Any

from tests.cluster import Cluster
from tests.e2e.install import install
from tests.e2e.networks import Network


def measure(cluster: Cluster, seeds: int, peers: int) -> dict[str, float]:
    """Seconds from the apply's start to each condition, of one new network in its own namespace."""
    namespace = f"bench-{uuid.uuid4().hex[:6]}"
    cluster.kubectl("create", "namespace", namespace)
    network = Network(cluster, namespace)
    found: dict[str, float] = {}
    try:
        began = time.monotonic()
        network.apply({"seeds": {"replicas": seeds}, "peers": {"replicas": peers}})
        while len(found) < 4:
            conditions = network.get().get("status", {}).get("conditions", ())
            for item in conditions:
                if item["status"] == "True" and item["type"] in {
                    "SeedsReady",
                    "PeersReady",
                    "BrokerReady",
                    "Ready",
                }:
                    found.setdefault(item["type"], time.monotonic() - began)
            if time.monotonic() - began > 900:
                raise SystemExit(network.story())
            time.sleep(0.2)
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=true", timeout=300)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shape", action="append", help="SEEDS+PEERS (1+3)")
    parser.add_argument("--name", default="default", help="the test cluster's name")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cluster = Cluster.ensure(name=arguments.name)
    install(cluster)
    rows: list[dict[str, Any]] = []
    print(f"{'seeds+peers':>12} {'run':>4} {'broker':>8} {'seeds':>8} {'peers':>8} {'Ready':>8}  (seconds)")
    for shape in arguments.shape or ["1+3"]:
        seeds, peers = map(int, shape.split("+"))
        for run in range(arguments.runs):
            found = measure(cluster, seeds, peers)
            rows.append({"seeds": seeds, "peers": peers, "run": run, **found})
            values = [found[kind] for kind in ("BrokerReady", "SeedsReady", "PeersReady", "Ready")]
            print(f"{shape:>12} {run:>4} " + " ".join(f"{value:8.1f}" for value in values), flush=True)
        median = statistics.median(
            row["Ready"] for row in rows if (row["seeds"], row["peers"]) == (seeds, peers)
        )
        print(f"{shape:>12} median Ready {median:.1f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
