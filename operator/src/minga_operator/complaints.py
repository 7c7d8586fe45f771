"""What others say of a network's workloads and pods, by Events. Asked for only while something is lacking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from minga_operator.errors import Refused
from minga_operator.kinds import EVENT
from minga_operator.kube import Kube
from minga_operator.network import Network
from minga_operator.resources.common import BROKER, COMPONENT, PEER, SEED, Object
from minga_operator.troubles import hangs, lacking, refusal, unmounted

_PODS = 3
"""So many pods whose containers do not come are asked about: what keeps one mostly keeps all."""


@dataclass(frozen=True)
class Told:
    """What was said."""

    refused: dict[str, str] = field(default_factory=dict)
    """By component, why its workload gets no pods."""
    unmounted: dict[str, str] = field(default_factory=dict)
    """By pod, why its volumes are not there."""


class Complaints:
    """Reads Events by what they are about: never all of a namespace."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def about(
        self, network: Network, workloads: dict[str, Object | None], pods: Sequence[Object], now: str
    ) -> Told:
        """What is said of workloads, by component, that lack pods, and of pods that do not start.

        Raises:
            Unavailable: not now.
        """
        found = Told()
        for component in (SEED, PEER, BROKER):
            live = workloads.get(component)
            if live is None or not lacking(live):
                continue
            own = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(COMPONENT) == component]
            if text := refusal(self._events(network, live), own):
                found.refused[component] = text
        waiting = [pod for pod in pods if hangs(pod, now)]
        for pod in waiting[:_PODS]:
            if text := unmounted(self._events(network, pod)):
                found.unmounted[pod["metadata"]["name"]] = text
        return found

    def _events(self, network: Network, about: Object) -> list[Object]:
        selector = f"regarding.uid={about['metadata']['uid']},type=Warning"
        try:
            answer = self._kube.request(
                "GET", EVENT.path(network.namespace), query={"fieldSelector": selector}
            )
        except Refused:
            # Without that right there is less to say, and nothing else is wrong.
            return []
        items: list[Object] = answer.get("items") or []
        return items
