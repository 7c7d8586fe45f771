"""The CustomResourceDefinition and its model are one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from minga_operator import crd
from minga_operator.model import Spec

CHART = Path(__file__).parents[3] / "charts" / "minga" / "crds" / "p2pnetworks.yaml"


def spec_schema() -> dict[str, Any]:
    (version,) = crd.definition()["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def fields(schema: dict[str, Any], path: str = "spec") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from fields(child, f"{path}.{name}")


def test_the_charts_definition_is_the_models() -> None:
    assert CHART.read_text() == crd.render(), "run `make crd`"


def test_every_field_is_described() -> None:
    assert [path for path, schema in fields(spec_schema()) if not schema.get("description")] == []


def test_the_schema_is_structural() -> None:
    forbidden = {"$ref", "$defs", "title", "oneOf", "definitions", "const"}
    for path, schema in fields(spec_schema()):
        assert not forbidden & schema.keys(), path
        assert schema.get("type") or schema.get("x-kubernetes-int-or-string"), path


def test_lists_are_bounded() -> None:
    """CEL's cost is estimated from the bounds; without them the API server refuses the definition."""
    for path, schema in fields(spec_schema()):
        if schema.get("type") == "array":
            assert schema.get("maxItems"), path
        if "additionalProperties" in schema:
            assert schema.get("maxProperties"), path


def with_defaults(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """What the API server stores: defaults filled in, from the outside in."""
    found = dict(value)
    for name, child in schema.get("properties", {}).items():
        if name not in found and "default" in child:
            found[name] = child["default"]
        if name in found and child.get("type") == "object":
            found[name] = with_defaults(child, found[name])
    return found


@pytest.mark.parametrize("spec", [{}, {"broker": {"external": {"secretName": "x"}}}, {"peers": {}}])
def test_the_api_servers_defaults_are_the_models(spec: dict[str, Any]) -> None:
    stored = with_defaults(spec_schema(), spec)
    assert Spec.model_validate(stored) == Spec.model_validate(spec)
    jsonschema.validate(stored, spec_schema())


def test_a_choice_of_one_kind_has_no_default() -> None:
    """What the API server fills in stays: a broker that is chosen later would be one too many."""
    assert "default" not in spec_schema()["properties"]["broker"]
    assert "broker" not in with_defaults(spec_schema(), {})
    assert Spec.model_validate({}).broker.managed is not None


@pytest.mark.parametrize("sample", sorted((CHART.parents[3] / "manifests" / "samples").glob("*.yaml")))
def test_samples_fit_the_schema(sample: Path) -> None:
    networks = [item for item in yaml.safe_load_all(sample.read_text()) if item["kind"] == "P2PNetwork"]
    assert networks
    for item in networks:
        jsonschema.validate(item["spec"], spec_schema())
        known = {path for path, _ in fields(spec_schema())}
        assert {f"spec.{name}" for name in item["spec"]} <= known
