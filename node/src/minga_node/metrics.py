"""Everything a node exports to Prometheus, in one place. Labels are bounded: no name, id or address."""

from __future__ import annotations

from contextlib import suppress

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Info

DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

BUILD = Info("minga_build", "Version of the node's software", registry=REGISTRY)

BYTES = Counter(
    "minga_transfer_bytes",
    "Content bytes moved, by direction (in, out) and by kind of the other side (seed, peer, client)",
    ["direction", "source"],
)
PIECES = Counter(
    "minga_pieces", "Pieces received, by result (verified, corrupt, duplicate, failed)", ["result"]
)
WASTED = Counter(
    "minga_transfer_wasted_bytes",
    "Content bytes received for nothing, by reason (duplicate: here already; corrupt: not what the id says)",
    ["reason"],
)
STALLS = Counter(
    "minga_transfer_stalls",
    "Connections to holders that broke or fell silent while something was asked of them",
)
DOWNLOADS = Counter("minga_downloads", "Downloads ended, by result (complete, failed, cancelled)", ["result"])
DOWNLOAD_SECONDS = Histogram(
    "minga_download_duration_seconds",
    "Time from the start of a download to its end, by result",
    ["result"],
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
)
ACTIVE_DOWNLOADS = Gauge("minga_active_downloads", "Downloads running now")
STALLED_DOWNLOADS = Gauge("minga_stalled_downloads", "Downloads that run and got nothing for a minute")
UPLOADS_REFUSED = Counter(
    "minga_uploads_refused",
    "Requests for pieces that were sent away (503), since they would have waited too long for a slot",
)
PIECE_CONNECTIONS_ENDED = Counter(
    "minga_piece_connections_ended",
    "Connections that the piece listener ended or did not take, by reason (handshake, head, idle, unread: the"
    " other side took too long; disk: this node's disk did; displaced: it was of least use and another came;"
    " full: all were in use)",
    ["reason"],
)
UPLOAD_SLOTS = Gauge("minga_upload_slots", "Slots of the piece listener, by state (busy, all)", ["state"])

INDEX_ENTRIES = Gauge("minga_index_entries", "Entries of the replicated index, all nodes together")
INDEX_LAG = Gauge(
    "minga_index_lag_entries", "Entries that the peer met last knew of and that had not come here"
)
CONTENTS = Gauge(
    "minga_contents", "Contents in the network, by complete copies online (0, 1, 2, 3+)", ["holders"]
)
BELOW_TARGET = Gauge(
    "minga_files_below_target",
    "Contents in the network with fewer complete copies online than replication_target, as this node sees it",
)
TARGET = Gauge("minga_replication_target", "Complete copies that each content of the network should have")
PEERS = Gauge("minga_peers", "Other nodes known, by state (alive, suspect, dead, left)", ["state"])
GOSSIP_REFUSED = Counter(
    "minga_gossip_refused",
    "What peers sent against the protocol, by reason "
    "(protocol, forged, unsigned, key, claim, future, quarantined, garbage, record, crowd, unknown, "
    "goodbye)",
    ["reason"],
)
PEERS_REFUSED = Counter(
    "minga_peers_refused",
    "Connections refused because the other side is no peer, by reason"
    " (no-tls, no-certificate, untrusted, expired, name, timeout)",
    ["reason"],
)
CERTIFICATE_END = Gauge(
    "minga_peer_certificate_end_timestamp_seconds",
    "When the certificate ends that this node shows its peers, seconds since 1970; 0 without one",
)
GOSSIP_BYTES = Counter(
    "minga_gossip_bytes", "Bytes of messages about members and logs, by direction (in, out)", ["direction"]
)
LIBRARY_FILES = Gauge("minga_library_files", "Files this node shares")
LIBRARY_BYTES = Gauge("minga_library_bytes", "Bytes of the files this node shares")
DISK_BYTES = Gauge("minga_disk_bytes", "The library's file system, by state (free, all)", ["state"])

