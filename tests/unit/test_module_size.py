"""A module has one idea, and one that has grown beyond 300 lines has two."""

from __future__ import annotations

from tests.unit.source import modules

MOST_LINES = 300
LONGER = {
    "minga_node.downloads.exchange",
    "minga_node.downloads.manager",
    "minga_node.downloads.runner",
    "minga_node.downloads.task",
    "minga_node.library.holdings",
    "minga_node.library.watch",
    "minga_node.swarm.swarm",
    "minga_node.uploads.scheduler",
    "minga_node.uploads.server",
}
"""Modules that wait for their cut. This list only shrinks."""
MOST_LINES_OF_A_LONGER_ONE = 400


def lengths() -> dict[str, int]:
    return {module.name: len(module.text.splitlines()) for module in modules()}


def test_no_module_is_longer_than_its_idea() -> None:
    limits = dict.fromkeys(LONGER, MOST_LINES_OF_A_LONGER_ONE)
    longer = {name: lines for name, lines in lengths().items() if lines > limits.get(name, MOST_LINES)}
    assert not longer


def test_every_longer_module_is_one_still() -> None:
    now = lengths()
    assert not {name for name in LONGER if now.get(name, 0) <= MOST_LINES}
