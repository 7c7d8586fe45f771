"""The operator itself: its rights, its replicas, its restarts."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from minga_operator.compare import settled
from minga_operator.network import Credentials, parse
from minga_operator.planning import Existing, Settings, plan
from minga_operator.resources import desired
from minga_operator.resources.memory import RENDERED
from tests.cluster import Cluster, ClusterError
from tests.e2e.install import install, kinds_of_others
from tests.e2e.networks import CHILDREN, Network
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(1500)]

NOWHERE = {"nodeSelector": {"nowhere": "yes"}, "storage": {"ephemeral": True}}
"""Pods that stay pending: what is tried is the operator."""
PENDING: dict[str, Any] = {
    "seeds": NOWHERE,
    "peers": NOWHERE,
    "broker": {"managed": NOWHERE},
}
ACCOUNT = "system:serviceaccount:minga-system:minga"


@pytest.fixture
def kinds(cluster: Cluster) -> Iterator[None]:
    with kinds_of_others(cluster):
        yield


def granted(cluster: Cluster) -> set[tuple[str, str]]:
    """(resource, verb) of the operator's roles."""
    roles = [
        json.loads(cluster.kubectl("get", "clusterrole", "minga", "-o", "json")),
        json.loads(cluster.kubectl("-n", "minga-system", "get", "role", "minga-lease", "-o", "json")),
    ]
    return {
        (resource, verb)
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(cluster: Cluster, since: int) -> tuple[set[tuple[str, str]], list[str]]:
    """(resource, verb) that the operator used, by the API server's audit log, and what was forbidden.

    Forbidden to the pod that runs now: the rights of the one before may have been taken while it was ending.
    """
    found, forbidden = set(), []
    pod = holder(cluster)
    with cluster.audit_log.open() as lines:
        lines.seek(since)
        for line in lines:
            event = json.loads(line)
            user = event["user"]
            mine = user.get("extra", {}).get("authentication.kubernetes.io/pod-name") == [pod]
            if user["username"] != ACCOUNT or "objectRef" not in event:
                continue
            reference, code = event["objectRef"], event.get("responseStatus", {}).get("code", 0)
            resource = "/".join(
                part for part in (reference["resource"], reference.get("subresource")) if part
            )
            if mine and event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid":
                forbidden.append(f"{event['verb']} {resource}")
            found.add((resource, event["verb"]))
            if event["verb"] == "patch" and code == 201:
                # Server-side apply of what is not there: the API server asks for the right to create, too.
                found.add((resource, "create"))
    return found, forbidden


def test_every_right_is_used_and_none_is_missing(cluster: Cluster, namespace: str, kinds: None) -> None:
    since = cluster.audit_log.stat().st_size
    cluster.kubectl("-n", "minga-system", "delete", "lease", "minga", "--ignore-not-found")
    install(cluster)
    network = Network(cluster, namespace)
    storage = {"storage": {"size": "1Gi"}}
    peers = {"storage": {"ephemeral": True}, "replicas": 1}
    network.apply({
        "seeds": storage | {"replicas": 2},
        "peers": peers,
        "ingress": {"host": "files.example.com"},
        "gateway": {"name": "front", "hostnames": ["files.example.com"]},
        "monitoring": {"dashboards": True},
        "broker": {"managed": {"storage": {"ephemeral": True}}},
    })
    network.wait(timeout=300)
    # What is told twice is one Event, which is patched.
    network.looked_at()
    network.looked_at()
    others = network.kubectl("get", "podmonitors,prometheusrules,httproutes", "-o", "name").split()
    kinds_made = [name.partition(".")[0] for name in others]
    assert kinds_made == ["podmonitor", "podmonitor", "prometheusrule", "httproute"]
    less = {
        "seeds": {"storage": {"size": "2Gi"}, "replicas": 2},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "monitoring": {"podMonitor": False, "rules": False, "dashboards": False},
    }
    network.apply(
        less | {"peers": peers | {"mode": "DaemonSet"}, "broker": {"external": {"secretName": "missing"}}}
    )
    network.wait("PeersReady", timeout=240)
    network.apply(less | {"peers": peers, "broker": {"cluster": {"name": "missing"}}})
    network.wait("BrokerReady", "False", "RabbitmqClusterMissing")
    network.wait("PeersReady", timeout=240)
    # Fails when a verb is taken from the roles (403) and when one is added that nothing uses.
    wait_for(lambda: granted(cluster) <= used(cluster, since)[0], "every right used", 60, every=1)
    assert used(cluster, since)[1] == []


def holder(cluster: Cluster) -> str:
    lease = json.loads(cluster.kubectl("-n", "minga-system", "get", "lease", "minga", "-o", "json"))
    return str(lease["spec"]["holderIdentity"])


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["its pod", "its network"])
def test_another_replica_takes_over_within_30_seconds(cluster: Cluster, namespace: str, lost: str) -> None:
    install(cluster, "replicas=2")
    try:
        leader = wait_for(lambda: holder(cluster), "a leader", 60, every=0.5)
        network, system = Network(cluster, namespace), Network(cluster, "minga-system")
        address = system.object("pod", leader)["status"]["podIP"]
        began = time.monotonic()
        with ExitStack() as cut:
            if lost == "its pod":
                cluster.kubectl("-n", "minga-system", "delete", "pod", leader, "--force", "--grace-period=0")
            else:
                # Without a chance to release the lease.
                cut.enter_context(cluster.unanswered(address))
            wait_for(lambda: holder(cluster) not in {"", leader}, "another leader", 60, every=0.2)
            network.apply(PENDING)
            network.wait("Reconciled")
            assert time.monotonic() - began < 30
        network.delete()
    finally:
        install(cluster)


