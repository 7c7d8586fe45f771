"""What kopf calls. Handlers only pass on what they are told.

Raw events, not kopf's change handlers: those keep their state in annotations and finalizers of the network,
which would be writes on an idle cluster and a deletion that hangs when the operator is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import kopf

from minga_operator.crd import GROUP, PLURAL, VERSION
from minga_operator.health import Health
from minga_operator.runtime import Runtime


def register(registry: kopf.OperatorRegistry, runtime: Runtime, health: Health) -> None:
    """Registers the handlers for one runtime."""

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True  # main waits for the CRD; nothing else is of interest
        settings.watching.server_timeout = 300
        settings.watching.client_timeout = 330
        # By default it tries for a minute and a half what is refused; whatever ends it is begun again.
        settings.networking.error_backoffs = (1, 2)
        # One that fails is begun again (serving.py), so the process is not to be killed for it.
        settings.process.ultimate_exiting_timeout = None
        health.started(asyncio.get_running_loop())

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def network_changed(event: Mapping[str, Any], **_: Any) -> None:
        if event["type"] == "DELETED":
            runtime.ended(event["object"])
        else:
            runtime.told(event["object"])
