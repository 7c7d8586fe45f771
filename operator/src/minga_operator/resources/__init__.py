"""From a network to the objects it should have. All pure: same input, same objects.

:func:`desired` renders everything, one module a kind of object: ``workload``, ``service``, ``config``,
``broker``, ``protection``, ``monitoring``. Golden files in the tests hold what comes out.

Threads: none. The operator calls from whichever worker reconciles the network.

Locks: none; nothing here changes.

Lifetime: objects are plain dicts that live for one reconciliation. What Kubernetes keeps of them belongs to
:mod:`minga_operator.children`.
"""

from __future__ import annotations

from minga_operator.network import Network, Plan, Rendering
from minga_operator.resources import broker, common, config, monitoring, protection, service, workload
from minga_operator.resources.common import Object


def desired(network: Network, plan: Plan) -> list[Object]:
    """All objects, in the order in which they are applied: what pods refer to comes before the pods."""
    managed = network.spec.broker.managed
    local = [service.local(network)] if network.spec.peers.mode == "DaemonSet" else []
    return [
        config.config_map(network, plan),
        service.nodes(network),
        service.client(network),
        *local,
        *service.ingress(network),
        *service.route(network, plan),
        service.binding(network, plan),
        *protection.policies(network),
        *(broker.objects(network, managed, plan) if managed is not None else []),
        workload.seeds(network, plan),
        workload.peers(network, plan),
        *protection.budgets(network),
        *monitoring.objects(network, plan),
    ]


def rendering(network: Network, plan: Plan, component: str) -> Rendering:
    """What this operator makes the pods of a workload of."""
    if component == common.BROKER:
        return broker.rendering(network, plan)
    return workload.rendering(network, plan, component)


__all__ = ["Object", "desired", "rendering"]
