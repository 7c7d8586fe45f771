"""PodMonitor and PrometheusRule, where the Prometheus operator's kinds exist, and a dashboard for Grafana."""

from __future__ import annotations

import functools
import importlib.resources
import json

from minga_operator.network import RUNBOOKS, Network, Plan
from minga_operator.resources import access, common
from minga_operator.resources.common import Object

API = "monitoring.coreos.com/v1"


def objects(network: Network, plan: Plan) -> list[Object]:
    """What the spec asks for and the cluster knows."""
    wanted = network.spec.monitoring
    found = []
    if wanted.pod_monitor and "PodMonitor" in plan.kinds:
        found.append(_pod_monitor(network, plan))
        if network.spec.broker.managed is not None:
            found.append(_broker_monitor(network))
    if wanted.rules and "PrometheusRule" in plan.kinds:
        found.append(_rules(network, plan))
    if wanted.dashboards:
        found.append(_dashboard(network, plan))
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


def _broker_monitor(network: Network) -> Object:
    """For the managed broker, whose plugin tells Prometheus how it is."""
    spec = {
        "selector": {"matchLabels": common.selector(network, common.BROKER)},
        "podMetricsEndpoints": [
            {
                "port": "metrics",
                "path": "/metrics",
                "relabelings": [{"targetLabel": "network", "replacement": network.name}],
            }
        ],
    }
    name = common.broker_name(network)
    return common.make(network, API, "PodMonitor", name, common.BROKER, spec=spec)


def _rules(network: Network, plan: Plan) -> Object:
    """Alerts that need to know the spec; the chart's rules have those that are the same for all networks."""
    spec = network.spec
    # How many peers a DaemonSet has, the Kubernetes nodes decide.
    peers = 0 if spec.peers.mode == "DaemonSet" else spec.peers.replicas
    whole = f"{network.namespace}/{network.name}"
    pods = f"kubectl -n {network.namespace} get pods -l app.kubernetes.io/instance={network.name}"
    items = [
        _too_few(
            network,
            plan,
            "MingaSeedsMissing",
            f"{common.seed_name(network)}-[0-9]+",
            1,
            "critical",
            f"no seed of {whole} can be scraped",
            f"New nodes cannot join. First: `{pods}`; the seeds are {common.seed_name(network)}-0 and on",
        ),
        _too_few(
            network,
            plan,
            "MingaNodesMissing",
            # No dash in the end: a network called library-peer has library-peer-seed-0.
            f"{network.name}-(seed|peer)-[0-9a-z]+",
            spec.seeds.replicas + peers,
            "warning",
            f"only {{{{ $value }}}} nodes of {whole} can be scraped, of {spec.seeds.replicas + peers}",
            f"Files that only the missing pods hold cannot be fetched. First: `{pods}`",
        ),
    ]
    groups = [{"name": f"minga.{network.namespace}.{network.name}", "rules": items}]
    return common.make(network, API, "PrometheusRule", network.name, spec={"groups": groups})


@functools.cache
def _template() -> str:
    """The dashboard of a network to be chosen; made by ``make dashboards``."""
    return importlib.resources.files("minga_operator").joinpath("dashboard.json").read_text(encoding="utf-8")


def _dashboard(network: Network, plan: Plan) -> Object:
    """The same dashboard with this network as its only choice, under a name and an id of its own."""
    board = json.loads(_template().replace(RUNBOOKS, plan.runbooks))
    board["title"] = f"Minga / {network.namespace} / {network.name}"
    board["uid"] = f"minga-{common.digest([network.namespace, network.name])}"
    chosen = {"namespace": network.namespace, "network": network.name}
    board["templating"]["list"] = [
        _constant(variable["name"], chosen[variable["name"]]) if variable["name"] in chosen else variable
        for variable in board["templating"]["list"]
    ]
    content = json.dumps(board, separators=(",", ":"), sort_keys=True)
    name = f"{network.name}-dashboard"
    found = common.make(network, "v1", "ConfigMap", name, data={f"{board['uid']}.json": content})
    found["metadata"]["labels"]["grafana_dashboard"] = "1"
    return found


def _constant(name: str, value: str) -> Object:
    """A variable of a dashboard that cannot be chosen."""
    current = {"text": value, "value": value}
    return {"name": name, "type": "constant", "hide": 2, "query": value, "current": current}


def _too_few(
    network: Network,
    plan: Plan,
    name: str,
    pods: str,
    wanted: int,
    severity: str,
    summary: str,
    description: str,
) -> Object:
    selector = f'namespace="{network.namespace}",pod=~"{pods}"'
    return {
        "alert": name,
        # A count of nothing is no sample, and no sample would be no alert.
        "expr": f"(count(minga_build_info{{{selector}}}) or vector(0)) < {wanted}",
        "for": "10m",
        "labels": {"severity": severity, "namespace": network.namespace, "network": network.name},
        "annotations": {
            "summary": summary,
            "description": description,
            "runbook_url": f"{plan.runbooks}MingaPeerDown/",
        },
    }
