"""The alerts that the operator makes for one network: they know how many nodes its spec asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from minga_operator.network import RUNBOOKS
from minga_operator.resources import desired
from tests.monitoring import expressions
from tests.monitoring.test_rules import objections
from tests.unit.operator.networks import network, plan


def made(spec: dict[str, Any]) -> dict[str, Any]:
    of = network(spec)
    objects = desired(of, plan(of, kinds=frozenset({"PrometheusRule"})))
    (rule,) = [item for item in objects if item["kind"] == "PrometheusRule"]
    return dict(rule["spec"])


def series(pod: str, values: str) -> dict[str, str]:
    labels = f'namespace="shelf",network="library",pod="library-{pod}",version="1",python="3"'
    return {"series": f"minga_build_info{{{labels}}}", "values": values}


def otherwise(
    folder: Path, spec: dict[str, Any], inputs: list[dict[str, str]], expected: dict[str, str]
) -> str:
    """What fires after half an hour other than these alerts with their summaries, as promtool says it."""
    rules = made(spec)
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    descriptions = {rule["alert"]: rule["annotations"]["description"] for rule in rules["groups"][0]["rules"]}
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in rules["groups"][0]["rules"]}
    cases = [
        {
            "alertname": name,
            "eval_time": "30m",
            "exp_alerts": [
                {
                    "exp_labels": {"severity": severity, "namespace": "shelf", "network": "library"},
                    "exp_annotations": {
                        "summary": expected[name],
                        "description": descriptions[name],
                        "runbook_url": f"{RUNBOOKS}MingaPeerDown/",
                    },
                }
            ]
            if name in expected
            else [],
        }
        for name, severity in severities.items()
    ]
    test = {"interval": "1m", "input_series": inputs, "alert_rule_test": cases}
    (folder / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    return objections("test", "rules", "test.yaml", folder=folder)


ALL = [series("seed-0", "1x40"), series("peer-0", "1x40"), series("peer-1", "1x40")]
TWO = {"peers": {"replicas": 2}}


def test_a_whole_network_is_silent(tmp_path: Path) -> None:
    assert not otherwise(tmp_path, TWO, ALL, {})


def test_a_peer_that_is_not_there_is_missed(tmp_path: Path) -> None:
    few = {"MingaNodesMissing": "only 2 nodes of shelf/library can be scraped, of 3"}
    assert not otherwise(tmp_path, TWO, ALL[:2], few)


def test_a_network_of_which_nothing_is_scraped_is_missed(tmp_path: Path) -> None:
    none = {
        "MingaNodesMissing": "only 0 nodes of shelf/library can be scraped, of 3",
        "MingaSeedsMissing": "no seed of shelf/library can be scraped",
    }
    assert not otherwise(tmp_path, TWO, [series("seed-0", "1x3")], none)


def test_another_network_does_not_count(tmp_path: Path) -> None:
    other = {"series": 'minga_build_info{namespace="attic",pod="library-peer-1"}', "values": "1x40"}
    few = {"MingaNodesMissing": "only 2 nodes of shelf/library can be scraped, of 3"}
    assert not otherwise(tmp_path, TWO, [*ALL[:2], other], few)


@pytest.mark.parametrize("name", ["library-peer", "library-seed"])
def test_a_network_whose_name_begins_likewise_does_not_count(tmp_path: Path, name: str) -> None:
    others = [
        {
            "series": f'minga_build_info{{namespace="shelf",network="{name}",pod="{name}-{pod}"}}',
            "values": "1x40",
        }
        for pod in ("seed-0", "peer-0")
    ]
    missed = {
        "MingaNodesMissing": "only 1 nodes of shelf/library can be scraped, of 3",
        "MingaSeedsMissing": "no seed of shelf/library can be scraped",
    }
    assert not otherwise(tmp_path, TWO, [ALL[1], *others], missed)


def test_a_daemon_set_has_as_many_peers_as_it_has(tmp_path: Path) -> None:
    assert not otherwise(tmp_path, {"peers": {"mode": "DaemonSet"}}, ALL[:1], {})


def test_each_says_what_follows_and_what_to_type_first() -> None:
    for rule in made(TWO)["groups"][0]["rules"]:
        description = rule["annotations"]["description"]
        assert "First: `kubectl -n shelf get pods -l app.kubernetes.io/instance=library`" in description
        assert not description.startswith("First")


def test_no_alert_is_made_twice() -> None:
    """The chart's rules are for every network: an alert in both would come twice."""
    alerts = {rule["alert"] for rule in made({})["groups"][0]["rules"]}
    assert not alerts & {rule.get("alert") for rule in expressions.rules()}
