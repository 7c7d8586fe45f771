"""The CustomResourceDefinition, generated from the models. ``python -m minga_operator.crd`` prints it."""

from __future__ import annotations

import sys
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, NoDefault
from pydantic_core import core_schema

from minga_operator.brokerspec import Broker
from minga_operator.fields import rule
from minga_operator.model import Spec

GROUP = "minga.dev"
VERSION = "v1alpha1"
KIND = "P2PNetwork"
PLURAL = "p2pnetworks"

Schema = dict[str, Any]

_DROPPED = ("title", "$defs")
_COUNTS = {
    "seeds": "Seeds that exist",
    "readySeeds": "Seeds that have joined and serve",
    "peers": "Peers that exist",
    "readyPeers": "Peers that have joined and serve",
    "files": "Different names in the network's index, as a node reported it",
    "members": "Nodes that are alive, as a node reported it",
    "bytes": "Bytes of all shared files together, as a node reported it",
}
_TEXTS = {
    "phase": "One word: Pending, Progressing, Ready, Degraded or Paused",
    "selector": "Label selector of the peers, for the scale subresource",
    "image": "Image of the nodes; kept until spec.image changes, also when the operator is upgraded",
    "brokerImage": "Image of the managed broker; kept likewise",
    "defaultImage": "Image of the nodes when spec.image names none; kept when the operator is upgraded",
    "defaultBrokerImage": "Image of the managed broker when the spec names none; likewise",
    "url": "Where REST and the page are: by the Ingress, the Gateway, the load balancer, or in the cluster",
    "address": "Address of the load balancer, or pending; only with service.type LoadBalancer",
    "version": "Version of the nodes' image",
    "broker": "Kind and state of the broker, such as managed/Ready",
}


class _WithFactories(GenerateJsonSchema):
    """Writes what a default factory sets into the schema; what it leaves unset has its own default."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        factory = schema.get("default_factory")
        if factory is None:
            return super().get_default_value(schema)
        made = factory()  # type: ignore[call-arg]
        # A union: what the API server fills in would stay beside what is chosen later, and be one too many.
        if isinstance(made, Broker) or not isinstance(made, BaseModel):
            return NoDefault
        return made.model_dump(by_alias=True, exclude_unset=True)


class _Dumper(yaml.SafeDumper):
    """Repeats what is equal instead of pointing at it."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def structural(schema: Schema, definitions: Schema | None = None) -> Schema:
    """Pydantic's JSON schema as a structural one: references put in place, null and titles left out."""
    definitions = schema.get("$defs", {}) if definitions is None else definitions
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[1]]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    if "anyOf" in schema and not schema.get("x-kubernetes-int-or-string"):
        (choice,) = [item for item in schema["anyOf"] if item.get("type") != "null"]
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return structural({**choice, **rest}, definitions)
    found = {key: value for key, value in schema.items() if key not in _DROPPED}
    if found.get("default", ...) is None:
        del found["default"]
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if "properties" in found:
        found["properties"] = {
            key: structural(value, definitions) for key, value in found["properties"].items()
        }
    if isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = structural(found["additionalProperties"], definitions)
    elif "additionalProperties" in found:
        del found["additionalProperties"]
    if "items" in found:
        found["items"] = structural(found["items"], definitions)
    return found


def _condition() -> Schema:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        "properties": {
            "type": text,
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "reason": text,
            "message": text,
            "observedGeneration": {"type": "integer", "format": "int64"},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
        },
    }


