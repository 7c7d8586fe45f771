"""What guards the pods: PodDisruptionBudgets and NetworkPolicies."""

from __future__ import annotations

from minga_operator.network import Network
from minga_operator.resources import common
from minga_operator.resources.common import Object


def budgets(network: Network) -> list[Object]:
    """One PodDisruptionBudget each for seeds, peers and a managed broker of three.

    None for a group of one pod: it would only keep a Kubernetes node from being drained for ever.
    """
    wanted = network.spec.pod_disruption_budget
    if not wanted.enabled:
        return []
    managed = network.spec.broker.managed
    sizes = {
        common.SEED: network.spec.seeds.replicas,
        common.PEER: network.spec.peers.replicas,
        common.BROKER: managed.replicas if managed else 0,
    }
    if network.spec.peers.mode == "DaemonSet":
        sizes[common.PEER] = 0  # evictions do not concern a DaemonSet's pods
    return [
        common.make(
            network,
            "policy/v1",
            "PodDisruptionBudget",
            f"{network.name}-{component}",
            component,
            spec={
                "maxUnavailable": wanted.max_unavailable,
                "selector": {"matchLabels": common.selector(network, component)},
            },
        )
        for component, size in sizes.items()
        if size > 1
    ]


def policies(network: Network) -> list[Object]:
    """Who may connect to nodes and broker."""
    if not network.spec.network_policy.enabled:
        return []
    nodes = {"podSelector": {"matchLabels": common.selector(network)}}
    node_spec = {
        "podSelector": {"matchLabels": common.selector(network)},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"ports": [_port("rest")]},
            {"from": [nodes], "ports": [_port("grpc"), _port("data")]},
        ],
    }
    found = [
        common.make(
            network, "networking.k8s.io/v1", "NetworkPolicy", common.nodes_name(network), spec=node_spec
        )
    ]
    if network.spec.broker.managed is not None:
        brokers = {"podSelector": {"matchLabels": common.selector(network, common.BROKER)}}
        broker_spec = {
            **brokers,
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [nodes], "ports": [_port("amqp")]},
                {"ports": [_port("metrics")]},
                {"from": [brokers], "ports": [_port(4369), _port(25672)]},
            ],
        }
        found.append(
            common.make(
                network,
                "networking.k8s.io/v1",
                "NetworkPolicy",
                common.broker_name(network),
                common.BROKER,
                spec=broker_spec,
            )
        )
    return found


def _port(port: str | int) -> Object:
    return {"port": port, "protocol": "TCP"}
