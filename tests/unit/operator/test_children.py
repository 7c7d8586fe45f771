"""When an object may be made anew."""

from __future__ import annotations

import pytest

from minga_operator.children import only_immutable

FIXED = (
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' are forbidden"
)


@pytest.mark.parametrize(
    ("message", "anew"),
    [
        (f'StatefulSet.apps "x" is invalid: {FIXED}', True),
        ('DaemonSet.apps "x" is invalid: spec.selector: Invalid value: {}: field is immutable', True),
        ('StatefulSet.apps "x" is invalid: spec.template.spec.affinity: Required value', False),
        (f'StatefulSet.apps "x" is invalid: [{FIXED}, spec.template.spec.affinity: Required value]', False),
    ],
)
def test_only_for_a_field_that_cannot_change_and_nothing_else(message: str, anew: bool) -> None:
    assert only_immutable(message) is anew
