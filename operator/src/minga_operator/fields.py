"""What the models of the spec are made of: names, quantities, labels, and rules for the API server."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"

Name = Annotated[str, Field(min_length=1, max_length=253, pattern=NAME)]
Host = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
Quantity = Annotated[
    str | int,
    WithJsonSchema({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": QUANTITY,
        "x-kubernetes-int-or-string": True,
    }),
]
# Kubernetes' own types that we hand on unread: copying their schemas would make the CRD enormous.
Opaque = Annotated[
    dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]
Labels = Annotated[
    dict[str, str],
    WithJsonSchema({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "pattern": r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        },
    }),
]
Annotations = Annotated[
    dict[str, str],
    WithJsonSchema({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 4096},
    }),
]


def rule(expression: str, message: str, path: str | None = None) -> dict[str, str]:
    """A CEL rule; ``message`` names the field."""
    found = {"rule": expression, "message": message}
    if path:
        found["fieldPath"] = path
    return found


class Model(BaseModel):
    """Frozen, camelCase outside; unknown fields are those of a newer CRD and are left alone."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")


def rules(*items: dict[str, str]) -> ConfigDict:
    """The model configuration that adds CEL rules to a model's schema."""
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": [dict(item) for item in items]})
