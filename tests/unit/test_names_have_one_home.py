"""One name has one home: a reader who meets a name knows where it is from."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = (REPOSITORY / "node/src/minga_node", REPOSITORY / "operator/src/minga_operator")

CHANNELS = {"server", "pserver", "pclient", "cli", "mom", "resources", "local"}
"""Their modules are called as what they are about: ``server/peers.py`` is REST's half of peers."""
CLASSES = {
    "PeerTls": "the node's files, and the field of the resource that says to make them",
    "Tracing": "the node's, and the field of the resource",
}
MODULES = {
    "model": "the types of one part",
    "tls": "of a piece connection: its two ends, and what they share",
}


def modules() -> dict[str, list[Path]]:
    """Of the node and of the operator apart: they are two programs."""
    found: dict[str, list[Path]] = defaultdict(list)
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            inside = path.relative_to(package).parts[:-1]
            if path.stem not in {"__init__", "__main__"} and not CHANNELS.intersection(inside):
                found[f"{package.name}: {path.stem}"].append(path.relative_to(REPOSITORY))
    return found


def classes() -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(path.relative_to(REPOSITORY))
    return found


def test_no_two_public_classes_share_a_name() -> None:
    twice = {name: homes for name, homes in classes().items() if len(homes) > 1 and name not in CLASSES}
    assert not twice


def test_no_two_modules_of_the_parts_share_a_name() -> None:
    twice = {
        name: homes
        for name, homes in modules().items()
        if len(homes) > 1 and name.partition(": ")[2] not in MODULES
    }
    assert not twice


def test_every_exception_is_one_still() -> None:
    assert {name for name in CLASSES if len(classes()[name]) < 2} == set()
    twice = {name.partition(": ")[2] for name, homes in modules().items() if len(homes) > 1}
    assert set(MODULES) <= twice
