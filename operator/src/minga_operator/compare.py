"""Whether a live object already is what we want, leaving alone what others own. Pure."""

from __future__ import annotations

from typing import Any

from minga_operator.crd import GROUP
from minga_operator.resources.common import Object, digest

APPLIED = f"{GROUP}/applied"
"""Annotation with the digest of what was applied last: a field that we no longer want shows up by it."""

_MISSING = object()


def stamped(wanted: Object) -> Object:
    """The object as it is applied, with its digest."""
    metadata = wanted["metadata"]
    annotations = {**metadata.get("annotations", {}), APPLIED: digest(wanted)}
    return {**wanted, "metadata": {**metadata, "annotations": annotations}}


def projection(wanted: Any, live: Any) -> Any:
    """``live`` cut down to the shape of ``wanted``: what the API server or others added is left out.

    Items of lists are paired by their ``name`` where they have one (containers, ports, volumes: others
    may have put theirs between ours), else by position, and then the lengths must agree.
    """
    if isinstance(wanted, dict) and isinstance(live, dict):
        return {key: projection(value, live.get(key, _MISSING)) for key, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(live, list):
        if wanted and all(isinstance(item, dict) and "name" in item for item in wanted):
            named = {item.get("name"): item for item in live if isinstance(item, dict)}
            return [projection(item, named.get(item["name"], _MISSING)) for item in wanted]
        if len(wanted) == len(live):
            return [projection(ours, theirs) for ours, theirs in zip(wanted, live, strict=True)]
    return "<missing>" if live is _MISSING else live


def settled(wanted: Object, live: Object) -> bool:
    """Whether everything in ``wanted`` is so in ``live``."""
    return bool(projection(wanted, live) == wanted)


def owner(live: Object) -> dict[str, Any] | None:
    """The owner reference of the object's controller."""
    for reference in live["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def differences(wanted: Any, live: Any, path: str = "", depth: int = 3) -> list[str]:
    """Paths of the fields in which ``live``, cut down to the shape of ``wanted``, is not so."""
    if isinstance(wanted, dict) and isinstance(live, dict) and depth:
        found = []
        for key, value in wanted.items():
            place = f"{path}.{key}" if path else str(key)
            found += differences(value, live.get(key, _MISSING), place, depth - 1)
        return found
    return [] if projection(wanted, live) == wanted else [path]


def applied(live: Object) -> bool:
    """Whether an operator of ours applied this object."""
    return APPLIED in (live["metadata"].get("annotations") or {})
