"""Rules and annotations as Prometheus itself evaluates them (promtool)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring import expressions
from tests.monitoring.expressions import RULES

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
UNIT_TESTS = Path(__file__).with_name("rules_test.yaml")


def objections(*arguments: str, folder: Path) -> str:
    """What promtool has to say against something; nothing if it is right."""
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def with_annotations(path: Path) -> dict[str, Any]:
    """The tests with the description and the runbook of each expected alert, its labels filled in.

    A test names as ``asked`` the pod that Prometheus is asked for by a description.
    """
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    rules = {rule["alert"]: rule["annotations"] for rule in expressions.rules() if "alert" in rule}
    for test in document["tests"]:
        for case in test.get("alert_rule_test", []):
            for alert in case["exp_alerts"]:
                notes, labels = rules[case["alertname"]], alert["exp_labels"]
                asked = alert.pop("asked", "")
                text = re.sub(r"\{\{ with printf .*?\{\{ end \}\}", asked, notes["description"])
                for name, value in labels.items():
                    text = text.replace(f"{{{{ $labels.{name} }}}}", value)
                alert["exp_annotations"] |= {"description": text, "runbook_url": notes["runbook_url"]}
    return document


def test_the_dashboards_table_finds_an_alert_that_fires(tmp_path: Path) -> None:
    (asked,) = [
        one.text
        for one in expressions.everything()
        if expressions.is_of_alerts(one) and one.where.startswith("network")
    ]
    shutil.copy(RULES, tmp_path / "rules.yaml")
    disk = 'minga_disk_bytes{{namespace="here",network="library",pod="a",state="{}"}}'
    test = {
        "interval": "1m",
        "input_series": [
            {"series": disk.format("all"), "values": "100x40"},
            {"series": disk.format("free"), "values": "5x40"},
        ],
        "promql_expr_test": [
            {"expr": f"count by (alertname, pod) ({asked})", "eval_time": "5m", "exp_samples": []},
            {
                "expr": f"count by (alertname, pod) ({asked})",
                "eval_time": "20m",
                "exp_samples": [{"labels": '{alertname="MingaDiskNearlyFull",pod="a"}', "value": 1}],
            },
        ],
    }
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(document))
    assert not objections("test", "rules", "test.yaml", folder=tmp_path)


def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    assert not objections("check", "rules", str(RULES), folder=tmp_path)


def test_every_alert_fires_when_it_should(tmp_path: Path) -> None:
    shutil.copy(RULES, tmp_path / "rules.yaml")
    (tmp_path / UNIT_TESTS.name).write_text(yaml.safe_dump(with_annotations(UNIT_TESTS)))
    assert not objections("test", "rules", UNIT_TESTS.name, folder=tmp_path)


def annotation(board: str, name: str) -> str:
    (found,) = [
        item for item in expressions.dashboards()[board]["annotations"]["list"] if item["name"] == name
    ]
    assert found["textFormat"]
    return expressions.resolved(found["expr"])


@pytest.mark.parametrize("board", ["network", "peer"])
def test_annotations_mark_what_they_say_with_values_that_grafana_shows(board: str, tmp_path: Path) -> None:
    """Grafana passes over samples below 1."""
    about = 'namespace="here",network="library",pod="library-peer-0"'
    here = f'{{{about},instance="10.0.0.7:5000"}}'
    cases = [
        # It comes back under another address at minute 10, begun 20 s before.
        ("Nodes (re)started", 9, []),
        ("Nodes (re)started", 10, [{"labels": here, "value": 20_000}]),
        ("Nodes (re)started", 12, []),
        ("Broker away", 9, []),
        ("Broker away", 15, [{"labels": here, "value": 1}]),
    ]
    test = {
        "interval": "1m",
        "input_series": [
            {
                "series": f'process_start_time_seconds{{{about},instance="10.0.0.6:5000"}}',
                "values": "-900x8 stale",
            },
            {"series": f"process_start_time_seconds{here}", "values": "_x10 580x20"},
            {"series": f"minga_broker_connected{here}", "values": "1x12 0x20"},
        ],
        "promql_expr_test": [
            {"expr": annotation(board, name), "eval_time": f"{minute}m", "exp_samples": samples}
            for name, minute, samples in cases
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"tests": [test]}))
    assert not objections("test", "rules", "test.yaml", folder=tmp_path)
