"""*Peer*: one pod, from its bytes to its requests."""

from __future__ import annotations

from dataclasses import replace

from grafana_foundation_sdk.builders.dashboard import Dashboard

from charts.dashboards.networks import OUTAGES, RATE, ROLLS, VARIABLES
from charts.dashboards.networks import WHERE as OF_NETWORK
from charts.dashboards.parts import Panel, Query, Variable, build

WHERE = 'namespace="$namespace",network=~"$network",pod=~"$peer"'


def board() -> Dashboard:
    of_peer = [
        replace(item, expression=item.expression.replace(OF_NETWORK, WHERE)) for item in (ROLLS, OUTAGES)
    ]
    return build(
        "peer",
        "Minga / Peer",
        "One node, or some: rates, pieces, failures, disk, memory, and how its requests go.",
        (
            *VARIABLES,
            Variable(
                "peer",
                "Peer",
                'label_values(minga_build_info{namespace="$namespace",network=~"$network"}, pod)',
            ),
        ),
        of_peer,
        (
            ("Content", CONTENT),
            ("Requests", REQUESTS),
            ("The process", PROCESS),
        ),
    )


CONTENT = (
    Panel(
        "Received",
        "By kind of sender.",
        [
            Query(
                f'sum by (pod, source) (rate(minga_transfer_bytes_total{{{WHERE},direction="in"}}[{RATE}]))',
                "{{pod}} from a {{source}}",
            )
        ],
        unit="Bps",
    ),
    Panel(
        "Sent",
        "By kind of receiver.",
        [
            Query(
                f'sum by (pod, source) (rate(minga_transfer_bytes_total{{{WHERE},direction="out"}}[{RATE}]))',
                "{{pod}} to a {{source}}",
            )
        ],
        unit="Bps",
    ),
    Panel(
        "Upload slots",
        "Requests for pieces that are being answered; when all slots are taken, others are told to wait.",
        [
            Query(f'minga_upload_slots{{{WHERE},state="busy"}}', "{{pod}} busy"),
            Query(f'minga_upload_slots{{{WHERE},state="all"}}', "{{pod}} all"),
        ],
    ),
    Panel(
        "Requests sent away",
        "Answered 503, since they would have waited too long for a slot; who asked asks others meanwhile.",
        [Query(f"sum by (pod) (rate(minga_uploads_refused_total{{{WHERE}}}[{RATE}]))", "{{pod}}")],
        unit="ops",
    ),
    Panel(
        "Pieces",
        "By result.",
        [
            Query(
                f"sum by (pod, result) (rate(minga_pieces_total{{{WHERE}}}[{RATE}]))",
                "{{pod}} {{result}}",
            )
        ],
        unit="ops",
    ),
    Panel(
        "Downloads",
        "Running, and stalled: no piece for a minute.",
        [
            Query(f"minga_active_downloads{{{WHERE}}}", "{{pod}} running"),
            Query(f"minga_stalled_downloads{{{WHERE}}}", "{{pod}} stalled"),
        ],
    ),
    Panel(
        "Stalls",
        "Connections to holders that broke or fell silent while something was asked of them.",
        [Query(f"sum by (pod) (increase(minga_transfer_stalls_total{{{WHERE}}}[{RATE}]))", "{{pod}}")],
    ),
    Panel(
        "Received for nothing",
        "Duplicate: here already. Corrupt: not what the id says.",
        [
            Query(
                f"sum by (pod, reason) (rate(minga_transfer_wasted_bytes_total{{{WHERE}}}[{RATE}]))",
                "{{pod}} {{reason}}",
            )
        ],
        unit="Bps",
    ),
    Panel(
        "Downloads that failed",
        "Ended without their file.",
        [
            Query(
                f'sum by (pod) (increase(minga_downloads_total{{{WHERE},result="failed"}}[{RATE}]))',
                "{{pod}}",
            )
        ],
    ),
    Panel(
        "Library",
        "Files shared.",
        [Query(f"minga_library_files{{{WHERE}}}", "{{pod}}")],
    ),
    Panel(
        "Neighbours, by state",
        "What this node thinks of the others.",
        [Query(f"sum by (pod, state) (minga_peers{{{WHERE}}})", "{{pod}} {{state}}")],
        width=12,
    ),
    Panel(
        "Disk",
        "Share of the library's file system that is in use.",
        [
            Query(
                f'1 - minga_disk_bytes{{{WHERE},state="free"}} / ignoring(state) '
                f'minga_disk_bytes{{{WHERE},state="all"}}',
                "{{pod}}",
            )
        ],
        unit="percentunit",
        width=12,
        bad_above=0.9,
        maximum=1,
    ),
)

