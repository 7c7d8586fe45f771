"""Writes the dashboards to the chart and the operator, or (``--check``) fails when those there are others."""

from __future__ import annotations

import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from charts.dashboards import networks, operators, peers

TARGET = Path(__file__).parents[1] / "minga" / "files" / "dashboards"
OPERATORS = Path(__file__).parents[2] / "operator" / "src" / "minga_operator" / "dashboard.json"
"""Where the operator has the dashboard of one network, to make one for each that asks for it."""


def rendered() -> dict[str, str]:
    """File name → content."""
    boards = {"network": networks.board(), "peer": peers.board(), "operator": operators.board()}
    encoder = JSONEncoder(sort_keys=True, indent=2)
    return {f"{name}.json": encoder.encode(board.build()) + "\n" for name, board in boards.items()}


def drifted() -> list[str]:
    """Names of files that are missing, superfluous or different in the chart."""
    wanted = rendered()
    present = {path.name: path.read_text(encoding="utf-8") for path in TARGET.glob("*.json")}
    if OPERATORS.exists():
        present[OPERATORS.name] = OPERATORS.read_text(encoding="utf-8")
    wanted[OPERATORS.name] = wanted["network.json"]
    return sorted(name for name in wanted | present if wanted.get(name) != present.get(name))


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        if names := drifted():
            print(f"run `make dashboards`: {', '.join(names)} differ from their source", file=sys.stderr)
        return bool(names)
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, content in rendered().items():
        (TARGET / name).write_text(content, encoding="utf-8")
    OPERATORS.write_text(rendered()["network.json"], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
