"""What a release needs: one version everywhere, a changelog, workflows that call what is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import release

REPOSITORY = release.REPOSITORY
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


def test_all_parts_have_one_version_that_the_changelog_knows() -> None:
    versions = release.versions()
    version = versions["node/pyproject.toml"]
    assert release.problems(version, versions, release.CHANGELOG.read_text()) == []


def test_a_version_that_is_not_everywhere_is_named_with_its_file() -> None:
    said = {"node/pyproject.toml": "1.2.3", "charts/minga/Chart.yaml version": "1.2.2"}
    assert release.problems("1.2.3", said, "## 1.2.3\n\n- New.\n") == [
        "charts/minga/Chart.yaml version says 1.2.2, not 1.2.3"
    ]
    (missing,) = release.problems("1.2.3", {}, "## 1.2.30\n\n- New.\n")
    assert "nothing of 1.2.3" in missing


def test_the_notes_are_those_of_the_version() -> None:
    changelog = "# Changes\n\n## 2.0.0 (not released)\n\n- b\n\n## 1.0.0\n\n- a\n"
    assert release.notes("2.0.0", changelog) == "- b\n"
    assert release.notes("1.0.0", changelog) == "- a\n"
    with pytest.raises(ValueError, match=r"3\.0\.0"):
        release.notes("3.0.0", changelog)


def test_the_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["check", "9.9.9"]) == 1
    assert "node/pyproject.toml says" in capsys.readouterr().err
    assert release.main(["check"]) == 2


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_what_is_there_and_may_do_little(path: Path) -> None:
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    targets = set(re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
    called = set(
        re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join(step.get("run", "") for step in steps(workflow)))
    )
    # A target is known, and a package to install is none.
    assert called - {"golang"} <= targets
    for step in steps(workflow):
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.fullmatch(r"[\w.-]+(/[\w.-]+)+@v\d+", step["uses"])
    for job in workflow["jobs"].values():
        assert set(
            [job.get("needs", [])] if isinstance(job.get("needs"), str) else job.get("needs", [])
        ) <= set(workflow["jobs"])


def test_images_are_for_whoever_has_a_registry() -> None:
    def make(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )

    without = make("images")
    assert without.returncode != 0
    assert "make images REGISTRY=" in without.stderr
    shown = make(
        "-n", "images", "REGISTRY=registry.example.com/team", "TAG=1.2.3", "PUSH=1", "BUILDER=docker"
    ).stdout
    assert "docker build --build-arg BASE=python:3.13-slim -f $part/Dockerfile" in shown
    assert "-t registry.example.com/team/minga-$part:1.2.3 ." in shown
    assert "docker push registry.example.com/team/minga-$part:1.2.3" in shown