REQUESTS = (
    Panel(
        "REST: rate",
        "By method and route.",
        [
            Query(
                f"sum by (method, route) (rate(minga_rest_requests_total{{{WHERE}}}[{RATE}]))",
                "{{method}} {{route}}",
            )
        ],
        unit="reqps",
    ),
    Panel(
        "REST: errors",
        "Share of answers with status 500 or above.",
        [
            Query(
                f'(sum(rate(minga_rest_requests_total{{{WHERE},status=~"5.."}}[{RATE}])) or vector(0)) / '
                f"sum(rate(minga_rest_requests_total{{{WHERE}}}[{RATE}]))",
                "errors",
            )
        ],
        unit="percentunit",
    ),
    Panel(
        "REST: duration",
        "99 of 100 requests take less, by route.",
        [
            Query(
                "histogram_quantile(0.99, sum by (le, route)"
                f" (rate(minga_rest_request_duration_seconds_bucket{{{WHERE}}}[{RATE}])))",
                "{{route}}",
            )
        ],
        unit="s",
    ),
    Panel(
        "REST: connections",
        "Open ones, idle included.",
        [Query(f"minga_rest_connections{{{WHERE}}}", "{{pod}}")],
    ),
    Panel(
        "Clients that did not go on",
        "Connections to REST that were closed, by what was waited for; full: their place was needed.",
        [
            Query(
                f"sum by (pod, reason) (rate(minga_rest_cut_total{{{WHERE}}}[{RATE}]))",
                "{{pod}} {{reason}}",
            )
        ],
        unit="ops",
    ),
    Panel(
        "Peers that did not go on",
        "Connections for pieces that were closed, by reason; full: since no place was left.",
        [
            Query(
                f"sum by (pod, reason) (rate(minga_piece_connections_ended_total{{{WHERE}}}[{RATE}]))",
                "{{pod}} {{reason}}",
            )
        ],
        unit="ops",
    ),
    Panel(
        "gRPC: rate",
        "Calls served, by method.",
        [
            Query(
                f"sum by (method) (rate(minga_grpc_requests_total{{{WHERE}}}[{RATE}]))",
                "{{method}}",
            )
        ],
        unit="reqps",
    ),
    Panel(
        "gRPC: errors",
        "Share of calls that did not end with OK.",
        [
            Query(
                f'(sum(rate(minga_grpc_requests_total{{{WHERE},code!="OK"}}[{RATE}])) or vector(0)) / '
                f"sum(rate(minga_grpc_requests_total{{{WHERE}}}[{RATE}]))",
                "errors",
            )
        ],
        unit="percentunit",
    ),
    Panel(
        "gRPC: duration",
        "99 of 100 calls take less, by method. Streams count from their first to their last message.",
        [
            Query(
                "histogram_quantile(0.99, sum by (le, method)"
                f" (rate(minga_grpc_request_duration_seconds_bucket{{{WHERE}}}[{RATE}])))",
                "{{method}}",
            )
        ],
        unit="s",
    ),
)

PROCESS = (
    Panel(
        "Background work: failures",
        "Steps that failed and are tried again, by worker.",
        [
            Query(
                f"sum by (pod, worker) (increase(minga_worker_failures_total{{{WHERE}}}[{RATE}])) > 0",
                "{{worker}} of {{pod}}",
            )
        ],
    ),
    Panel(
        "Memory",
        "Resident; mapped files of the library count while they are being sent.",
        [Query(f"process_resident_memory_bytes{{{WHERE}}}", "{{pod}}")],
        unit="bytes",
    ),
    Panel(
        "Processor",
        "Cores in use.",
        [Query(f"rate(process_cpu_seconds_total{{{WHERE}}}[{RATE}])", "{{pod}}")],
    ),
    Panel(
        "Open files",
        "Sockets included, as a share of what the process may open.",
        [
            Query(
                f"process_open_fds{{{WHERE}}} / process_max_fds{{{WHERE}}}",
                "{{pod}}",
            )
        ],
        unit="percentunit",
        bad_above=0.8,
    ),
)
