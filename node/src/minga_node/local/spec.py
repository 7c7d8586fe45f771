"""What ``minga up`` takes from a P2PNetwork: the same YAML that goes to Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from minga_node.errors import ConfigError


@dataclass(frozen=True)
class NetworkSpec:
    name: str
    seeds: int = 1
    peers: int = 3
    sharing: dict[str, Any] = field(default_factory=dict)
    """Keys of the node's configuration."""


SHARING = {
    "uploadLimit": "upload_limit",
    "downloadLimit": "download_limit",
    "parallelism": "parallelism",
    "replicationTarget": "replication_target",
}


def read(path: Path) -> NetworkSpec:
    """Reads the first P2PNetwork of a YAML file.

    Raises:
        ConfigError: one line that names the field.
    """
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    network = next((d for d in documents if isinstance(d, dict) and d.get("kind") == "P2PNetwork"), None)
    if network is None:
        raise ConfigError(f"{path} has no document of kind P2PNetwork")
    spec = network.get("spec") or {}
    name = (network.get("metadata") or {}).get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError("metadata.name is missing: expected the network's name")
    sharing = spec.get("sharing") or {}
    return NetworkSpec(
        name=name,
        seeds=_count(spec, "seeds", 1, 1),
        peers=_count(spec, "peers", 3, 0),
        sharing={ours: quantity(sharing[key]) for key, ours in SHARING.items() if key in sharing},
    )


def _count(spec: dict[str, Any], group: str, default: int, least: int) -> int:
    value = (spec.get(group) or {}).get("replicas", default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"spec.{group}.replicas is {value!r}: expected a whole number, {least} or more")
    return value


SUFFIXES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}


def quantity(value: Any) -> Any:
    """A Kubernetes quantity such as ``50Mi`` as a number; anything else as it is."""
    if isinstance(value, str):
        for suffix, factor in SUFFIXES.items():
            number = value.removesuffix(suffix)
            if number != value and number.isdigit():
                return int(number) * factor
    return value
