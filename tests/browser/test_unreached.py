"""A peer that is heard but not reached: the page says so in its list, on its map and of the peer alone."""

from __future__ import annotations

import pytest

from tests.browser.chromium import Page
from tests.browser.conftest import Village
from tests.nodes import Nodes
from tests.waiting import wait_for

pytestmark = pytest.mark.browser


@pytest.fixture
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Nodes:
    return Nodes(tmp_path_factory.mktemp("unreached"))


def test_who_is_heard_but_not_reached_does_not_answer_us(page: Page, village: Village, nodes: Nodes) -> None:
    broker_url = village.home.config["broker_url"]
    # It tells an address where nobody listens; what it sends gets through, as behind a one-way firewall.
    node = nodes.start(
        "behind-a-wall", village.seed, network="library", broker_url=broker_url, advertise="127.0.0.77"
    )
    try:
        wait_for(
            lambda: any(
                each["id"] == "behind-a-wall" and each["answers"] != "yes"
                for each in village.home.get("/api/v1/peers")["peers"]
            ),
            "its neighbours know",
        )
        page.go("#/network")
        page.find("tr.is-mute, tr.is-unreached", "Does not answer")
        assert len(page.all("a.node-mute, a.node-unreached")) == 1
        page.go("#/peer/behind-a-wall")
        page.find(".peer .lead", "Does not answer")
        node.terminate()
        page.find(".peer .lead", "Said goodbye")
    finally:
        nodes.stop()
