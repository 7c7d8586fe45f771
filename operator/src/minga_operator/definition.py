"""``python -m minga_operator.definition``: the cluster's CustomResourceDefinition as this version has it.

Helm installs a definition and never upgrades it, so the chart runs this before an upgrade. Where there is
none, there is nothing to upgrade: whoever installs without Helm may run this first.
"""

from __future__ import annotations

import sys
import time

from kubernetes import config

from minga_operator.crd import GROUP, PLURAL, definition
from minga_operator.errors import OperatorError
from minga_operator.kinds import DEFINITION
from minga_operator.kube import Kube, WriteConflict
from minga_operator.resources.common import Object

_TRIES = 5


def updated(live: Object, wanted: Object) -> Object | None:
    """The definition as it is to be; None where it is so. What others noted in its metadata stays."""
    found = {**live, "spec": {**live["spec"], **wanted["spec"]}}
    return None if found == live else found


def update(kube: Kube) -> bool:
    """Replaces the cluster's definition where it is another one; returns whether that was so.

    Replaced as a whole, not applied: a default or a rule that is no longer wanted would stay if it were of
    another field manager.

    Raises:
        OperatorError: the API server says no.
    """
    name = f"{PLURAL}.{GROUP}"
    for _ in range(_TRIES):
        live = kube.find(DEFINITION, None, name)
        wanted = None if live is None else updated(live, definition())
        if wanted is None:
            return False
        try:
            kube.replace(DEFINITION, wanted)
        except WriteConflict:
            time.sleep(0.2)
            continue
        return True
    raise OperatorError(f"the CustomResourceDefinition {name} changes all the time")


def main() -> int:
    """1, and one line that says why, when it could not be."""
    try:
        changed = update(Kube.connect())
    except (OperatorError, config.ConfigException) as error:
        print(f"the definition of P2PNetwork is not up to date: {error}", file=sys.stderr)
        return 1
    print(f"the definition of P2PNetwork {'is now' if changed else 'need not be brought'} up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
