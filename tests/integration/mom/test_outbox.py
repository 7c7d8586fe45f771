"""An event is neither lost nor invented, whenever its node is killed: a real process, again and again."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from minga_node.local.broker import private
from tests.nodes import Nodes, RunningNode
from tests.support.directories import known, state, told, union
from tests.support.witness import Witness
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

KILLS = 8
FILES = 60


def in_outbox(node: RunningNode) -> set[str]:
    """Ids of the events of files that wait in a node's state."""
    bodies = [json.loads(body) for (body,) in state(node, "SELECT body FROM outbox")]
    return {body["id"] for body in bodies if body["type"].startswith("dev.minga.file.")}


def change(node: RunningNode, dice: random.Random) -> None:
    """Some files come, change and go, all at once."""
    for _ in range(FILES):
        path = node.directory / f"file-{dice.randrange(2 * FILES)}.txt"
        if dice.random() < 0.3:
            path.unlink(missing_ok=True)
        else:
            path.write_text(f"{dice.random()}")


def version(node: RunningNode) -> int:
    return int(state(node, "SELECT version FROM logs WHERE peer = :self")[0][0])


def test_a_node_that_is_killed_while_it_publishes_has_told_or_will_tell_every_version(
    nodes: Nodes, tmp_path: Path
) -> None:
    dice = random.Random(6)
    with private(tmp_path / "broker") as broker:
        witness = Witness(broker.url, "test")
        node = nodes.start("a", broker_url=broker.url, quiet_seconds=0.0).ready()
        other = nodes.start("b", node, broker_url=broker.url).ready()
        in_the_middle = 0
        for _ in range(KILLS):
            before = version(node)
            change(node, dice)
            wait_for(lambda before=before: version(node) > before, "it publishes", every=0.001)  # type: ignore[misc]
            time.sleep(dice.uniform(0, 0.05))
            node.kill()
            waits = in_outbox(node)
            witness.hear()
            # At this moment: every version is at the broker or on the disk, and nothing else is.
            assert set(witness.ids()) | waits == told([node, other])
            in_the_middle += bool(waits)
            node.launch()
            node.ready()
        assert in_the_middle, "it was killed in the middle of it at least once"
        wait_for(lambda: known(node) == union([node]), "the library is published", every=0.2)
        wait_for(lambda: known(other) == union([node]), "the other one has it", every=0.2)
        wait_for(lambda: in_outbox(node) == set(), "the outbox is empty")
        witness.hear()
        assert set(witness.ids()) == told([node, other])
