"""What is made of a network, object by object."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minga_operator.kinds import BY_NAME, WATCHED
from minga_operator.network import RUNBOOKS, Tokens
from minga_operator.resources import common, config, desired, memory, workload
from tests.unit.operator.networks import TOKENS, network, plan

CHART = Path(__file__).parents[3] / "charts" / "minga" / "files" / "dashboards"
CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "everything": {
        "image": {"repository": "example.com/node", "tag": "2", "pullSecrets": ["pull"]},
        "labels": {"team": "a"},
        "annotations": {"note": "x"},
        "seeds": {
            "replicas": 3,
            "storage": {"size": "1Gi", "storageClassName": "fast"},
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "topologySpreadConstraints": [{"maxSkew": 2}],
            "priorityClassName": "high",
        },
        "peers": {"replicas": 5, "storage": {"ephemeral": True, "size": "2Gi"}},
        "sharing": {
            "uploadLimit": "100M",
            "parallelism": 8,
            "replicationTarget": 2,
            "volume": {"claimName": "weights"},
        },
        "broker": {"managed": {"replicas": 3, "image": "rabbitmq:4.2"}},
        "access": {"tokens": "Secret", "secretName": "ours", "protectMetrics": True},
        "peerTls": {"certificates": "Secret", "secretName": "certificates"},
        "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
        "tracing": {"endpoint": "http://collector.traces:4318", "samplePercent": 5},
        "ingress": {"host": "files.example.com", "className": "nginx", "tlsSecretName": "cert"},
        "gateway": {
            "name": "front",
            "namespace": "edge",
            "sectionName": "https",
            "hostnames": ["files.example.com"],
            "annotations": {"a": "b"},
        },
    },
    "daemonset": {"peers": {"mode": "DaemonSet", "storage": {"size": "20Gi"}}},
    "external": {
        "broker": {"external": {"secretName": "ours"}},
        "networkPolicy": {"enabled": False},
        "access": {"tokens": "Managed"},
        "peerTls": {"certificates": "Managed"},
    },
    "cluster": {"broker": {"cluster": {"name": "rabbit"}}, "podDisruptionBudget": {"enabled": False}},
}


@pytest.mark.parametrize("case", CASES)
def test_objects_are_as_in_the_golden_file(
    case: str, golden: Callable[[str, list[Any]], tuple[str, str]]
) -> None:
    of = network(CASES[case])
    optional = frozenset(kind.name for kind in WATCHED if kind.optional)
    kinds = optional if case == "everything" else frozenset[str]()
    made, said = golden(case, [readable(item) for item in desired(of, plan(of, kinds=kinds))])
    assert made == said, f"differs from {case}.yaml; if so intended: pytest --update-golden"


def readable(item: dict[str, Any]) -> dict[str, Any]:
    """Without what a workload remembers of its template, which would only say everything twice."""
    annotations = item["metadata"].get("annotations", {})
    if memory.RENDERED in annotations:
        assert json.loads(annotations[memory.RENDERED])["template"] == item["spec"]["template"]
        annotations[memory.RENDERED] = "JSON of this template and what it was rendered of"
    return item


@pytest.mark.parametrize("case", CASES)
def test_every_object_goes_with_the_network(case: str) -> None:
    of = network(CASES[case])
    for item in desired(of, plan(of)):
        (owner,) = item["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("P2PNetwork", "u-1", True)
        assert item["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "minga-operator"
        assert BY_NAME[item["kind"]].api_version == item["apiVersion"]


@pytest.mark.parametrize("case", CASES)
def test_every_pod_meets_the_restricted_standard(case: str) -> None:
    of = network(CASES[case])
    templates = [
        item["spec"]["template"]["spec"]
        for item in desired(of, plan(of))
        if "template" in item.get("spec", {})
    ]
    assert templates
    for pod in templates:
        security = pod["securityContext"]
        assert security["runAsNonRoot"]
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert not pod["automountServiceAccountToken"]
        allowed = {"name", "configMap", "emptyDir", "secret", "persistentVolumeClaim", "ephemeral"}
        assert all(volume.keys() <= allowed for volume in pod["volumes"])


def test_runbooks_are_where_the_operator_was_told() -> None:
    of = network({"monitoring": {"dashboards": True, "rules": True}})
    made = json.dumps(
        desired(of, plan(of, kinds=frozenset({"PrometheusRule"}), runbooks="https://team.example/books/"))
    )
    assert "https://team.example/books/MingaPeerDown/" in made
    assert "https://team.example/books/${__value.raw}/" in made
    assert RUNBOOKS not in made


def test_a_dashboard_shows_its_network_and_no_other() -> None:
    of = network({"monitoring": {"dashboards": True, "labels": {"team": "a"}}})
    (item,) = [item for item in desired(of, plan(of)) if item["metadata"]["name"] == "library-dashboard"]
    assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert item["metadata"]["labels"]["team"] == "a"
    ((name, text),) = item["data"].items()
    board = json.loads(text)
    assert name == f"{board['uid']}.json"
    assert board["title"] == "Minga / shelf / library"
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert {variables["namespace"]["query"], variables["network"]["query"]} == {"shelf", "library"}
    assert {variables["namespace"]["type"], variables["network"]["type"]} == {"constant"}
    # What the panels ask for is still there to be asked for.
    used = set(re.findall(r"\$(\w+)", json.dumps(board["panels"]))) - {"__rate_interval", "__value"}
    assert used <= variables.keys()
    assert {"namespace", "network"} <= used
    assert board["panels"] == json.loads((CHART / "network.json").read_text())["panels"]


def routes(spec: dict[str, Any], *kinds: str) -> list[dict[str, Any]]:
    of = network(spec)
    return [item for item in desired(of, plan(of, kinds=frozenset(kinds))) if item["kind"] == "HTTPRoute"]


def test_a_route_is_made_only_where_the_spec_asks_and_the_kind_exists() -> None:
    asked = {"gateway": {"name": "front"}}
    (route,) = routes(asked, "HTTPRoute")
    assert route["spec"]["parentRefs"] == [{"name": "front"}]
    assert "hostnames" not in route["spec"]
    assert routes(asked, "PodMonitor") == routes({}, "HTTPRoute") == []


def _template(spec: dict[str, Any], component: str, **changes: Any) -> Any:
    of = network(spec)
    make = workload.seeds if component == "seed" else workload.peers
    return make(of, plan(of, **changes))["spec"]["template"]


@pytest.mark.parametrize(
    ("change", "seeds_roll", "peers_roll"),
    [
        ({"sharing": {"uploadLimit": "5M"}}, True, True),
        ({"sharing": {"replicationTarget": 1}}, False, False),
        ({"sharing": {"replicationTarget": 2}}, True, True),
        ({"seeds": {"replicas": 3}}, False, False),
        ({"peers": {"replicas": 9}}, False, False),
        ({"peers": {"resources": {"limits": {"memory": "1Gi"}}}}, False, True),
        ({"sharing": {"volume": {"claimName": "weights"}}}, True, False),
        ({"service": {"type": "NodePort"}}, False, False),
        ({"networkPolicy": {"enabled": False}}, False, False),
        ({"access": {"tokens": "Managed"}}, True, True),
    ],
)
def test_a_change_restarts_only_the_pods_it_concerns(
    change: dict[str, Any], seeds_roll: bool, peers_roll: bool
) -> None:
    assert (_template({}, "seed") != _template(change, "seed")) is seeds_roll
    assert (_template({}, "peer") != _template(change, "peer")) is peers_roll


@pytest.mark.parametrize("component", ["seed", "peer"])
@pytest.mark.parametrize("case", ["default", "external", "cluster"])
def test_other_broker_credentials_restart_nobody_and_reach_every_node(case: str, component: str) -> None:
    """The kubelet renews what is mounted as a directory; a subPath or a variable it never does."""
    template = _template(CASES[case], component)
    assert template == _template(CASES[case], component, broker_digest="fedcba9876543210")
    (container,) = template["spec"]["containers"]
    (file,) = [item["value"] for item in container["env"] if item["name"] == "MINGA_BROKER_URL_FILE"]
    assert not any(item["name"] == "MINGA_BROKER_URL" for item in container["env"])
    (mount,) = [item for item in container["volumeMounts"] if file.startswith(item["mountPath"] + "/")]
    assert "subPath" not in mount
    (volume,) = [item["secret"] for item in template["spec"]["volumes"] if item["name"] == mount["name"]]
    name, key = {
        "default": ("library-broker-credentials", "uris"),
        "external": ("ours", "uri"),
        "cluster": ("rabbit-default-user", "connection_string"),
    }[case]
    assert (volume["secretName"], volume["items"]) == (name, [{"key": key, "path": Path(file).name}])
    # A broker of others may come later than the nodes, which share files meanwhile.
    assert volume.get("optional", False) is (case != "default")


def test_nodes_of_an_image_that_may_not_know_the_file_have_the_address_in_their_environment() -> None:
    template = _template({}, "peer", by_environment=True)
    assert template != _template({}, "peer", by_environment=True, broker_digest="fedcba9876543210")
    names = {item["name"] for item in template["spec"]["containers"][0]["env"]}
    assert "MINGA_BROKER_URL" in names
    assert "MINGA_BROKER_URL_FILE" not in names


def test_other_tokens_restart_nobody_and_are_told_by_the_binding() -> None:
    spec = {"access": {"tokens": "Managed"}}
    others = Tokens("another-token-to-read", "another-token-to-write")
    for component in ("seed", "peer"):
        assert _template(spec, component) == _template(spec, component, tokens=others)
    data = _binding(spec, tokens=others)
    assert (data["read-token"], data["write-token"]) == (others.read, others.write)
    assert "read-token" not in _binding(spec, tokens=Tokens("", others.write))
    assert _binding({}).keys() == {"type", "provider", "host", "port", "uri"}


def _binding(spec: dict[str, Any], **changes: Any) -> dict[str, str]:
    of = network(spec)
    (found,) = [
        item
        for item in desired(of, plan(of, **changes))
        if item["kind"] == "Secret" and item["type"] == "servicebinding.io/minga"
    ]
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def test_no_object_but_secrets_has_a_token_in_it() -> None:
    of = network(CASES["everything"])
    kinds = frozenset(kind.name for kind in WATCHED if kind.optional)
    for item in desired(of, plan(of, kinds=kinds)):
        if item["kind"] != "Secret":
            assert TOKENS.write not in json.dumps(item), item["kind"]
            assert common.base64(TOKENS.write) not in json.dumps(item), item["kind"]
    assert TOKENS.write not in repr(plan(of))


def test_each_seed_joins_through_the_others() -> None:
    of = network({"seeds": {"replicas": 2}})
    config = next(item for item in desired(of, plan(of)) if item["kind"] == "ConfigMap")
    first = json.loads(config["data"]["library-seed-0.json"])
    assert first["seed_peer"] == ["http://library-seed-1.library-nodes.shelf.svc:5000"]
    assert len(json.loads(config["data"]["peer.json"])["seed_peer"]) == 2


def test_a_single_seed_is_the_first_node() -> None:
    of = network()
    config = next(item for item in desired(of, plan(of)) if item["kind"] == "ConfigMap")
    assert json.loads(config["data"]["library-seed-0.json"])["seed_peer"] == []


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ({}, None),
        (
            {"access": {"allowedHosts": ["b.example.com", "*.example.org"]}},
            ["*.example.org", "b.example.com"],
        ),
        ({"ingress": {"host": "a.example.com"}}, ["a.example.com"]),
        ({"gateway": {"name": "edge", "hostnames": ["a.example.com"]}}, ["a.example.com"]),
        ({"gateway": {"name": "edge"}}, ["*"]),
    ],
)
def test_nodes_know_the_names_by_which_browsers_reach_them(
    spec: dict[str, Any], names: list[str] | None
) -> None:
    assert config.node(network(spec), "peer").get("allowed_hosts") == names