def _status() -> Schema:
    properties: Schema = {
        "observedGeneration": {
            "type": "integer",
            "format": "int64",
            "description": "Generation of the spec that this status is about; -1: none yet",
        },
        "conditions": {
            "type": "array",
            "description": "Ready, Reconciling, Stalled, SeedsReady, PeersReady, BrokerReady, Reconciled,"
            " UpToDate, NotEvicted and Paused",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": _condition(),
        },
        "binding": {
            "type": "object",
            "description": "Service binding",
            "properties": {
                "name": {
                    "type": "string",
                    "description": "Secret with the REST address, and its tokens where it asks for any",
                },
            },
        },
        "lastDrain": {
            "type": "object",
            "description": "The last drain of a seed or peer that ended",
            "properties": {
                "pod": {"type": "string", "description": "Its pod"},
                "endedAt": {"type": "string", "format": "date-time", "description": "When it ended"},
                "outcome": {"type": "string", "description": "HandedOver, DeadlineOver or Cancelled"},
                "message": {"type": "string", "description": "What was left, where something was"},
            },
        },
        "draining": {
            "type": "object",
            "description": "Seeds and peers that hand over their only copies before they go, and since when",
            "additionalProperties": {"type": "string", "format": "date-time"},
        },
    }
    for name, description in _COUNTS.items():
        properties[name] = {"type": "integer", "format": "int64", "description": description}
    for name, description in _TEXTS.items():
        properties[name] = {"type": "string", "description": description}
    # Who applies it and asks at once how it is, hears that nothing is known yet. So have Flux's own kinds.
    unseen = {"observedGeneration": -1}
    return {
        "type": "object",
        "description": "What the network is",
        "default": unseen,
        "properties": properties,
    }


def _column(name: str, path: str, kind: str, description: str, priority: int = 0) -> Schema:
    found = {"name": name, "jsonPath": path, "type": kind, "description": description}
    return {**found, "priority": priority} if priority else found


def definition() -> Schema:
    """The whole CustomResourceDefinition."""
    spec = structural(Spec.model_json_schema(by_alias=True, schema_generator=_WithFactories))
    spec["description"] = (Spec.__doc__ or "").strip().replace("``", "`")
    spec["default"] = {}
    ready = ".status.conditions[?(@.type=='Ready')]"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": "p2pnetwork",
                "shortNames": ["p2pn"],
                "categories": ["minga"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.peers.replicas",
                            "statusReplicasPath": ".status.peers",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": [
                        _column(
                            "Ready", f"{ready}.status", "string", "Whether the network is as it should be"
                        ),
                        _column("Seeds", ".status.readySeeds", "integer", "Seeds that are ready"),
                        _column("Peers", ".status.readyPeers", "integer", "Peers that are ready"),
                        _column("Broker", ".status.broker", "string", "Kind and state of the broker"),
                        _column("Files", ".status.files", "integer", "Files in the index"),
                        _column("Status", f"{ready}.message", "string", "What is being waited for"),
                        _column("URL", ".status.url", "string", "Where REST and the page are", 1),
                        _column("Members", ".status.members", "integer", "Nodes that are alive", 1),
                        _column("Version", ".status.version", "string", "Version of the nodes", 1),
                        _column(
                            "Up-To-Date",
                            ".status.conditions[?(@.type=='UpToDate')].status",
                            "string",
                            "Whether pods are as this operator would make them",
                            1,
                        ),
                        _column("Access", ".spec.access.tokens", "string", "Whether REST asks for tokens", 1),
                        _column(
                            "Paused", ".spec.paused", "boolean", "Whether the operator leaves it alone", 1
                        ),
                        _column("Age", ".metadata.creationTimestamp", "date", "Age"),
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": "A P2P network of peers that share files",
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": spec,
                                "status": _status(),
                            },
                            "x-kubernetes-validations": [
                                rule(
                                    "self.metadata.name.size() <= 40"
                                    " && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
                                    "metadata.name must be at most 40 lower-case letters, digits and dashes,"
                                    " begin with a letter, not end with a dash: other names are made of it",
                                )
                            ],
                        }
                    },
                }
            ],
        },
    }


def render() -> str:
    """The definition as YAML, in one canonical form."""
    return yaml.dump(definition(), Dumper=_Dumper, sort_keys=True, width=110, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(render())
