"""*Operator*: whether networks become what their owners asked for, and how hard the operator works for it."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from charts.dashboards.networks import RATE
from charts.dashboards.parts import Annotation, Panel, Query, Variable, build

WHERE = 'namespace="$namespace"'


def board() -> Dashboard:
    return build(
        "operator",
        "Minga / Operator",
        "Reconciles, conditions of all networks, and the operator's dealings with the API server.",
        (
            Variable(
                "namespace",
                "Operator's namespace",
                "label_values(minga_operator_leader, namespace)",
                several=False,
            ),
        ),
        (
            Annotation(
                "Another leader",
                f"changes(minga_operator_leader{{{WHERE}}}[{RATE}]) > 0",
                "purple",
                "{{pod}}",
            ),
        ),
        (("Networks", NETWORKS), ("Reconciles", RECONCILES), ("The API server", API)),
    )


NETWORKS = (
    Panel(
        "Networks, by condition",
        "How many networks have each condition with each status.",
        [
            Query(
                "sum by (condition, status) (max by (network_namespace, network, condition, status)"
                f" (minga_operator_networks{{{WHERE}}}))",
                "{{condition}} {{status}}",
            )
        ],
        width=12,
    ),
    Panel(
        "Not ready",
        "Networks whose Ready is not True.",
        [
            Query(
                "sum(max by (network_namespace, network)"
                f' (minga_operator_networks{{{WHERE},condition="Ready",status!="True"}}))'
                " or vector(0)",
                "",
            )
        ],
        now=True,
        width=4,
        bad_above=1,
    ),
    Panel(
        "Leader",
        "Replicas that hold the lease: one.",
        [Query(f"sum(minga_operator_leader{{{WHERE}}})", "")],
        now=True,
        width=4,
    ),
    Panel(
        "Since the last reconcile",
        "That went well.",
        [Query(f"time() - max(minga_operator_last_success_timestamp_seconds{{{WHERE}}})", "")],
        unit="s",
        now=True,
        width=4,
    ),
)

RECONCILES = (
    Panel(
        "Rate, by result",
        "`changed` should be rare when nobody edits anything.",
        [
            Query(
                f"sum by (result) (rate(minga_operator_reconciles_total{{{WHERE}}}[{RATE}]))",
                "{{result}}",
            )
        ],
        unit="ops",
    ),
    Panel(
        "Duration",
        "Of half of them, and of 99 in 100.",
        [
            Query(
                f"histogram_quantile({share}, sum by (le)"
                f" (rate(minga_operator_reconcile_duration_seconds_bucket{{{WHERE}}}[{RATE}])))",
                name,
            )
            for share, name in ((0.5, "half"), (0.99, "99 in 100"))
        ],
        unit="s",
    ),
    Panel(
        "Queue",
        "Networks that wait for their reconcile.",
        [Query(f"max(minga_operator_queue_depth{{{WHERE}}})", "waiting")],
    ),
)

API = (
    Panel(
        "Requests, by verb and status",
        "Many 409 mean that somebody else writes the same objects; 429, that the server is overloaded.",
        [
            Query(
                f"sum by (verb, status) (rate(minga_operator_api_requests_total{{{WHERE}}}[{RATE}]))",
                "{{verb}} {{status}}",
            )
        ],
        unit="reqps",
        width=12,
    ),
    Panel(
        "Not watched",
        "Kinds that the operator may not watch: what needs them is left alone.",
        [
            Query(
                f"max by (kind, namespace) (minga_operator_unwatched{{{WHERE}}}) > 0",
                "{{kind}} {{namespace}}",
            )
        ],
        width=12,
    ),
    Panel(
        "Objects written",
        "By kind and verb.",
        [
            Query(
                f"sum by (kind, verb) (increase(minga_operator_writes_total{{{WHERE}}}[{RATE}]))",
                "{{kind}} {{verb}}",
            )
        ],
        width=12,
    ),
)
