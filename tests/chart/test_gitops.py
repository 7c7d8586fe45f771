"""Networks in every state, judged by kstatus as Flux has it, and by Argo CD's interpreter with our script."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from minga_operator import status
from minga_operator.errors import NameTaken, OperatorError
from minga_operator.observed import Observed
from tests.cluster.build import built_once
from tests.unit.operator.networks import NOW, network, plan
from tests.unit.operator.test_status import healthy, peers

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "gitops.md"


@pytest.fixture(scope="module")
def judge() -> Path:
    """The program; built the first time, for most of a minute."""
    return built_once("judge", ".", ROOT / "tests" / "cluster" / "gitops")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The health script that the documentation has."""
    (text,) = re.findall(r"^```lua\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path_factory.mktemp("argocd") / "health.lua"
    path.write_text(text)
    return path


def judged(program: Path, body: dict[str, Any], *how: str) -> tuple[str, str]:
    ended = subprocess.run(
        [program, *how], input=json.dumps(body), capture_output=True, text=True, timeout=60, check=True
    )
    found, message, *_ = (*ended.stdout.splitlines(), "")
    return found, message


def body(spec: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "library", "namespace": "shelf", "uid": "u-1", "generation": 7}
    return {
        "apiVersion": "minga.dev/v1alpha1",
        "kind": "P2PNetwork",
        "metadata": metadata,
        "spec": spec,
        "status": state,
    }


def state(
    observed: Observed, error: OperatorError | None = None, spec: dict[str, Any] | None = None
) -> dict[str, Any]:
    of = network(spec)
    return status.status(of, plan(of), observed, error, None, NOW)


PAUSED = {"paused": True}
TAKEN = NameTaken("Service library exists and is not this network's")


@pytest.mark.parametrize(
    ("spec", "found", "flux", "argo"),
    [
        # As the API server has it before the operator has seen it.
        ({}, {"observedGeneration": -1}, "InProgress", "Progressing"),
        ({}, state(Observed()), "InProgress", "Progressing"),
        ({}, state(healthy(peers=peers(updated=1))), "InProgress", "Progressing"),
        ({}, state(healthy()), "Current", "Healthy"),
        # Of an earlier spec.
        ({}, state(healthy()) | {"observedGeneration": 6}, "InProgress", "Progressing"),
        ({}, state(healthy(), TAKEN), "Failed", "Degraded"),
        (PAUSED, state(healthy(), spec=PAUSED), "InProgress", "Suspended"),
    ],
    ids=["unseen", "made", "rolling", "ready", "changed", "stalled", "paused"],
)
def test_they_say_what_is_so(
    judge: Path, script: Path, spec: dict[str, Any], found: dict[str, Any], flux: str, argo: str
) -> None:
    it = body(spec, found)
    assert judged(judge, it, "kstatus")[0] == flux
    assert judged(judge, it, "argocd", str(script))[0] == argo


def test_both_give_the_reason_of_what_is_stalled(judge: Path, script: Path) -> None:
    it = body({}, state(healthy(), TAKEN))
    for how in (("kstatus",), ("argocd", str(script))):
        assert judged(judge, it, *how)[1] == str(TAKEN)
