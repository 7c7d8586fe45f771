"""The chart, and what is rendered from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.render import CHART, MANIFESTS, files, helm, manifests
from tests.policies import Pod, admitted

OPERATOR = ("-n", "minga-system", "--kube-version", "1.34.0")


def render(*arguments: str) -> list[dict[str, Any]]:
    text = helm("template", "minga", CHART, *OPERATOR, *arguments).stdout
    return [item for item in yaml.safe_load_all(text) if item]


def of_kind(items: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item for item in items if item["kind"] == kind]


def test_it_is_lint_clean() -> None:
    assert helm("lint", "--strict", CHART).returncode == 0


@pytest.mark.parametrize("path", [MANIFESTS / "minga.yaml", CHART / "README.md"], ids=lambda path: path.name)
def test_rendered_files_are_up_to_date(path: Path) -> None:
    assert path.read_text() == files()[path], "run `make manifests`"


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("replica=2", "replica"),
        ("replicas=many", "replicas"),
        ("workers=0", "workers"),
        ("monitoring.runbooks=docs/runbooks", "runbooks"),
        ("logFormat=xml", "logFormat"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("network.name=Upper", "name"),
        ("watchNamespaces={Not_a_name}", "watchNamespaces"),
    ],
)
def test_wrong_values_are_refused_by_name(setting: str, named: str) -> None:
    refused = helm("template", "minga", CHART, "--set", setting, check=False)
    assert refused.returncode != 0
    assert named in refused.stderr


def test_all_namespaces_need_a_cluster_role_and_listed_ones_only_roles() -> None:
    everywhere = render()
    assert "minga" in {item["metadata"]["name"] for item in of_kind(everywhere, "ClusterRole")}
    listed = render("--set", "watchNamespaces={a,b}", "--no-hooks")
    assert "minga" not in {item["metadata"]["name"] for item in of_kind(listed, "ClusterRole")}
    assert of_kind(listed, "ClusterRoleBinding") == []
    roles = {item["metadata"]["namespace"] for item in of_kind(listed, "Role")}
    assert roles == {"a", "b", "minga-system"}
    (deployment,) = of_kind(listed, "Deployment")
    environment = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "MINGA_OPERATOR_NAMESPACES", "value": "a,b"} in environment


def test_no_rule_has_a_wildcard() -> None:
    for item in render():
        for rule in item.get("rules") or ():
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_the_operators_pods_admit_probes_and_scrapes_only() -> None:
    items = render()
    (deployment,) = of_kind(items, "Deployment")
    operator, stranger = Pod.of(deployment), Pod("elsewhere", {"app": "shop"})
    policies = of_kind(items, "NetworkPolicy")
    assert [port for port in (22, 80, 8080, 8443) if admitted(policies, stranger, operator, port)] == [8080]
    assert admitted(policies, operator, stranger, 80)


def test_the_definition_is_where_helm_installs_it_before_all_else() -> None:
    """Not among the templates: there Helm refuses a network in the same release as a kind that is unknown."""
    assert of_kind(render(), "CustomResourceDefinition") == []
    (definition,) = of_kind(render("--include-crds"), "CustomResourceDefinition")
    assert definition["metadata"]["name"] == "p2pnetworks.minga.dev"


def test_an_upgrade_brings_the_definition_up_to_date_with_no_more_rights_than_that() -> None:
    (job,) = of_kind(render(), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"
    (operator,) = of_kind(render(), "Deployment")
    images = {item["spec"]["template"]["spec"]["containers"][0]["image"] for item in (job, operator)}
    assert len(images) == 1
    (role,) = [item for item in of_kind(render(), "ClusterRole") if "helm.sh/hook" in str(item["metadata"])]
    (rule,) = role["rules"]
    assert rule["resourceNames"] == ["p2pnetworks.minga.dev"]
    assert rule["verbs"] == ["get", "update"]
    assert of_kind(render("--set", "crds.create=false"), "Job") == []


def test_a_first_network_outlives_its_release() -> None:
    (network,) = of_kind(render("--set", "network.create=true"), "P2PNetwork")
    annotations = network["metadata"]["annotations"]
    assert annotations["helm.sh/resource-policy"] == "keep"
    assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
    assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"


def test_a_first_network_and_extra_objects() -> None:
    extra = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-x"}}]
    items = render(
        "--set",
        "network.create=true,network.spec.peers.replicas=2",
        "--set-json",
        f"extraObjects={json.dumps(extra)}",
    )
    (network,) = of_kind(items, "P2PNetwork")
    assert network["spec"] == {"peers": {"replicas": 2}}
    assert "minga-x" in {item["metadata"]["name"] for item in of_kind(items, "ConfigMap")}


def test_an_image_by_digest() -> None:
    digest = f"sha256:{'0a' * 32}"
    (deployment,) = of_kind(render("--set", f"image.digest={digest}"), "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"minga-operator@{digest}"


def test_dashboards_become_labelled_config_maps_word_for_word() -> None:
    items = of_kind(render("--set", "monitoring.dashboards=true"), "ConfigMap")
    sources = sorted((CHART / "files" / "dashboards").glob("*.json"))
    maps = {item["metadata"]["name"].rsplit("-", 1)[-1]: item for item in items}
    assert sorted(maps) == [path.stem for path in sources] == ["network", "operator", "peer"]
    for path in sources:
        item = maps[path.stem]
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert json.loads(item["data"][f"minga-{path.name}"]) == json.loads(path.read_text())


def test_rules_become_a_prometheus_rule_word_for_word() -> None:
    (item,) = of_kind(render("--set", "monitoring.rules=true"), "PrometheusRule")
    assert item["spec"] == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    assert of_kind(render(), "PrometheusRule") == []


def test_runbooks_are_where_the_values_say() -> None:
    base = "https://team.example/books/"
    items = render("--set", f"monitoring.rules=true,monitoring.dashboards=true,monitoring.runbooks={base}")
    (rules,) = of_kind(items, "PrometheusRule")
    addresses = {
        rule["annotations"]["runbook_url"]
        for group in rules["spec"]["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert f"{base}MingaPeerDown/" in addresses
    assert all(address.startswith(base) for address in addresses)
    assert "minga.dev/runbooks" not in json.dumps(items)
    (deployment,) = of_kind(items, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"name": "MINGA_OPERATOR_RUNBOOKS", "value": base} in container["env"]


def test_manifests_for_images_of_ones_own() -> None:
    text = manifests("registry.example.com/team", "1.2.3")
    assert "image: registry.example.com/team/minga-operator:1.2.3" in text
    assert "registry.example.com/team/minga-node:1.2.3" in text
