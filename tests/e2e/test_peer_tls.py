"""Mutual TLS among peers in a cluster: certificates that the operator makes, and those of others."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from minga_protos.v1 import membership_pb2, membership_pb2_grpc
from tests.cluster import Cluster
from tests.e2e.networks import Network, Rest
from tests.e2e.test_access import KUBELET_SECONDS, STORAGE, uids
from tests.e2e.test_operator import PENDING
from tests.support.authority import Authority
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200), pytest.mark.usefixtures("operator")]

GRPC, DATA = 50051, 50052
KEPT = {"storage": {"size": "1Gi"}}
"""What restarts must not lose."""
SPEC: dict[str, Any] = {
    "seeds": KEPT | {"replicas": 2},
    "peers": KEPT | {"replicas": 2},
    "broker": {"managed": STORAGE},
}


def crosses(network: Network, folder: Path, name: str, giver: str, taker: str) -> None:
    """A file goes from one pod to another."""
    path = folder / name
    path.write_bytes(os.urandom(3_000_000))
    with network.rest(giver) as rest:
        assert rest.put(name, path) == 201
    with network.rest(taker) as rest:
        wait_for(lambda: [row for row in rest.files(name) if row["available"]], f"{name} in the index", 90)
        assert rest.read(f"/files/{name}") == path.read_bytes()


def metric(rest: Rest, line: str) -> float:
    return float(
        next(each for each in rest.read("/metrics").decode().splitlines() if each.startswith(line)).split()[
            -1
        ]
    )


def plain_clients_are_refused(network: Network, pod: str) -> None:
    with (
        network.forward(pod, GRPC) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        membership_pb2_grpc.MembershipStub(channel).ListPeers(membership_pb2.ListPeersRequest(), timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    with network.rest(pod) as rest:
        refused = 'minga_peers_refused_total{reason="no-tls"}'
        before = metric(rest, refused)
        with (
            network.forward(pod, DATA) as port,
            socket.create_connection(("127.0.0.1", port), 10) as sock,
        ):
            sock.sendall(f"GET /pieces/{'0' * 64} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert b"HTTP" not in sock.recv(1024)
        wait_for(lambda: metric(rest, refused) == before + 1, "a refusal counted", 10)
        assert rest.json("/api/v1/node")["peer_tls"] is True


def test_managed_certificates(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    """A live network is changed to them and loses nothing; then they are renewed."""
    network = Network(cluster, namespace)
    network.apply(SPEC)
    network.wait(timeout=300)
    crosses(network, tmp_path, "before.bin", "library-peer-0", "library-peer-1")
    network.patch({"peerTls": {"certificates": "Managed"}})
    wait_for(lambda: changed_pods(network) == 4, "all pods have certificates", 400, every=1)
    network.wait(timeout=300)
    crosses(network, tmp_path, "after.bin", "library-peer-1", "library-seed-1")
    with network.rest("library-seed-0") as rest:
        wait_for(
            lambda: {row["name"] for row in rest.files()} == {"before.bin", "after.bin"}, "both files", 60
        )
        assert len([peer for peer in rest.json("/api/v1/peers")["peers"] if peer["state"] == "alive"]) == 3
    for pod in ("library-seed-0", "library-peer-1"):
        plain_clients_are_refused(network, pod)

    # The authority's key is in no pod, and no key anywhere but in the two Secrets.
    mounted, authority = network.secret("library-peer-tls"), network.secret("library-peer-ca")
    assert "library-peer-ca" not in network.kubectl("get", "pods", "-o", "json")
    told = json.dumps(network.get()) + network.story() + network.kubectl("get", "configmaps", "-o", "json")
    for key in (mounted["tls.key"], authority["tls.key"]):
        for line in key.splitlines()[1:-1]:
            assert line not in told

    # Renewed files are taken by all, and no pod restarts.
    running = uids(network)
    network.kubectl("delete", "secret", "library-peer-tls")
    wait_for(lambda: renewed(network, mounted), "a new certificate", 60)
    end = end_of(network.secret("library-peer-tls")["tls.crt"])
    for pod in network.pods("seed") + network.pods("peer"):
        with network.rest(pod) as rest:
            wait_for(shows(rest, end), f"{pod} has read the new certificate", KUBELET_SECONDS, every=1)
    crosses(network, tmp_path, "renewed.bin", "library-seed-0", "library-peer-0")
    assert uids(network) == running
    network.delete()


def changed_pods(network: Network) -> int:
    pods = network.objects("pods", "app.kubernetes.io/instance=library,minga.dev/role=node")
    return sum("library-peer-tls" in json.dumps(pod["spec"]["volumes"]) for pod in pods)


def renewed(network: Network, before: dict[str, str]) -> bool:
    names = {item["metadata"]["name"] for item in network.objects("secrets")}
    return "library-peer-tls" in names and network.secret("library-peer-tls")["tls.key"] != before["tls.key"]


def shows(rest: Rest, end: float) -> Callable[[], bool]:
    return lambda: metric(rest, "minga_peer_certificate_end_timestamp_seconds") == end


def says(network: Network, words: str) -> Callable[[], bool]:
    return lambda: words in network.wait("Reconciled", "False")


def end_of(certificate: str) -> float:
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc.timestamp()


def test_certificates_of_somebody_else(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    network = Network(cluster, namespace)
    network.apply(PENDING | {"peerTls": {"certificates": "Secret", "secretName": "theirs"}})
    message = network.wait("Reconciled", "False", "SecretMissing")
    assert "Secret theirs is needed for spec.peerTls, and it does not exist" in message
    assert not network.objects("statefulsets"), "a pod that could not start was made"
    name = f"{namespace}.library.peers.minga"
    network.kubectl("create", "secret", "generic", "theirs", "--from-literal=tls.crt=x")
    for files, said in (
        ({}, "it has no key tls.key and no key ca.crt"),
        (made("other.peers.minga"), f"its certificate is not for the DNS name {name}"),
    ):
        network.kubectl("patch", "secret", "theirs", "-p", json.dumps({"data": files}))
        wait_for(says(network, said), said, 90, every=1)
    network.kubectl("patch", "secret", "theirs", "-p", json.dumps({"data": made(name)}))
    network.wait("Reconciled", timeout=120)
    seeds = network.object("statefulset", "library-seed")["spec"]["template"]["spec"]
    (volume,) = [each for each in seeds["volumes"] if each["name"] == "peer-tls"]
    assert volume["secret"]["secretName"] == "theirs"
    network.delete()


def made(name: str) -> dict[str, str]:
    """Values of a Secret, as cert-manager would write them."""
    authority = Authority()
    certificate, key = authority.issue(name)
    files = {"tls.crt": certificate, "tls.key": key, "ca.crt": authority.certificate}
    return {file: base64.b64encode(content).decode() for file, content in files.items()}
