"""What a release is checked for, and what is said of it: ``python -m tests.release check|notes VERSION``."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
CHANGELOG = REPOSITORY / "CHANGELOG.md"
PARTS = ("protos", "node", "operator")


def versions(repository: Path = REPOSITORY) -> dict[str, str]:
    """The version that each part says it has, by the name of the file that says so."""
    found = {}
    for part in PARTS:
        file = f"{part}/pyproject.toml"
        found[file] = str(tomllib.loads((repository / file).read_text())["project"]["version"])
    chart = yaml.safe_load((repository / "charts/minga/Chart.yaml").read_text())
    return found | {
        "charts/minga/Chart.yaml version": str(chart["version"]),
        "charts/minga/Chart.yaml appVersion": str(chart["appVersion"]),
    }


def notes(version: str, changelog: str) -> str:
    """What the changelog says of a version.

    Raises:
        ValueError: it has no such version, or says nothing of it.
    """
    found = re.search(rf"^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    text = found[1].strip() if found else ""
    if not text:
        raise ValueError(f"CHANGELOG.md says nothing of {version}")
    return text + "\n"


def problems(version: str, said: dict[str, str], changelog: str) -> list[str]:
    """Why ``version`` cannot be released, one line each."""
    wrong = [f"{file} says {other}, not {version}" for file, other in said.items() if other != version]
    try:
        notes(version, changelog)
    except ValueError as error:
        wrong.append(str(error))
    return wrong


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in {"check", "notes"}:
        print("usage: python -m tests.release check|notes VERSION", file=sys.stderr)
        return 2
    command, version = arguments
    found = problems(version, versions(), CHANGELOG.read_text())
    for line in found:
        print(line, file=sys.stderr)
    if command == "notes" and not found:
        print(notes(version, CHANGELOG.read_text()), end="")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
