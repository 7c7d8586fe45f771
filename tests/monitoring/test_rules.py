"""Rules and dashboards by themselves: valid, tested, documented, not drifted, and of metrics that exist."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

import minga_node.metrics
import minga_operator.metrics
from charts.dashboards.__main__ import drifted
from tests.monitoring import expressions
from tests.monitoring.expressions import RULES, TARGET_LABELS, Expression

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
UNIT_TESTS = Path(__file__).with_name("rules_test.yaml")
SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "info": ("_info",),
    "gauge": ("",),
}


def promtool(*arguments: str, folder: Path) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def exported() -> dict[str, set[str]]:
    """Sample name → label names, of both processes and what prometheus-client adds."""
    found: dict[str, set[str]] = {}
    for module in (minga_node.metrics, minga_operator.metrics):
        for family in vars(module).values():
            if isinstance(family, MetricWrapperBase):
                labels = set(family._labelnames)
                for suffix in SUFFIXES[str(family._type)]:
                    extra = {"le"} if suffix == "_bucket" else {"version"} if suffix == "_info" else set()
                    found[family._name + suffix] = labels | extra
    for metric in REGISTRY.collect():
        if metric.name.startswith("process_"):
            for sample in metric.samples:
                found[sample.name] = set()
    for rule in expressions.rules():
        if "record" in rule:
            found[rule["record"]] = {"holders", "source"}
    return found


def test_no_dashboard_has_drifted_from_its_source() -> None:
    assert drifted() == []


def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    promtool("check", "rules", str(RULES), folder=tmp_path)


def test_every_alert_fires_when_it_should(tmp_path: Path) -> None:
    shutil.copy(RULES, tmp_path / "rules.yaml")
    shutil.copy(UNIT_TESTS, tmp_path)
    promtool("test", "rules", UNIT_TESTS.name, folder=tmp_path)


def test_every_alert_has_such_a_test_and_a_runbook() -> None:
    alerts = {rule["alert"] for rule in expressions.rules() if "alert" in rule}
    fired = {
        case["alertname"]
        for test in yaml.safe_load(UNIT_TESTS.read_text())["tests"]
        for case in test.get("alert_rule_test", [])
        if case["exp_alerts"]
    }
    assert fired == alerts
    assert {path.stem for path in RUNBOOKS.glob("Minga*.md")} == alerts
    for rule in expressions.rules():
        if "alert" in rule:
            assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"


@pytest.mark.parametrize("expression", expressions.everything(), ids=lambda one: one.where)
def test_it_names_only_metrics_and_labels_that_are_exported(expression: Expression) -> None:
    known = exported()
    assert expression.selectors
    anywhere = set(TARGET_LABELS)
    for name, labels in expression.selectors:
        assert name in known, name
        assert labels <= known[name] | TARGET_LABELS, (name, labels)
        anywhere |= known[name]
    assert expression.grouped <= anywhere


def test_the_label_that_tells_networks_apart_is_made_by_the_operator() -> None:
    golden = Path(__file__).parents[1] / "unit" / "operator" / "golden" / "everything.yaml"
    monitors = [
        document
        for document in yaml.safe_load_all(golden.read_text())
        if document and document["kind"] == "PodMonitor"
    ]
    relabelings = monitors[0]["spec"]["podMetricsEndpoints"][0]["relabelings"]
    assert relabelings == [{"targetLabel": "network", "replacement": monitors[0]["metadata"]["name"]}]
