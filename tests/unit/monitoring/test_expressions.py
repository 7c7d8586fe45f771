"""Rules and dashboards by themselves: tested, documented, not drifted, and of metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, Counter
from prometheus_client.metrics import MetricWrapperBase

import minga_node.metrics
import minga_operator.metrics
import minga_operator.network
from charts.dashboards.__main__ import drifted
from charts.dashboards.parts import COUNT, RUNBOOKS
from tests.monitoring import expressions
from tests.monitoring.expressions import TARGET_LABELS, Expression

REPOSITORY = Path(__file__).parents[3]
PAGES = REPOSITORY / "docs" / "runbooks"
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
    # Prometheus' own, with the labels of the alert.
    labels = {"alertname", "alertstate", "severity", "network_namespace"}
    found["ALERTS"] = labels
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
    assert {path.stem for path in PAGES.glob("Minga*.md")} == alerts
    for rule in expressions.rules():
        if "alert" in rule:
            assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}{rule['alert']}/"


def test_runbooks_have_one_address_until_somebody_names_another() -> None:
    values = yaml.safe_load((REPOSITORY / "charts" / "minga" / "values.yaml").read_text())
    assert {RUNBOOKS, minga_operator.network.RUNBOOKS, values["monitoring"]["runbooks"]} == {RUNBOOKS}
    assert RUNBOOKS.startswith("https://")


@pytest.mark.parametrize(
    "rule", [one for one in expressions.rules() if "alert" in one], ids=lambda one: one["alert"]
)
def test_every_alert_says_where_what_follows_and_what_to_type_first(rule: dict[str, Any]) -> None:
    notes = rule["annotations"]
    whole = notes["summary"] + notes["description"]
    of_operator = rule["alert"].startswith("MingaOperator")
    assert re.search(r"\$labels\.(network_)?namespace\b", notes["summary"])
    assert of_operator or "{{ $labels.network }}" in notes["summary"]
    # A pod: the alert's own, one that Prometheus is asked for, or one to look from. A resource has none.
    named = ("$labels.pod", 'label "pod"', "-seed-0", "describe p2pnetwork")
    assert any(name in whole for name in named)
    if re.search(r"\bby \([^)]*\bpod\b", rule["expr"]):
        assert "{{ $labels.pod }}" in whole
    effect, _, rest = notes["description"].partition(" First: `")
    assert len(effect) > 20
    command = rest.split("`")[0]
    assert command.startswith("kubectl ")
    assert "namespace }}" in command


@pytest.mark.parametrize("board", sorted(expressions.dashboards()))
def test_panels_fill_rows_of_24_columns(board: str) -> None:
    panels = expressions.dashboards()[board]["panels"]
    rows: dict[int, int] = {}
    for panel in panels:
        where = panel["gridPos"]
        assert where["x"] + where["w"] <= 24, panel["title"]
        rows[where["y"]] = rows.get(where["y"], 0) + where["w"]
    # The last row may be short, and a curve may stand beside numbers.
    assert [y for y, width in rows.items() if width != 24 and y != max(rows)] == []


def panels_of_all() -> list[Any]:
    return [
        pytest.param(panel, id=f"{name} / {panel['title']}")
        for name, board in expressions.dashboards().items()
        for panel in board["panels"]
        if panel["type"] != "row"
    ]


QUANTILE = re.compile(r"histogram_quantile\(([\d.]+)")
LEGENDS = {"0.5": "p50", "0.99": "p99", "1": "max"}


@pytest.mark.parametrize("panel", panels_of_all())
def test_quantiles_are_told_by_their_names(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        if found := QUANTILE.search(target["expr"]):
            name = LEGENDS[found[1]]
            assert name in (target["legendFormat"], panel["title"].rsplit(", ", 1)[-1])


@pytest.mark.parametrize("panel", panels_of_all())
def test_whole_things_are_shown_without_fractions(panel: dict[str, Any]) -> None:
    """``short`` is for what has fractions by its nature."""
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    if panel["type"] == "table":
        return
    if defaults["unit"] == COUNT:
        assert defaults["decimals"] == 0
    else:
        assert defaults["unit"] != "short" or "cores" in panel["title"]


VAGUE = {"Received", "Sent", "Rate", "Duration", "Queue", "Refused", "Stalls", "Not ready", "Not watched"}


@pytest.mark.parametrize("panel", panels_of_all())
def test_titles_name_the_thing(panel: dict[str, Any]) -> None:
    assert panel["title"].split(",")[0] not in VAGUE
    assert not re.match(r"(Below|Not|Since|By|What|Who)\b", panel["title"])
    assert panel["description"].endswith(".")


@pytest.mark.parametrize("board", ["network", "operator"])
def test_firing_alerts_link_to_their_runbooks(board: str) -> None:
    (table,) = [one for one in expressions.dashboards()[board]["panels"] if one["type"] == "table"]
    assert 'alertstate="firing"' in table["targets"][0]["expr"]
    links = [
        link["url"]
        for override in table["fieldConfig"]["overrides"]
        for item in override["properties"]
        if item["id"] == "links"
        for link in item["value"]
    ]
    assert links == [f"{RUNBOOKS}${{__value.raw}}/"]


@pytest.mark.parametrize("title", ["Leaders", "Time since the last good reconcile"])
def test_numbers_that_may_be_bad_have_a_colour_for_it(title: str) -> None:
    (panel,) = [one for one in expressions.dashboards()["operator"]["panels"] if one["title"] == title]
    assert "red" in {step["color"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]}


def test_the_network_shows_stalled_downloads_and_its_disks() -> None:
    asked = " ".join(
        target["expr"]
        for panel in expressions.dashboards()["network"]["panels"]
        for target in panel.get("targets", [])
    )
    assert "minga_stalled_downloads" in asked
    assert "minga_disk_bytes" in asked


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


@pytest.mark.parametrize("expression", expressions.everything(), ids=lambda one: one.where)
def test_nothing_is_told_apart_by_a_label_that_has_one_value_here(expression: Expression) -> None:
    """The operator's own namespace is not the one of what it watches: that has a label of its own."""
    assert expression.grouped.isdisjoint(expression.pinned)


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
