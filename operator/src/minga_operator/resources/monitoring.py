"""PodMonitor and PrometheusRule, where the Prometheus operator's kinds exist."""

from __future__ import annotations

from minga_operator.network import Network, Plan
from minga_operator.resources import common
from minga_operator.resources.common import Object

API = "monitoring.coreos.com/v1"


def objects(network: Network, plan: Plan) -> list[Object]:
    """What the spec asks for and the cluster knows."""
    wanted = network.spec.monitoring
    found = []
    if wanted.pod_monitor and "PodMonitor" in plan.kinds:
        found.append(_pod_monitor(network))
    if wanted.rules and "PrometheusRule" in plan.kinds:
        found.append(_rules(network))
    for item in found:
        item["metadata"]["labels"] = {**wanted.labels, **item["metadata"]["labels"]}
    return found


def _pod_monitor(network: Network) -> Object:
    spec = {
        "selector": {"matchLabels": common.selector(network)},
        "podMetricsEndpoints": [
            {
                "port": "rest",
                "path": "/metrics",
                # By this label the dashboards and rules tell networks apart.
                "relabelings": [{"targetLabel": "network", "replacement": network.name}],
            }
        ],
    }
    return common.make(network, API, "PodMonitor", network.name, spec=spec)


def _rules(network: Network) -> Object:
    pods = f'namespace="{network.namespace}",pod=~"{network.name}-(seed|peer)-.*"'

    def alert(name: str, expression: str, wait: str, summary: str) -> Object:
        return {
            "alert": name,
            "expr": expression,
            "for": wait,
            "labels": {"severity": "warning", "p2pnetwork": network.name},
            "annotations": {"summary": summary},
        }

    items = [
        alert(
            "MingaBrokerDisconnected",
            f"minga_broker_connected{{{pods}}} == 0",
            "10m",
            "{{ $labels.pod }} has had no message broker for 10 minutes; events travel by gossip alone",
        ),
        alert(
            "MingaPeersDead",
            f'max(minga_peers{{{pods},state="dead"}}) > 0',
            "10m",
            f"peers of {network.name} have been dead for 10 minutes",
        ),
        alert(
            "MingaCorruptPieces",
            f'increase(minga_pieces_total{{{pods},result="corrupt"}}[15m]) > 0',
            "0m",
            "{{ $labels.pod }} received pieces that fail verification",
        ),
    ]
    spec = {"groups": [{"name": f"minga.{network.namespace}.{network.name}", "rules": items}]}
    return common.make(network, API, "PrometheusRule", network.name, spec=spec)
