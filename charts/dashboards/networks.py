"""*Network*: is everything shared that should be, does it move, and from peers or from seeds?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from charts.dashboards.parts import Alerts, Annotation, Panel, Query, Variable, build

WHERE = 'namespace="$namespace",network=~"$network"'
RATE = "$__rate_interval"

VARIABLES = (
    Variable("namespace", "Namespace", "label_values(minga_build_info, namespace)", several=False),
    Variable("network", "Network", 'label_values(minga_build_info{namespace="$namespace"}, network)'),
)
ROLLS = Annotation(
    "Nodes (re)started",
    # By its age, since a pod that comes back has another address: to Prometheus, another series.
    f"(time() - process_start_time_seconds{{{WHERE}}}) * 1000 < 60000 + 2 * $__interval_ms",
    "blue",
    "{{pod}} started",
)
OUTAGES = Annotation(
    "Broker away",
    f"1 - minga_broker_connected{{{WHERE}}} > 0",
    "red",
    "{{pod}} has no broker",
)


# Not from the recording rule of the same: a Prometheus may have no rules of ours.
RECEIVED = (
    'sum by (network) (increase(minga_transfer_bytes_total{{namespace="$namespace",network=~"$network",'
    'direction="in",source=~"{}"}}[1h]))'
)


def board() -> Dashboard:
    return build(
        "network",
        "Minga / Network",
        "One network as a whole: what it shares, what moves, and whether every file is safe.",
        VARIABLES,
        (ROLLS, OUTAGES),
        (
            ("Now", NOW),
            ("Alerts", ALERTS),
            ("Bytes", BYTES),
            ("Files", FILES),
            ("Index and messages", MESSAGES),
        ),
    )


NOW = (
    Panel(
        "Nodes",
        "Nodes that Prometheus reaches.",
        [Query(f"count(minga_build_info{{{WHERE}}})", "")],
        width=3,
        now=True,
    ),
    Panel(
        "Files shared",
        "Different contents. A content under two names, or at two nodes, counts once.",
        [Query(f"max by (network) (sum by (network, pod) (minga_contents{{{WHERE}}}))", "{{network}}")],
        width=3,
        now=True,
    ),
    Panel(
        "Bytes held",
        "All copies together.",
        [Query(f"sum by (network) (minga_library_bytes{{{WHERE}}})", "{{network}}")],
        unit="bytes",
        width=3,
        now=True,
    ),
    Panel(
        "Files without a holder",
        "Contents that were published and of which no node online has every piece.",
        [Query(f'max by (network) (minga_contents{{{WHERE},holders="0"}})', "{{network}}")],
        width=3,
        now=True,
        bad_above=1,
    ),
    Panel(
        "Files below their target",
        "Contents with fewer complete copies online than the network is told to keep (replication_target).",
        [Query(f"max by (network) (minga_files_below_target{{{WHERE}}})", "{{network}}")],
        width=3,
        now=True,
        bad_above=1,
    ),
    Panel(
        "Origin bytes saved",
        "Share of the bytes received that came from peers and not from a seed, over the last hour.",
        [Query(f"{RECEIVED.format('peer')} / ({RECEIVED.format('seed|peer')} > 0)", "{{network}}")],
        unit="percentunit",
        width=3,
        now=True,
    ),
    Panel(
        "Bytes spared the seeds",
        "Bytes that peers sent each other in the last hour, and that no seed had to send.",
        [Query(RECEIVED.format("peer"), "{{network}}")],
        unit="bytes",
        width=3,
        now=True,
    ),
    Panel(
        "Nodes without broker",
        "Events travel by gossip alone there.",
        [Query(f"count(minga_broker_connected{{{WHERE}}} == 0) or vector(0)", "")],
        width=3,
        now=True,
        bad_above=1,
    ),
)

FIRING = 'ALERTS{{alertstate="firing",alertname=~"Minga.*",{}}}'

ALERTS = (
    Alerts(
        "Firing alerts",
        "Alerts of this network that fire now. A click on the name opens the runbook.",
        [
            Query(
                f"{FIRING.format(WHERE)} or"
                f" {FIRING.format(WHERE.replace('namespace=', 'network_namespace='))}",
                "",
            )
        ],
        ("network", "pod", "worker"),
    ),
)

BYTES = (
    Panel(
        "Bytes received, by kind of sender",
        "Content that nodes fetched from seeds and from peers.",
        [
            Query(
                f'sum by (source) (rate(minga_transfer_bytes_total{{{WHERE},direction="in"}}[{RATE}]))',
                "from a {{source}}",
            )
        ],
        unit="Bps",
        stacked=True,
    ),
    Panel(
        "Bytes sent, by kind of receiver",
        "Content sent to nodes by the piece listeners, and to people and programs by REST.",
        [
            Query(
                f'sum by (source) (rate(minga_transfer_bytes_total{{{WHERE},direction="out"}}[{RATE}]))',
                "to a {{source}}",
            )
        ],
        unit="Bps",
        stacked=True,
    ),
    Panel(
        "Bytes sent, by node",
        "The ten nodes that send most.",
        [
            Query(
                "topk(10, sum by (pod)"
                f' (rate(minga_transfer_bytes_total{{{WHERE},direction="out"}}[{RATE}])))',
                "{{pod}}",
            )
        ],
        unit="Bps",
    ),
    Panel(
        "Time to fetch a file",
        "From the start of a download to its verified end: p50 is the median, max the slowest.",
        [
            Query(
                "histogram_quantile(0.5, sum by (le)"
                f' (rate(minga_download_duration_seconds_bucket{{{WHERE},result="complete"}}[{RATE}])))',
                "p50",
            ),
            Query(
                "histogram_quantile(0.99, sum by (le)"
                f' (rate(minga_download_duration_seconds_bucket{{{WHERE},result="complete"}}[{RATE}])))',
                "p99",
            ),
            Query(
                "histogram_quantile(1, sum by (le)"
                f' (rate(minga_download_duration_seconds_bucket{{{WHERE},result="complete"}}[{RATE}])))',
                "max",
            ),
        ],
        unit="s",
    ),
    Panel(
        "Downloads",
        "Running now, stalled (without a piece for a minute), and ended by result.",
        [
            Query(f"sum(minga_active_downloads{{{WHERE}}})", "running"),
            Query(f"sum(minga_stalled_downloads{{{WHERE}}})", "stalled"),
            Query(
                f"sum by (result) (increase(minga_downloads_total{{{WHERE}}}[{RATE}]))",
                "{{result}}",
            ),
        ],
    ),
    Panel(
        "Pieces, by result",
        "A corrupt piece is never visible to anybody; many of them mean a bad disk or a bad peer.",
        [Query(f"sum by (result) (rate(minga_pieces_total{{{WHERE}}}[{RATE}]))", "{{result}}")],
        unit="ops",
    ),
)

FILES = (
    Panel(
        "Files, by complete copies",
        "Contents by the number of nodes online that have every piece.",
        [
            Query(
                f"sum by (holders) (max by (network, holders) (minga_contents{{{WHERE}}}))",
                "{{holders}} holders",
            )
        ],
        colours={"0 holders": "red", "1 holders": "orange", "2 holders": "yellow", "3+ holders": "green"},
        stacked=True,
    ),
    Panel(
        "Library, by node",
        "Bytes that each node shares.",
        [Query(f"sum by (pod) (minga_library_bytes{{{WHERE}}})", "{{pod}}")],
        unit="bytes",
        stacked=True,
    ),
    Panel(
        "Disk in use, by node",
        "Share of the library's file system that is in use. MingaDiskNearlyFull fires above the line.",
        [
            Query(
                f'1 - minga_disk_bytes{{{WHERE},state="free"}} / ignoring(state) '
                f'minga_disk_bytes{{{WHERE},state="all"}}',
                "{{pod}}",
            )
        ],
        unit="percentunit",
        bad_above=0.9,
        maximum=1,
    ),
)

MESSAGES = (
    Panel(
        "Index lag",
        "Entries that exist and that a node has not received yet. Gossip fetches them within a few rounds.",
        [Query(f"max by (pod) (minga_index_lag_entries{{{WHERE}}})", "{{pod}}")],
        width=6,
    ),
    Panel(
        "Index entries, by node",
        "All nodes should agree.",
        [Query(f"minga_index_entries{{{WHERE}}}", "{{pod}}")],
        width=6,
    ),
    Panel(
        "Messages through the broker",
        "Published and consumed. A message without effect repeats what the node had received before.",
        [
            Query(
                f"sum by (direction, type) (rate(minga_messages_total{{{WHERE}}}[{RATE}]))",
                "{{direction}} {{type}}",
            ),
            Query(
                f"sum(rate(minga_messages_repeated_total{{{WHERE}}}[{RATE}]))",
                "without effect",
            ),
        ],
        unit="ops",
        width=6,
    ),
    Panel(
        "Events in the outbox",
        "Events that wait on a node's disk for the broker.",
        [Query(f"max by (pod) (minga_outbox_messages{{{WHERE}}})", "{{pod}}")],
        width=6,
    ),
    Panel(
        "Jobs",
        "Copies that another node asked for. A job that fails five times is a dead letter.",
        [
            Query(
                f"sum by (kind, result) (increase(minga_jobs_total{{{WHERE}}}[{RATE}]))",
                "{{kind}} {{result}}",
            )
        ],
        width=6,
    ),
    Panel(
        "Dead letters",
        "Messages and jobs that could not be used; `minga dead-letters` shows them.",
        [Query(f"max by (network) (minga_dead_letters{{{WHERE}}})", "{{network}}")],
        width=6,
    ),
    Panel(
        "Gossip bytes",
        "Bytes of the messages about members and index entries that nodes exchange every second.",
        [
            Query(
                f"sum by (direction) (rate(minga_gossip_bytes_total{{{WHERE}}}[{RATE}]))",
                "{{direction}}",
            )
        ],
        unit="Bps",
        width=12,
    ),
    Panel(
        "Refused messages, connections and requests",
        "Gossip that breaks the protocol, connections from anyone who is no peer, and REST requests without a"
        " right.",
        [
            Query(
                f"sum by (reason) (increase(minga_gossip_refused_total{{{WHERE}}}[{RATE}]))",
                "gossip: {{reason}}",
            ),
            Query(
                f"sum by (reason) (increase(minga_peers_refused_total{{{WHERE}}}[{RATE}]))",
                "no peer: {{reason}}",
            ),
            Query(
                f"sum by (reason) (increase(minga_rest_refused_total{{{WHERE}}}[{RATE}]))",
                "REST: {{reason}}",
            ),
        ],
        width=24,
    ),
)
