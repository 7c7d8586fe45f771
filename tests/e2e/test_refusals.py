"""Nonsense is refused by the API server itself, with a message that names the field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster import Cluster, ClusterError
from tests.e2e.networks import Network

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), pytest.mark.usefixtures("operator")]

CASES: list[tuple[dict[str, Any], str]] = [
    ({"seeds": {"replicas": -1}}, "spec.seeds.replicas"),
    ({"seeds": {"replicas": 0}}, "spec.seeds.replicas"),
    ({"seeds": {"replicas": 10}}, "spec.seeds.replicas"),
    ({"seeds": {"replicas": "two"}}, "spec.seeds.replicas"),
    ({"peers": {"replicas": -1}}, "spec.peers.replicas"),
    ({"peers": {"replicas": 1.5}}, "spec.peers.replicas"),
    ({"peers": {"replicas": 100000}}, "spec.peers.replicas"),
    ({"peers": {"mode": "Deployment"}}, "spec.peers.mode"),
    ({"peers": {"storage": {"size": "ten"}}}, "spec.peers.storage.size"),
    ({"peers": {"storage": {"size": "-1Gi"}}}, "spec.peers.storage.size"),
    ({"peers": {"storage": {"ephemeral": "yes"}}}, "spec.peers.storage.ephemeral"),
    ({"peers": {"resources": {"limits": {"memory": "lots"}}}}, "spec.peers.resources.limits.memory"),
    ({"peers": {"nodeSelector": {"disk": "s s d"}}}, "spec.peers.nodeSelector.disk"),
    ({"peers": {"tolerations": [{}] * 33}}, "spec.peers.tolerations"),
    ({"broker": {}}, "spec.broker"),
    ({"broker": {"managed": {}, "external": {"secretName": "x"}}}, "broker.managed, broker.external"),
    ({"broker": {"managed": {}, "cluster": {"name": "x"}}}, "spec.broker"),
    ({"broker": {"managed": {"replicas": 2}}}, "spec.broker.managed.replicas"),
    (
        {"broker": {"managed": {"replicas": 3, "storage": {"ephemeral": True}}}},
        "broker.managed.storage.ephemeral",
    ),
    ({"broker": {"external": {}}}, "spec.broker.external.secretName"),
    ({"access": {"tokens": "Open"}}, "spec.access.tokens"),
    ({"access": {"tokens": "Secret"}}, "access.secretName"),
    ({"access": {"tokens": "Managed", "secretName": "x"}}, "access.secretName"),
    ({"access": {"secretName": "x"}}, "access.secretName"),
    ({"access": {"protectMetrics": True}}, "access.protectMetrics"),
    ({"peerTls": {"certificates": "Enabled"}}, "spec.peerTls.certificates"),
    ({"peerTls": {"certificates": "Secret"}}, "peerTls.secretName"),
    ({"peerTls": {"certificates": "Managed", "secretName": "x"}}, "peerTls.secretName"),
    ({"peerTls": {"secretName": "x"}}, "peerTls.secretName"),
    ({"broker": {"external": {"secretName": "No_Name"}}}, "spec.broker.external.secretName"),
    ({"broker": {"cluster": {"name": ""}}}, "spec.broker.cluster.name"),
    ({"image": {"tag": "2"}}, "image.repository"),
    ({"image": {"repository": "x", "digest": "sha256:1"}}, "spec.image.digest"),
    ({"image": {"pullPolicy": "Sometimes"}}, "spec.image.pullPolicy"),
    ({"sharing": {"parallelism": 0}}, "spec.sharing.parallelism"),
    ({"sharing": {"replicationTarget": 0}}, "spec.sharing.replicationTarget"),
    ({"sharing": {"uploadLimit": "fast"}}, "spec.sharing.uploadLimit"),
    ({"sharing": {"volume": {"claimName": "x", "folder": "../.."}}}, "spec.sharing.volume.folder"),
    ({"service": {"type": "ExternalName"}}, "spec.service.type"),
    ({"ingress": {}}, "spec.ingress.host"),
    ({"ingress": {"host": "not a host"}}, "spec.ingress.host"),
    ({"gateway": {}}, "spec.gateway.name"),
    ({"gateway": {"name": "front", "hostnames": ["not a host"]}}, "spec.gateway.hostnames"),
    ({"tracing": {}}, "spec.tracing.endpoint"),
    ({"tracing": {"endpoint": "collector:4317"}}, "spec.tracing.endpoint"),
    ({"tracing": {"endpoint": "http://collector:4318", "samplePercent": 101}}, "spec.tracing.samplePercent"),
    ({"podDisruptionBudget": {"maxUnavailable": 0}}, "spec.podDisruptionBudget.maxUnavailable"),
    ({"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Burn"}}, "whenDeleted"),
    ({"paused": "yes"}, "spec.paused"),
    ({"peer": {"replicas": 3}}, "spec.peer"),
]


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Network:
    return Network(cluster, "default", "nonsense")


@pytest.mark.parametrize(
    ("spec", "field"), CASES, ids=[f"{field}-{number}" for number, (_, field) in enumerate(CASES)]
)
def test_nonsense_is_refused_by_the_fields_name(place: Network, spec: dict[str, Any], field: str) -> None:
    with pytest.raises(ClusterError) as refused:
        place.apply(spec)
    assert field in str(refused.value)


@pytest.mark.parametrize("name", ["a" * 41, "1st", "with.dot"])
def test_a_name_of_which_no_others_can_be_made_is_refused(cluster: Cluster, name: str) -> None:
    with pytest.raises(ClusterError, match=r"metadata\.name"):
        Network(cluster, "default", name).apply({})


def test_explain_knows_every_field(cluster: Cluster) -> None:
    text = cluster.kubectl("explain", "p2pnetwork.spec", "--recursive")
    definition = json.loads(cluster.kubectl("get", "crd", "p2pnetworks.minga.dev", "-o", "json"))
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]

    def names(part: dict[str, Any]) -> set[str]:
        found = set(part.get("properties", {}))
        return found.union(*(names(child) for child in part.get("properties", {}).values()))

    assert names(schema) <= set(text.replace("\t", " ").split())
    assert "Number of seeds" in cluster.kubectl("explain", "p2pnetwork.spec.seeds.replicas")