BROKER_CONNECTED = Gauge("minga_broker_connected", "1 while connected to the message broker")
BROKER_BLOCKED = Gauge(
    "minga_broker_blocked",
    "1 while connected to a broker that takes or confirms no messages",
)
OUTBOX = Gauge("minga_outbox_messages", "Messages that wait for the broker")
MESSAGES = Counter(
    "minga_messages", "Messages through the broker, by direction (in, out) and type", ["direction", "type"]
)
DEAD_LETTERS = Gauge(
    "minga_dead_letters", "Messages and jobs that could not be used, in the network's queue of dead letters"
)
JOBS = Counter(
    "minga_jobs",
    "Jobs of this node, by kind (hold, drop) and result (done, failed, retried)",
    ["kind", "result"],
)
REPEATED = Counter(
    "minga_messages_repeated",
    "Messages without an effect, because they or something newer came before, by the broker or by gossip",
)

REST_REQUESTS = Counter(
    "minga_rest_requests", "REST requests, by method, route and status", ["method", "route", "status"]
)
REST_SECONDS = Histogram(
    "minga_rest_request_duration_seconds",
    "Time to answer a REST request",
    ["method", "route"],
    buckets=DURATIONS,
)
REST_REFUSED = Counter(
    "minga_rest_refused",
    "REST requests refused for want of a right, by reason (token-needed, invalid-token, insufficient-scope)",
    ["reason"],
)
REST_CONNECTIONS = Gauge("minga_rest_connections", "Open connections to REST")
REST_CUT = Counter(
    "minga_rest_cut",
    "REST connections that were closed since they waited for their client, by what it did not go on with"
    " (head, body, answer); full: since their place was needed",
    ["reason"],
)
GRPC_REQUESTS = Counter("minga_grpc_requests", "gRPC requests served, by method and code", ["method", "code"])
GRPC_SECONDS = Histogram(
    "minga_grpc_request_duration_seconds", "Time to answer a gRPC request", ["method"], buckets=DURATIONS
)

WORKER_FAILURES = Counter(
    "minga_worker_failures", "Steps of background work that failed and are tried again, by worker", ["worker"]
)
WORKER_FAILING = Gauge(
    "minga_worker_failing",
    "1 while a piece of background work fails again and again, has ended or does not move, by worker",
    ["worker"],
)


def without_broker() -> None:
    """A node that has no broker says nothing of one: 0 would look like an outage."""
    for family in (BROKER_CONNECTED, BROKER_BLOCKED, OUTBOX, MESSAGES, REPEATED, DEAD_LETTERS, JOBS):
        with suppress(KeyError):
            REGISTRY.unregister(family)


def _begin_at_zero() -> None:
    """Series that are there from the start: what has not happened yet reads 0, not nothing."""
    for source in ("seed", "peer"):
        BYTES.labels("in", source)
    for source in ("peer", "client"):
        BYTES.labels("out", source)
    for result in ("verified", "corrupt", "duplicate"):
        PIECES.labels(result)
    for result in ("complete", "failed", "cancelled"):
        DOWNLOADS.labels(result)
    for reason in ("duplicate", "corrupt"):
        WASTED.labels(reason)
    for kind in ("hold", "drop"):
        for result in ("done", "failed", "retried"):
            JOBS.labels(kind, result)
    for reason in (
        "protocol", "forged", "unsigned", "key", "claim", "future", "quarantined", "garbage",
        "record", "crowd", "unknown", "goodbye",
    ):  # fmt: skip
        GOSSIP_REFUSED.labels(reason)
    for reason in ("no-tls", "no-certificate", "untrusted", "expired", "name", "timeout"):
        PEERS_REFUSED.labels(reason)
    for reason in ("handshake", "head", "idle", "unread", "displaced", "full"):
        PIECE_CONNECTIONS_ENDED.labels(reason)
    for reason in ("token-needed", "invalid-token", "insufficient-scope"):
        REST_REFUSED.labels(reason)
    for reason in ("head", "body", "answer", "full"):
        REST_CUT.labels(reason)


_begin_at_zero()