@pytest.mark.slow
def test_minutes_without_the_api_server_lose_nothing(cluster: Cluster, operator: str, namespace: str) -> None:
    network = Network(cluster, namespace)
    network.apply(PENDING)
    network.wait("Reconciled")

    def peers() -> int:
        return int(network.object("statefulset", "library-peer")["spec"]["replicas"])

    system = Network(cluster, operator)

    def running() -> list[dict[str, Any]]:
        """The operator's pods, once there is one and it leads."""
        found = system.objects("pods", "app.kubernetes.io/name=minga-operator")
        return found if [item["metadata"]["name"] for item in found] == [holder(cluster)] else []

    # The one before may still be on its way out, and leading.
    (pod,) = wait_for(running, "one operator, that leads", 90, every=0.5)
    with cluster.unanswered(pod["status"]["podIP"]):
        network.patch({"peers": {"replicas": 5}})
        network.kubectl("delete", "service", "library")
        over = time.monotonic() + 120
        while time.monotonic() < over:
            # A wait for nothing: an operator that could act would show here.
            assert peers() == 3
            time.sleep(2)
    wait_for(lambda: peers() == 5, "the change that was made meanwhile", 120, every=1)
    network.wait("Reconciled")
    assert network.object("service", "library")["spec"]["ports"]
    # The same pod: it had lost its lease, ended, and was started again by the kubelet.
    after = system.object("pod", pod["metadata"]["name"])
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    network.delete()


@pytest.mark.slow
def test_a_list_of_namespaces_needs_roles_only_there(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "namespace", f"{namespace}-not")
    inside, outside = Network(cluster, namespace), Network(cluster, f"{namespace}-not")
    try:
        install(cluster, f"watchNamespaces={{{namespace}}}")
        since = cluster.audit_log.stat().st_size
        for network in (outside, inside):
            network.apply(PENDING)
        inside.wait("Reconciled")
        assert outside.get()["status"] == {"observedGeneration": -1}
        assert used(cluster, since)[1] == []
        with pytest.raises(ClusterError, match="not found"):
            cluster.kubectl("get", "clusterrole", "minga")
        inside.delete()
    finally:
        cluster.kubectl("delete", "namespace", f"{namespace}-not", "--wait=false")
        install(cluster)


def as_desired(network: Network) -> list[str]:
    """How the network's objects differ from those that the builders make; empty when they do not."""
    body = network.get()
    of = parse(body)
    live = {
        (item["kind"], item["metadata"]["name"]): item
        for item in network.objects(CHILDREN)
        if item["kind"] not in {"Pod", "PersistentVolumeClaim"}
    }
    secret = network.secret(f"{of.name}-broker-credentials")
    cookie = network.secret(f"{of.name}-broker-cookie")["cookie"]
    found = plan(
        of,
        Settings(node_image=of.status["image"], broker_image="unused"),
        Existing(),
        credentials=Credentials(secret["username"], secret["password"], cookie),
        broker_digest="unused",
        kinds=frozenset(),
    )
    wanted = {(item["kind"], item["metadata"]["name"]): item for item in desired(of, found)}
    for item in wanted.values():
        # What a workload was rendered of may be an earlier spec, where that makes no difference to its pods.
        item["metadata"].get("annotations", {}).pop(RENDERED, None)
    expected = wanted.keys() | {("Secret", f"{of.name}-broker-{what}") for what in ("credentials", "cookie")}
    problems = [f"missing: {place}" for place in expected - live.keys()]
    problems += [f"too many: {place}" for place in live.keys() - expected]
    problems += [
        f"differs: {place}" for place in wanted if place in live and not settled(wanted[place], live[place])
    ]
    return problems


def is_as_desired(network: Network) -> bool:
    problems = as_desired(network)
    if problems:
        print(network.name, problems)
    return not problems


def is_gone(network: Network) -> bool:
    return not network.objects(CHILDREN)


@pytest.mark.slow
def test_an_operator_killed_20_times_in_a_storm_ends_in_exactly_the_desired_objects(
    cluster: Cluster, operator: str, namespace: str
) -> None:
    chance = random.Random(20)
    networks = [Network(cluster, namespace, f"storm-{number}") for number in range(20)]
    over = threading.Event()
    kills = 0

    def kill() -> None:
        nonlocal kills
        while kills < 20:
            cluster.kubectl(
                "-n", operator, "delete", "pod", "-l", "app.kubernetes.io/name=minga-operator",
                "--force", "--grace-period=0",
            )  # fmt: skip
            kills += 1
            over.wait(chance.uniform(1, 8))

    killer = threading.Thread(target=kill)
    killer.start()
    sizes: dict[str, int] = {}
    try:
        while killer.is_alive():
            network = chance.choice(networks)
            if network.name in sizes and chance.random() < 0.25:
                network.kubectl("delete", "p2pn", network.name, "--wait=false")
                del sizes[network.name]
            else:
                sizes[network.name] = chance.randint(0, 9)
                network.apply(PENDING | {"peers": NOWHERE | {"replicas": sizes[network.name]}})
    finally:
        killer.join(300)
    assert kills == 20
    for network in networks:
        if network.name in sizes:
            network.wait("Reconciled", timeout=240)
            wait_for(partial(is_as_desired, network), f"{network.name} as desired", 60, every=1)
            spec = network.object("statefulset", f"{network.name}-peer")["spec"]
            assert spec["replicas"] == sizes[network.name]
        else:
            wait_for(partial(is_gone, network), f"no {network.name}", 120, every=1)
