"""How networks are, for Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def standing(bodies: Iterable[Mapping[str, Any]]) -> set[tuple[str, str, str, str]]:
    """Namespace, name, condition and its status, of every network that there is.

    Taken from what the status says, so that those count too whose spec this version cannot read. One whose
    status says nothing yet is not known to be ready.
    """
    found = set()
    for body in bodies:
        place = (str(body["metadata"]["namespace"]), str(body["metadata"]["name"]))
        conditions = (body.get("status") or {}).get("conditions") or ()
        told = {str(item["type"]): str(item["status"]) for item in conditions}
        found |= {(*place, kind, state) for kind, state in ({"Ready": "Unknown"} | told).items()}
    return found
