"""Which workloads keep the pods that an earlier operator made them. Pure.

An operator that renders pods otherwise than the one before would restart every pod of every network as soon
as it is installed. So a workload remembers what its pods were rendered of. How this operator renders that,
and how it renders the network of now, tells whether the user changed anything that is in the pods: only that,
or a restart that was asked for, replaces them, and brings the newer rendering along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from minga_operator.compare import settled
from minga_operator.network import Held, Network, Plan, Rendering
from minga_operator.resources import memory, rendering
from minga_operator.resources.common import Object


def held(network: Network, plan: Plan, workloads: Mapping[str, Object | None]) -> dict[str, Held]:
    """By component, what stays as it was rendered; workloads are those there are, by component."""
    found = {
        component: _held(network, plan, component, live)
        for component, live in workloads.items()
        if live is not None
    }
    return {component: kept for component, kept in found.items() if kept is not None}


def _held(network: Network, plan: Plan, component: str, live: Object) -> Held | None:
    now = rendering(network, plan, component)
    value = (live["metadata"].get("annotations") or {}).get(memory.RENDERED)
    if value == memory.text(network, plan, component, now):
        return None
    before = memory.read(value)
    if before is None:
        return _adopted(network, plan, component, live, now)
    # Removing the request for a restart is none.
    wanted = replace(network, restarted_at=network.restarted_at or before.restarted_at)
    then = rendering(before.network(network), before.plan(plan), component)
    if rendering(wanted, plan, component) != then:
        return None
    if before.secrets != memory.secrets(plan, component, before.rendering.template):
        return None
    return Held(before.rendering, str(value), before.operator, outdated=before.rendering != then)


def _adopted(network: Network, plan: Plan, component: str, live: Object, now: Rendering) -> Held | None:
    """Of an operator that left no memory behind: what there is, when all of the spec has been applied."""
    template = live["spec"]["template"]
    if settled(now.template, template) or network.restarted_at or not _applied(network):
        return None
    metadata = {key: value for key, value in template["metadata"].items() if key != "creationTimestamp"}
    kept = Rendering({**template, "metadata": metadata}, now.files)
    return Held(kept, memory.text(network, plan, component, kept), "", outdated=True)


def _applied(network: Network) -> bool:
    return any(
        item["type"] == "Reconciled"
        and item["status"] == "True"
        and item.get("observedGeneration") == network.generation
        for item in network.status.get("conditions") or ()
    )
