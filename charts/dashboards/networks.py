"""*Network*: is everything shared that should be, does it move, and from peers or from seeds?"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from charts.dashboards.parts import Annotation, Panel, Query, Variable, build

WHERE = 'namespace="$namespace",network=~"$network"'
RATE = "$__rate_interval"

VARIABLES = (
    Variable("namespace", "Namespace", "label_values(minga_build_info, namespace)", several=False),
    Variable("network", "Network", 'label_values(minga_build_info{namespace="$namespace"}, network)'),
)
ROLLS = Annotation(
    "Nodes (re)started",
    f"changes(process_start_time_seconds{{{WHERE}}}[{RATE}]) > 0",
    "blue",
    "{{pod}} started",
)
OUTAGES = Annotation(
    "Broker away",
    f"minga_broker_connected{{{WHERE}}} == 0",
    "red",
    "{{pod}} has no broker",
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
        width=4,
        now=True,
    ),
    Panel(
        "Files shared",
        "Different contents, wherever they are and under how many names.",
        [Query(f"max by (network) (sum by (network, pod) (minga_contents{{{WHERE}}}))", "{{network}}")],
        width=4,
        now=True,
    ),
    Panel(
        "Bytes held",
        "All copies together.",
        [Query(f"sum by (network) (minga_library_bytes{{{WHERE}}})", "{{network}}")],
        unit="bytes",
        width=4,
        now=True,
    ),
    Panel(
        "Files without a holder",
        "Contents that were published and that nobody online has as a whole.",
        [Query(f'max by (network) (minga_contents{{{WHERE},holders="0"}})', "{{network}}")],
        width=4,
        now=True,
        bad_above=1,
    ),
    Panel(
        "Origin bytes saved",
        "Share of the bytes received that came from peers and not from a seed, over the last hour.",
        [Query("minga:origin_saved:ratio1h{" + WHERE + "}", "{{network}}")],
        unit="percentunit",
        width=4,
        now=True,
    ),
    Panel(
        "Nodes without broker",
        "Events travel by gossip alone there.",
        [Query(f"count(minga_broker_connected{{{WHERE}}} == 0) or vector(0)", "")],
        width=4,
        now=True,
        bad_above=1,
    ),
)

BYTES = (
    Panel(
        "Received, by kind of sender",
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
        "Sent, by kind of receiver",
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
        "Sent, by node",
        "The ten that give most: who carries the network.",
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
        "From the start of a download to its verified end. The slowest is the time to the last node.",
        [
            Query(
                "histogram_quantile(0.5, sum by (le)"
                f' (rate(minga_download_duration_seconds_bucket{{{WHERE},result="complete"}}[{RATE}])))',
                "half",
            ),
            Query(
                "histogram_quantile(1, sum by (le)"
                f' (rate(minga_download_duration_seconds_bucket{{{WHERE},result="complete"}}[{RATE}])))',
                "the last",
            ),
        ],
        unit="s",
    ),
    Panel(
        "Downloads",
        "Running now, and ended by result.",
        [
            Query(f"sum(minga_active_downloads{{{WHERE}}})", "running"),
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
        "Availability",
        "Contents by the number of nodes online that have all of them.",
        [
            Query(
                f"max by (holders) (minga_contents{{{WHERE}}})",
                "{{holders}} holders",
            )
        ],
        stacked=True,
        width=12,
    ),
    Panel(
        "Library, by node",
        "Bytes that each node shares.",
        [Query(f"sum by (pod) (minga_library_bytes{{{WHERE}}})", "{{pod}}")],
        unit="bytes",
        stacked=True,
        width=12,
    ),
)

MESSAGES = (
    Panel(
        "Index lag",
        "Entries that a node knows to exist and has not got yet; gossip repairs it within a few rounds.",
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
        "Events published and consumed.",
        [
            Query(
                f"sum by (direction, type) (rate(minga_messages_total{{{WHERE}}}[{RATE}]))",
                "{{direction}} {{type}}",
            )
        ],
        unit="ops",
        width=6,
    ),
    Panel(
        "Outbox",
        "Events that wait on a node's disk for the broker.",
        [Query(f"max by (pod) (minga_outbox_messages{{{WHERE}}})", "{{pod}}")],
        width=6,
    ),
)
