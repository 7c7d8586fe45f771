"""Every PromQL expression that we ship, and what each speaks of."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILES = Path(__file__).parents[2] / "charts" / "minga" / "files"
RULES = FILES / "rules.yaml"
COMPARISON = re.compile(r"\s*(?:==|!=|>=|<=|>|<)\s*-?[\d.]+(?:\s*[*+]\s*[\d.]+)*\s*$")
VARIABLES = {
    "namespace": "here",
    "network": ".*",
    "peer": ".*",
    "__rate_interval": "20s",
    "__interval_ms": "15000",
}
TARGET_LABELS = {"namespace", "network", "pod", "instance", "job"}
"""What the scrape adds."""


@dataclass(frozen=True)
class Expression:
    where: str
    text: str
    legend: str = ""

    @property
    def values(self) -> list[str]:
        """The expression, or what a condition compares: that must be there when it is not met.

        What ``unless`` leaves out may well be nothing.
        """
        asked = re.split(r"\bunless\b", self.text)[0]
        return [COMPARISON.sub("", part).strip() for part in re.split(r"\band\b", asked)]

    @property
    def selectors(self) -> list[tuple[str, set[str]]]:
        """Every metric named, with the labels its matchers name."""
        found = re.findall(r"\b(minga[_:][\w:]*|process_\w+|ALERTS)\s*(?:\{([^}]*)\})?", self.text)
        return [(name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))) for name, matchers in found]

    @property
    def grouped(self) -> set[str]:
        """Labels in ``by (…)`` and in the legend."""
        by = re.findall(r"\bby\s*\(([^)]*)\)", self.text)
        return {label.strip() for part in by for label in part.split(",")} | self.legend_labels

    @property
    def pinned(self) -> set[str]:
        """Labels that every metric named has with one value, by a matcher."""
        matchers = re.findall(r"\bminga[_:][\w:]*\s*(?:\{([^}]*)\})?", self.text)
        found = [set(re.findall(r'(\w+)="[^"]*"', part)) for part in matchers]
        return set.intersection(*found) if found else set()

    @property
    def legend_labels(self) -> set[str]:
        return set(re.findall(r"\{\{(\w+)\}\}", self.legend))


def resolved(text: str) -> str:
    """With a dashboard's variables filled in."""
    return re.sub(r"\$(\w+)", lambda match: VARIABLES[match[1]], text)


def dashboards() -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((FILES / "dashboards").glob("*.json"))}


def of_dashboard(name: str, board: dict[str, Any]) -> list[Expression]:
    """Queries of panels, annotations and variables."""
    found = [
        Expression(f"{name} / {panel['title']}", resolved(target["expr"]), target.get("legendFormat", ""))
        for panel in board["panels"]
        for target in panel.get("targets", [])
    ]
    found += [
        Expression(f"{name} / annotation {item['name']}", resolved(item["expr"]))
        for item in board["annotations"]["list"]
        if "expr" in item
    ]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
            assert match, variable["query"]
            found.append(
                Expression(f"{name} / ${variable['name']}", resolved(match[1]), f"{{{{{match[2]}}}}}")
            )
    return found


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def of_rules() -> list[Expression]:
    return [Expression(f"rule {rule.get('alert') or rule['record']}", rule["expr"]) for rule in rules()]


def everything() -> list[Expression]:
    return [e for name, board in dashboards().items() for e in of_dashboard(name, board)] + of_rules()


def is_of_alerts(expression: Expression) -> bool:
    """It asks which alerts fire: there may well be none."""
    return any(name == "ALERTS" for name, _ in expression.selectors)


def is_of_operator(expression: Expression) -> bool:
    return any(name.startswith("minga_operator_") for name, _ in expression.selectors)
