"""What the operator itself costs: 200 networks from nothing, then reconciles that have nothing to do.

The networks' pods ask for a Kubernetes node that is not there and stay pending, so that what is measured is
the operator and not the machine's 1000 pods.

    python -m tests.bench.reconcile [--networks 200] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.cluster import Cluster
from tests.e2e.install import NAMESPACE, install
from tests.e2e.networks import Network

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
NOWHERE = {"nodeSelector": {"nowhere": "yes"}, "storage": {"ephemeral": True}}
SPEC = {
    "seeds": NOWHERE,
    "peers": NOWHERE | {"replicas": 1},
    "broker": {"managed": NOWHERE},
}


@contextmanager
def metrics_of(cluster: Cluster) -> Iterator[Callable[[], Samples]]:
    """Reads the operator's /metrics."""
    pods = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "pods", "-o", "json"))["items"]
    (name,) = [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    with Network(cluster, NAMESPACE).forward(name, 8080) as port:

        def read() -> Samples:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                text = answer.read().decode()
            return {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }

        yield read


def total(samples: Samples, name: str, **labels: str) -> float:
    return sum(
        value
        for (sample, found), value in samples.items()
        if sample == name and labels.items() <= dict(found).items()
    )


def difference(before: Samples, after: Samples, name: str, **labels: str) -> float:
    return total(after, name, **labels) - total(before, name, **labels)


def requests(before: Samples, after: Samples) -> float:
    """Requests to the API server, but for watches and the lease, which is read and put every two seconds."""
    name = "minga_operator_api_requests_total"
    lease = 2 * difference(before, after, name, verb="PUT")
    return difference(before, after, name) - difference(before, after, name, verb="WATCH") - lease


def quantile(before: Samples, after: Samples, result: str, share: float) -> float:
    """Upper bound (seconds) of the histogram's bucket that holds this share of reconciles."""
    name = "minga_operator_reconcile_duration_seconds_bucket"
    buckets = []
    for (sample, labels), value in after.items():
        found = dict(labels)
        if sample == name and found["result"] == result:
            buckets.append((float(found["le"]), value - before.get((sample, labels), 0.0)))
    buckets.sort()
    count = buckets[-1][1] if buckets else 0.0
    return next((bound for bound, seen in buckets if count and seen >= share * count), float("nan"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--name", default="default", help="the test cluster's name")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cluster = Cluster.ensure(name=arguments.name)
    install(cluster)
    namespace = f"bench-{int(time.time())}"
    cluster.kubectl("create", "namespace", namespace)
    items = [
        {
            "apiVersion": "minga.dev/v1alpha1",
            "kind": "P2PNetwork",
            "metadata": {"name": f"n{number}"},
            "spec": SPEC,
        }
        for number in range(arguments.networks)
    ]
    rows: dict[str, Any] = {"networks": arguments.networks}
    with metrics_of(cluster) as read:
        before = read()
        began = time.monotonic()
        body = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        cluster.kubectl("-n", namespace, "create", "-f", "-", input=body, timeout=600)
        rows["created_seconds"] = time.monotonic() - began
        quiet, last = time.monotonic(), -1.0
        while time.monotonic() - quiet < 15:
            samples = read()
            writes = total(samples, "minga_operator_writes_total")
            if writes != last:
                quiet, last = time.monotonic(), writes
            time.sleep(1)
        rows["settled_seconds"] = quiet - began
        settled = read()
        rows["writes"] = difference(before, settled, "minga_operator_writes_total")
        cpu, memory = "process_cpu_seconds_total", "process_resident_memory_bytes"
        rows["settling_cpu_seconds"] = difference(before, settled, cpu)
        rows["memory_mib"] = total(settled, memory) / 2**20
        rows["requests_per_network"] = requests(before, settled) / arguments.networks
        changed = difference(before, settled, "minga_operator_reconciles_total", result="changed")
        rows["requests_per_changing_reconcile"] = requests(before, settled) / changed
        rows["first_p50"] = quantile(before, settled, "changed", 0.5)
        rows["first_p99"] = quantile(before, settled, "changed", 0.99)
        # One label of each network: its spec is the same, so the reconcile that follows has nothing to do.
        cluster.kubectl("-n", namespace, "label", "p2pn", "--all", f"bench={int(time.time())}", timeout=600)
        time.sleep(10)
        after = read()
        name = "minga_operator_reconciles_total"
        rows["noop_reconciles"] = difference(settled, after, name, result="unchanged")
        rows["noop_requests"] = requests(settled, after)
        seconds = "minga_operator_reconcile_duration_seconds_sum"
        rows["noop_mean"] = difference(settled, after, seconds, result="unchanged") / rows["noop_reconciles"]
        rows["noop_p50"] = quantile(settled, after, "unchanged", 0.5)
        rows["noop_p99"] = quantile(settled, after, "unchanged", 0.99)
        rows["noop_writes"] = difference(settled, after, "minga_operator_writes_total")
        time.sleep(60)
        idle = read()
        rows["idle_cpu_percent"] = difference(after, idle, cpu) / 60 * 100
        rows["idle_writes"] = difference(after, idle, "minga_operator_writes_total")
        rows["idle_requests"] = requests(after, idle)
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    for name, value in rows.items():
        print(f"{name:>24} {value:12.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
