"""Everything the operator exports to Prometheus. One metric names networks; labels are bounded otherwise."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RECONCILES = Counter(
    "minga_operator_reconciles", "Reconciles, by result (unchanged, changed, waiting, failed)", ["result"]
)
RECONCILE_SECONDS = Histogram(
    "minga_operator_reconcile_duration_seconds",
    "Time of a reconcile, by result",
    ["result"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
NETWORKS = Gauge(
    "minga_operator_networks",
    "1 for the status that a condition of a network has; other statuses have no sample",
    ["network_namespace", "network", "condition", "status"],
)
QUEUE_DEPTH = Gauge("minga_operator_queue_depth", "Networks that wait for a reconcile")
LAST_SUCCESS = Gauge(
    "minga_operator_last_success_timestamp_seconds", "When a reconcile last went well, in seconds since 1970"
)
WRITES = Counter("minga_operator_writes", "Objects written, by kind and verb", ["kind", "verb"])
API_REQUESTS = Counter(
    "minga_operator_api_requests", "Requests to the API server, by verb and status", ["verb", "status"]
)
UNWATCHED = Gauge(
    "minga_operator_unwatched",
    "1 for a kind that the operator may not watch, by the namespace it is told to serve (empty: all)",
    ["kind", "watched_namespace"],
)
LEADER = Gauge("minga_operator_leader", "1 while this replica holds the lease")

_told: set[tuple[str, str, str, str]] = set()
"""Labels of the samples of ``NETWORKS``; one thread tells them."""


def tell_networks(found: set[tuple[str, str, str, str]]) -> None:
    """Takes in how all networks are: namespace, name, condition and status of each."""
    for labels in found - _told:
        NETWORKS.labels(*labels).set(1)
    for labels in _told - found:
        NETWORKS.remove(*labels)
    _told.clear()
    _told.update(found)


# There from the start: what has not happened yet reads 0, not nothing.
for _result in ("unchanged", "changed", "waiting", "failed"):
    RECONCILES.labels(_result)
