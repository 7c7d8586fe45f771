"""Files that are made from the chart: ``python -m tests.chart.render`` writes them, a test compares them."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster.build import ensure_binaries

REPOSITORY = Path(__file__).resolve().parents[2]
CHART = REPOSITORY / "charts" / "minga"
MANIFESTS = REPOSITORY / "manifests"
NAMESPACE = """---
apiVersion: v1
kind: Namespace
metadata:
  name: minga-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""
_HEAD = "# Rendered from charts/minga by `make manifests`; change the chart.\n"


def helm(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs the helm on the PATH, else the test cluster's."""
    program = shutil.which("helm") or str(ensure_binaries().helm)
    return subprocess.run([program, *map(str, arguments)], check=check, capture_output=True, text=True)


def manifests(registry: str = "", tag: str = "") -> str:
    """manifests/minga.yaml: everything for ``kubectl apply -f``.

    Args:
        registry: host and path of both images; empty for names without one.
        tag: of both images; empty for the chart's version.
    """
    values = MANIFESTS / "values.yaml"
    images = [f"--set-string=image.tag={tag},nodeImage.tag={tag}"] if tag else []
    if registry:
        names = f"image.repository={registry}/minga-operator,nodeImage.repository={registry}/minga-node"
        images.append(f"--set-string={names}")
    version = ("--kube-version", "1.34.0", "--include-crds", "--no-hooks")
    rendered = helm("template", "minga", CHART, "-n", "minga-system", "-f", values, *images, *version).stdout
    # What installs and upgrades by itself is not Helm's.
    rendered = re.sub(
        r"app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kubectl", rendered
    )
    rendered = re.sub(r" *helm\.sh/[a-z-]+: .*\n", "", rendered)
    rendered = re.sub(r"  annotations:\n(?=  labels:|  name:)", "", rendered)
    return _HEAD + NAMESPACE + rendered


def values_table() -> str:
    """charts/minga/README.md: the values, as values.yaml describes them."""
    rows: list[str] = []
    path: list[tuple[int, str]] = []
    described: list[str] = []
    for line in (CHART / "values.yaml").read_text().splitlines():
        if comment := re.fullmatch(r"\s*# (-- )?(.*)", line):
            described = [comment[2]] if comment[1] else [*described, comment[2]]
        elif found := re.fullmatch(r"(\s*)([A-Za-z]+):\s*(.*)", line):
            depth = len(found[1])
            path = [item for item in path if item[0] < depth] + [(depth, found[2])]
            if described:
                name, default = ".".join(part for _, part in path), found[3] or "see values.yaml"
                rows.append(f"| `{name}` | `{default}` | {' '.join(described)} |")
            described = []
    head = (CHART / "README.md.head").read_text()
    return head + "\n| value | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def files() -> dict[Path, str]:
    """Every rendered file and what it should hold."""
    return {MANIFESTS / "minga.yaml": manifests(), CHART / "README.md": values_table()}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chart.render", description=__doc__)
    parser.add_argument("--registry", default="", help="host and path of your images")
    parser.add_argument("--tag", default="", help="of your images")
    parser.add_argument("--output", type=Path, help="the manifests' file; without it, the repository's files")
    options = parser.parse_args(arguments)
    if options.output is None:
        for path, text in files().items():
            path.write_text(text)
    else:
        options.output.write_text(manifests(options.registry, options.tag))


if __name__ == "__main__":
    main(sys.argv[1:])
