"""PodMonitor and PrometheusRule, where the Prometheus operator's kinds exist."""

from __future__ import annotations

from minga_operator.network import Network, Plan
from minga_operator.resources import access, common
from minga_operator.resources.common import Object

API = "monitoring.coreos.com/v1"


def objects(network: Network, plan: Plan) -> list[Object]:
    """What the spec asks for and the cluster knows."""
    wanted = network.spec.monitoring
    found = []
    if wanted.pod_monitor and "PodMonitor" in plan.kinds:
        found.append(_pod_monitor(network, plan))
    if wanted.rules and "PrometheusRule" in plan.kinds:
        found.append(_rules(network))
    for item in found:
        item["metadata"]["labels"] = {**wanted.labels, **item["metadata"]["labels"]}
    return found


def _pod_monitor(network: Network, plan: Plan) -> Object:
    spec = {
        "selector": {"matchLabels": common.selector(network)},
        "podMetricsEndpoints": [
            {
                "port": "rest",
                "path": "/metrics",
                # By this label the dashboards and rules tell networks apart.
                "relabelings": [{"targetLabel": "network", "replacement": network.name}],
                **access.scrape(network, plan.tokens),
            }
        ],
    }
    return common.make(network, API, "PodMonitor", network.name, spec=spec)


def _rules(network: Network) -> Object:
    """Alerts that need to know the spec; the chart's rules have those that are the same for all networks."""
    spec = network.spec
    # How many peers a DaemonSet has, the Kubernetes nodes decide.
    peers = 0 if spec.peers.mode == "DaemonSet" else spec.peers.replicas
    items = [
        _too_few(
            network,
            "MingaSeedsMissing",
            f"{common.seed_name(network)}-.*",
            1,
            "critical",
            f"no seed of {network.name} can be scraped: newcomers cannot join",
        ),
        _too_few(
            network,
            "MingaNodesMissing",
            f"{network.name}-(seed|peer)-.*",
            spec.seeds.replicas + peers,
            "warning",
            f"only {{{{ $value }}}} nodes of {network.name} can be scraped, of {spec.seeds.replicas + peers}",
        ),
    ]
    groups = [{"name": f"minga.{network.namespace}.{network.name}", "rules": items}]
    return common.make(network, API, "PrometheusRule", network.name, spec={"groups": groups})


def _too_few(network: Network, name: str, pods: str, wanted: int, severity: str, summary: str) -> Object:
    selector = f'namespace="{network.namespace}",pod=~"{pods}"'
    return {
        "alert": name,
        # A count of nothing is no sample, and no sample would be no alert.
        "expr": f"(count(minga_build_info{{{selector}}}) or vector(0)) < {wanted}",
        "for": "10m",
        "labels": {"severity": severity, "namespace": network.namespace, "network": network.name},
        "annotations": {"summary": summary, "runbook_url": "docs/runbooks/MingaPeerDown.md"},
    }
