"""*Operator*: whether networks become what their owners asked for, and how hard the operator works for it."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from charts.dashboards.networks import FIRING, RATE
from charts.dashboards.parts import Alerts, Annotation, Panel, Query, Variable, build

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
        (("Networks", NETWORKS), ("Alerts", ALERTS), ("Reconciles", RECONCILES), ("The API server", API)),
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
        "Networks not ready",
        "Networks whose condition Ready is not True.",
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
        "Leaders",
        "Operators that hold the lease. One is right: with none, no network is reconciled.",
        [Query(f"sum(minga_operator_leader{{{WHERE}}})", "")],
        now=True,
        width=4,
        steps=((0, "red"), (1, "green"), (2, "red")),
    ),
    Panel(
        "Time since the last good reconcile",
        "Each network has a reconcile every ten minutes: orange after one missed round, red after two.",
        [Query(f"time() - max(minga_operator_last_success_timestamp_seconds{{{WHERE}}})", "")],
        unit="s",
        now=True,
        width=4,
        steps=((0, "green"), (900, "orange"), (1500, "red")),
    ),
)

ALERTS = (
    Alerts(
        "Firing alerts",
        "Alerts of the operator, and of conditions of its networks. A click on the name opens the runbook.",
        [Query(FIRING.format(WHERE), "")],
        ("network_namespace", "network", "pod", "kind"),
    ),
)

RECONCILES = (
    Panel(
        "Reconciles, by result",
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
        "Duration of reconciles",
        "From the start of a reconcile to its end.",
        [
            Query(
                f"histogram_quantile({share}, sum by (le)"
                f" (rate(minga_operator_reconcile_duration_seconds_bucket{{{WHERE}}}[{RATE}])))",
                name,
            )
            for share, name in ((0.5, "p50"), (0.99, "p99"), (1, "max"))
        ],
        unit="s",
    ),
    Panel(
        "Networks in the queue",
        "Networks that wait for their reconcile.",
        [Query(f"max(minga_operator_queue_depth{{{WHERE}}})", "waiting")],
    ),
)

API = (
    Panel(
        "API requests, by verb and status",
        "Many 409: another program writes the same objects. 429: the API server is overloaded.",
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
        "Kinds that are not watched",
        "Kinds that the operator may not watch. Networks that need such a kind are left as they are.",
        [
            Query(
                f"max by (kind, watched_namespace) (minga_operator_unwatched{{{WHERE}}}) > 0",
                "{{kind}} {{watched_namespace}}",
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
        width=24,
    ),
)
