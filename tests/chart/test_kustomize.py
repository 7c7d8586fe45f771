"""The kustomize base: all that is rendered, and what an overlay makes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.render import MANIFESTS
from tests.cluster.build import ensure_binaries

Objects = dict[tuple[str, str, str], dict[str, Any]]


def by_name(text: str) -> Objects:
    """Objects by kind, namespace and name, of which none is there twice."""
    items = [item for item in yaml.safe_load_all(text) if item]
    found = {
        (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]): item
        for item in items
    }
    assert len(found) == len(items)
    return found


def build(folder: Path) -> Objects:
    """What the kubectl on the PATH, else the test cluster's, builds of a kustomization."""
    program = shutil.which("kubectl") or str(ensure_binaries().kubectl)
    done = subprocess.run([program, "kustomize", folder], check=True, capture_output=True, text=True)
    return by_name(done.stdout)


def test_the_base_builds_exactly_what_is_rendered() -> None:
    assert build(MANIFESTS) == by_name((MANIFESTS / "minga.yaml").read_text())


@pytest.fixture
def overlay(tmp_path: Path) -> Objects:
    """The base in another namespace with another operator image."""
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "files",
        "resources": [os.path.relpath(MANIFESTS, tmp_path)],
        "images": [{"name": "minga-operator", "newName": "registry.example.com/minga", "newTag": "mine"}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return build(tmp_path)


def test_an_overlay_moves_all_to_its_namespace(overlay: Objects) -> None:
    base = by_name((MANIFESTS / "minga.yaml").read_text())
    moved = {"": "", "minga-system": "files"}
    expected = {(kind, moved[namespace], moved.get(name, name)) for kind, namespace, name in base}
    assert overlay.keys() == expected
    subjects = [subject for item in overlay.values() for subject in item.get("subjects", ())]
    assert {subject["namespace"] for subject in subjects} == {"files"}
    # Nothing says the base's namespace in a place that kustomize does not know of.
    assert "minga-system" not in yaml.safe_dump(list(overlay.values()))


def test_an_overlay_sets_the_operators_image(overlay: Objects) -> None:
    pod = overlay["Deployment", "files", "minga"]["spec"]["template"]["spec"]
    assert [item["image"] for item in pod["containers"]] == ["registry.example.com/minga:mine"]
