"""The cluster's definition becomes that of this version, as a whole."""

from __future__ import annotations

import copy
from typing import Any

from minga_operator.crd import definition
from minga_operator.definition import updated


def live(**spec: Any) -> dict[str, Any]:
    """As the API server has it: with a version, and what it fills in."""
    found = copy.deepcopy(definition())
    found["metadata"] |= {"resourceVersion": "5", "labels": {"team": "files"}}
    found["spec"] |= {"conversion": {"strategy": "None"}} | spec
    return found


def test_one_that_is_as_this_version_has_it_is_left_alone() -> None:
    assert updated(live(), definition()) is None


def test_what_an_earlier_version_said_and_this_one_does_not_goes() -> None:
    """Such as a default: server-side apply would leave it to the manager that set it."""
    earlier = copy.deepcopy(definition()["spec"]["versions"])
    schema = earlier[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["properties"]["broker"]["default"] = {"managed": {}}
    found = updated(live(versions=earlier), definition())
    assert found is not None
    assert found["spec"]["versions"] == definition()["spec"]["versions"]
    assert found["spec"]["conversion"] == {"strategy": "None"}
    assert found["metadata"] == live()["metadata"]
