"""The nodes' configuration files."""

from __future__ import annotations

import json
from typing import Any

from minga_operator.network import Network, Plan, quantity
from minga_operator.resources import access, common, peer_tls, storage
from minga_operator.resources.common import Object

DIRECTORY = "/data"


def node(network: Network, component: str) -> dict[str, Any]:
    """What a node's JSON file says, but for its seeds: a change of this restarts the nodes it concerns."""
    sharing = network.spec.sharing
    found = {
        "directory": DIRECTORY,
        "port": common.REST_PORT,
        "grpc_port": common.GRPC_PORT,
        "data_port": common.DATA_PORT,
        "network": peer_tls.network_name(network),
        "seed": component == common.SEED,
        "log_format": "json",
        "upload_limit": quantity(sharing.upload_limit),
        "download_limit": quantity(sharing.download_limit),
        "parallelism": sharing.parallelism,
        **access.settings(network),
        **peer_tls.settings(network),
    }
    if sharing.replication_target > 1:
        # Not the default: the networks of an earlier operator would all be restarted to be told of it.
        found["replication_target"] = sharing.replication_target
    if names := _browsers_names(network):
        found["allowed_hosts"] = names
    return found


def _browsers_names(network: Network) -> list[str]:
    """The names by which browsers reach the network from outside; a node answers them by no others."""
    ingress, gateway = network.spec.ingress, network.spec.gateway
    names = list(network.spec.access.allowed_hosts)
    if ingress is not None:
        names.append(ingress.host)
    if gateway is not None:
        # Without names it has those of the Gateway's listener, which the spec does not say.
        names += gateway.hostnames or ["*"]
    return sorted(set(names))


def digest(network: Network, component: str) -> str:
    """Digest of what concerns that component; not its seeds, which a node that has joined does not need."""
    return common.digest(node(network, component))


def effective(network: Network, plan: Plan, component: str) -> dict[str, Any]:
    """The same, as long as the component's pods stay as an earlier operator rendered them."""
    held = plan.held.get(component)
    return held.rendering.files if held else node(network, component)


def limit_file(component: str) -> str:
    """The ConfigMap's key with the bytes that a node may keep."""
    return f"{component}.storage-limit"


def _seed_urls(network: Network, plan: Plan, without: str = "") -> list[str]:
    names = (f"{common.seed_name(network)}-{ordinal}" for ordinal in range(plan.seed_replicas))
    domain = f"{common.nodes_name(network)}.{network.namespace}.svc"
    return [f"http://{name}.{domain}:{common.REST_PORT}" for name in names if name != without]


def config_map(network: Network, plan: Plan) -> Object:
    """One file for all peers and one for each seed, which joins through the other seeds."""
    peer = {**effective(network, plan, common.PEER), "seed_peer": _seed_urls(network, plan)}
    files = {"peer.json": peer}
    for ordinal in range(plan.seed_replicas):
        name = f"{common.seed_name(network)}-{ordinal}"
        others = _seed_urls(network, plan, without=name)
        files[f"{name}.json"] = {**effective(network, plan, common.SEED), "seed_peer": others}
    data = {name: json.dumps(content, indent=2) + "\n" for name, content in files.items()}
    # Not in the files above: nodes follow a change of it, so a volume that grows restarts nobody.
    storages = {common.SEED: network.spec.seeds.storage, common.PEER: network.spec.peers.storage}
    data |= {limit_file(component): f"{storage.limit(found)}\n" for component, found in storages.items()}
    return common.make(network, "v1", "ConfigMap", common.config_name(network), data=data)
