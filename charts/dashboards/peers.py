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
        "Bytes received, by kind of sender",
        "Content from seeds and from peers.",
        [
            Query(
                f'sum by (pod, source) (rate(minga_transfer_bytes_total{{{WHERE},direction="in"}}[{RATE}]))',
                "{{pod}} from a {{source}}",
            )
        ],
        unit="Bps",
    ),
    Panel(
        "Bytes sent, by kind of receiver",
        "Content to peers, and to people and programs by REST.",
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
        "Requests for pieces that are being answered. While all slots are busy, others wait or are rejected.",
        [
            Query(f'minga_upload_slots{{{WHERE},state="busy"}}', "{{pod}} busy"),
            Query(f'minga_upload_slots{{{WHERE},state="all"}}', "{{pod}} all"),
        ],
    ),
    Panel(
        "Requests rejected for want of a slot",
        "Answered 503, since they would have waited too long. The receiver asks other holders meanwhile.",
        [Query(f"sum by (pod) (rate(minga_uploads_refused_total{{{WHERE}}}[{RATE}]))", "{{pod}}")],
        unit="ops",
    ),
    Panel(
        "Pieces, by result",
        "Pieces received: verified, corrupt, duplicate or failed.",
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
        "Stalled connections",
        "Connections to holders that broke or fell silent while a piece was awaited.",
        [Query(f"sum by (pod) (increase(minga_transfer_stalls_total{{{WHERE}}}[{RATE}]))", "{{pod}}")],
    ),
    Panel(
        "Wasted bytes, by reason",
        "Duplicate: the piece was here already. Corrupt: the piece failed verification.",
        [
            Query(
                f"sum by (pod, reason) (rate(minga_transfer_wasted_bytes_total{{{WHERE}}}[{RATE}]))",
                "{{pod}} {{reason}}",
            )
        ],
        unit="Bps",
    ),
    Panel(
        "Failed downloads",
        "Downloads that ended without their file.",
        [
            Query(
                f'sum by (pod) (increase(minga_downloads_total{{{WHERE},result="failed"}}[{RATE}]))',
                "{{pod}}",
            )
        ],
    ),
    Panel(
        "Files shared",
        "Files of the library, by node.",
        [Query(f"minga_library_files{{{WHERE}}}", "{{pod}}")],
    ),
    Panel(
        "Neighbours, by state",
        "Other nodes as this node sees them.",
        [Query(f"sum by (pod, state) (minga_peers{{{WHERE}}})", "{{pod}} {{state}}")],
    ),
    Panel(
        "Disk in use",
        "Share of the library's file system that is in use.",
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

REQUESTS = (
    Panel(
        "REST requests, by route",
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
        "REST errors",
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
        "REST request duration, p99",
        "99 of 100 requests take less time, by route.",
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
        "REST connections",
        "Open ones, idle included.",
        [Query(f"minga_rest_connections{{{WHERE}}}", "{{pod}}")],
    ),
    Panel(
        "REST connections cut, by reason",
        "Connections whose client stopped, by what the node waited for. Full: the place was needed.",
        [
            Query(
                f"sum by (pod, reason) (rate(minga_rest_cut_total{{{WHERE}}}[{RATE}]))",
                "{{pod}} {{reason}}",
            )
        ],
        unit="ops",
    ),
    Panel(
        "Piece connections cut, by reason",
        "Connections whose peer stopped, by what the node waited for. Full: no place was left.",
        [
            Query(
                f"sum by (pod, reason) (rate(minga_piece_connections_ended_total{{{WHERE}}}[{RATE}]))",
                "{{pod}} {{reason}}",
            )
        ],
        unit="ops",
    ),
    Panel(
        "gRPC calls, by method",
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
        "gRPC errors",
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
        "gRPC call duration, p99",
        "99 of 100 calls take less time, by method. Streams count from their first to their last message.",
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
        "Failures of background work",
        "Steps that failed and are tried again, by worker.",
        [
            Query(
                f"sum by (pod, worker) (increase(minga_worker_failures_total{{{WHERE}}}[{RATE}])) > 0",
                "{{worker}} of {{pod}}",
            )
        ],
    ),
    Panel(
        "Memory in use",
        "Resident; mapped files of the library count while they are being sent.",
        [Query(f"process_resident_memory_bytes{{{WHERE}}}", "{{pod}}")],
        unit="bytes",
    ),
    Panel(
        "Processor cores in use",
        "1 is one core all the time.",
        [Query(f"rate(process_cpu_seconds_total{{{WHERE}}}[{RATE}])", "{{pod}}")],
        unit="short",
    ),
    Panel(
        "Open files and sockets",
        "As a share of what the process may open.",
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
