"""Which connections NetworkPolicies admit, by their specification: a judge for those that we make.

networking.k8s.io/v1, ingress only: a pod that no policy selects admits everybody; else some rule of some
policy that selects it must have both the sender and the port. What we do not use is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """One end of a connection."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    """Named ports of its containers."""

    @classmethod
    def of(cls, workload: Object) -> Pod:
        """A pod of a StatefulSet, DaemonSet or Deployment."""
        template = workload["spec"]["template"]
        containers = template["spec"]["containers"]
        ports = [port for container in containers for port in container.get("ports", ())]
        assert all(port.get("protocol", "TCP") == "TCP" for port in ports)
        named = {port["name"]: port["containerPort"] for port in ports}
        return cls(workload["metadata"]["namespace"], template["metadata"]["labels"], named)


def admitted(policies: Iterable[Object], sender: Pod, receiver: Pod, port: int) -> bool:
    """Whether a TCP connection from one pod to a port of another comes through."""
    concerned = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == receiver.namespace
        and _selects(policy["spec"]["podSelector"], receiver.labels)
        and "Ingress" in policy["spec"]["policyTypes"]
    ]
    if not concerned:
        return True
    return any(
        _from(rule.get("from"), sender, receiver) and _to(rule.get("ports"), receiver, port)
        for policy in concerned
        for rule in policy["spec"].get("ingress", ())
    )


def _from(peers: Sequence[Object] | None, sender: Pod, receiver: Pod) -> bool:
    """An absent or empty list means everybody."""
    if not peers:
        return True
    for peer in peers:
        assert peer.keys() <= {"podSelector"}, f"not known here: {peer}"
    # Without a namespaceSelector a podSelector means pods of the policy's own namespace.
    return sender.namespace == receiver.namespace and any(
        _selects(peer["podSelector"], sender.labels) for peer in peers
    )


def _to(ports: Sequence[Object] | None, receiver: Pod, port: int) -> bool:
    if not ports:
        return True
    for wanted in ports:
        assert wanted.keys() <= {"port", "protocol"}, f"not known here: {wanted}"
        number = wanted["port"]
        # A name that the pod does not have means no port at all.
        found = receiver.ports.get(number) if isinstance(number, str) else number
        if wanted.get("protocol", "TCP") == "TCP" and found == port:
            return True
    return False


def _selects(selector: Object, labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}, f"not known here: {selector}"
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
