"""What a workload remembers of its making, so that a newer operator can leave its pods alone.

Plain JSON in an annotation, as kubectl keeps `last-applied-configuration`. There are no secrets in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from minga_operator.crd import GROUP
from minga_operator.model import Spec
from minga_operator.network import Network, Plan, Rendering
from minga_operator.resources import common
from minga_operator.version import VERSION

FOLLOWER = "definitions"
"""The broker's container that brings changed credentials to it. Brokers of an earlier operator have none."""
RENDERED = f"{GROUP}/rendered"

OBSERVED = ("node_image", "broker_image")
"""The fields of a plan that are in pods. A field that is missing here would never restart them."""
IN_ENVIRONMENT = "broker_digest"
"""One more, of pods that have the broker's address in their environment."""


@dataclass(frozen=True)
class Memory:
    """What was rendered, of what, and by which operator."""

    rendering: Rendering
    spec: Spec
    restarted_at: str
    observed: Mapping[str, str]
    secrets: str
    operator: str

    def network(self, now: Network) -> Network:
        """The network as it was then."""
        return replace(now, spec=self.spec, restarted_at=self.restarted_at)

    def plan(self, now: Plan) -> Plan:
        """The plan as it was then, as far as pods are concerned."""
        before: dict[str, Any] = {**self.observed, "held": {}}
        return replace(now, **before)


def text(network: Network, plan: Plan, component: str, rendering: Rendering) -> str:
    """The annotation's value."""
    observed = (*OBSERVED, IN_ENVIRONMENT) if plan.by_environment else OBSERVED
    content = {
        "template": rendering.template,
        "files": rendering.files,
        "spec": network.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        "restartedAt": network.restarted_at,
        "observed": {name: getattr(plan, name) for name in observed},
        "secrets": secrets(plan, component, rendering.template),
        "operator": VERSION,
    }
    return json.dumps(content, separators=(",", ":"))


def read(value: str | None) -> Memory | None:
    """The other way; None when there is none, or nothing that this operator understands."""
    if value is None:
        return None
    try:
        content: dict[str, Any] = json.loads(value)
        return Memory(
            rendering=Rendering(dict(content["template"]), dict(content["files"])),
            spec=Spec.model_validate(content["spec"]),
            restarted_at=str(content["restartedAt"]),
            observed=_observed(content["observed"]),
            secrets=str(content["secrets"]),
            operator=str(content["operator"]),
        )
    except (ValueError, KeyError, TypeError, ValidationError):
        return None


def _observed(content: Mapping[str, Any]) -> dict[str, str]:
    found = {name: str(content[name]) for name in OBSERVED}
    return found | ({IN_ENVIRONMENT: str(content[IN_ENVIRONMENT])} if IN_ENVIRONMENT in content else {})


def secrets(plan: Plan, component: str, template: Mapping[str, Any]) -> str:
    """Digest of what a broker has read when it started; empty for one that follows its credentials."""
    follows = any(item["name"] == FOLLOWER for item in template["spec"]["containers"])
    if component != common.BROKER or plan.credentials is None or follows:
        return ""
    found = plan.credentials
    return common.digest([found.username, found.password, found.cookie])
