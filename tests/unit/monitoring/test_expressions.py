"""Rules and dashboards by themselves: tested, documented, not drifted, and of metrics that exist."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY, Counter
from prometheus_client.metrics import MetricWrapperBase

import minga_node.metrics
import minga_operator.metrics
from charts.dashboards.__main__ import drifted
from tests.monitoring import expressions
from tests.monitoring.expressions import TARGET_LABELS, Expression

REPOSITORY = Path(__file__).parents[3]
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
UNIT_TESTS = REPOSITORY / "tests" / "monitoring" / "rules_test.yaml"
SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "info": ("_info",),
    "gauge": ("",),
}


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


def test_every_alert_has_such_a_test_both_ways_and_a_runbook() -> None:
    alerts = {rule["alert"] for rule in expressions.rules() if "alert" in rule}
    cases = [
        case
        for test in yaml.safe_load(UNIT_TESTS.read_text())["tests"]
        for case in test.get("alert_rule_test", [])
    ]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts
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


def test_every_metric_is_looked_at() -> None:
    """What no panel and no rule shows, nobody sees."""
    shown = {name for one in expressions.everything() for name, _ in one.selectors}
    families = {
        family._name
        for module in (minga_node.metrics, minga_operator.metrics)
        for family in vars(module).values()
        if isinstance(family, MetricWrapperBase)
    }
    endings = [ending for suffixes in SUFFIXES.values() for ending in suffixes]
    assert {name for name in families if not any(name + ending in shown for ending in endings)} == set()


ALWAYS = {"minga_rest_requests", "minga_grpc_requests", "minga_gossip_bytes", "minga_messages"}
"""Counted in every network that does anything."""
BEGUN = {"minga_worker_failures"}
"""Begun at zero by ``Workers.watch``, which knows the names."""


def test_what_seldom_happens_reads_zero_before() -> None:
    """A counter without any series is an empty panel, and its first increase is not seen."""
    silent = [
        family._name
        for family in vars(minga_node.metrics).values()
        if isinstance(family, Counter) and family._labelnames and not family._metrics
    ]
    assert set(silent) <= ALWAYS | BEGUN


def test_the_label_that_tells_networks_apart_is_made_by_the_operator() -> None:
    golden = REPOSITORY / "tests" / "unit" / "operator" / "golden" / "everything.yaml"
    monitors = [
        document
        for document in yaml.safe_load_all(golden.read_text())
        if document and document["kind"] == "PodMonitor"
    ]
    relabelings = monitors[0]["spec"]["podMetricsEndpoints"][0]["relabelings"]
    assert relabelings == [{"targetLabel": "network", "replacement": monitors[0]["metadata"]["name"]}]
