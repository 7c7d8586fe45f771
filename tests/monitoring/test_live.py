"""A network under load, scraped by a real Prometheus: no panel and no rule of ours is dead."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from minga_node.local.broker import private
from tests.monitoring import expressions
from tests.monitoring.expressions import RULES, is_of_alerts, is_of_operator
from tests.monitoring.prometheus import Prometheus, prometheus, scrape, silent
from tests.nodes import Nodes, RunningNode
from tests.support.authority import Authority
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

SECONDS = 60.0
BIG = "big.bin"


def load(nodes: list[RunningNode], stop: threading.Event) -> None:
    """Peers fetch what others have, drop it, and fetch it again; people ask for things, some wrong."""
    *_, first, second = nodes
    while not stop.is_set():
        for node in (first, second):
            node.fetch(name=BIG)
            node.request("GET", f"/files/{BIG}", headers={"Range": "bytes=0-99999"})
            node.request("GET", "/files/nowhere")
            node.get("/api/v1/files?q=big")
        nodes[0].put("news.txt", str(time.time()).encode())
        for node in (first, second):
            node.request("DELETE", f"/files/{BIG}")
        stop.wait(0.1)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    base = tmp_path_factory.mktemp("watched")
    nodes = Nodes(base)
    stop = threading.Event()
    try:
        with private(base / "broker") as broker:
            big = random.Random(3).randbytes(3 << 20)
            certificates = Authority().directory(base / "tls", "test.peers.minga", days=90)
            more = {"broker_url": broker.url, "peer_tls_directory": str(certificates)}
            seed = nodes.start("seed-0", seed=True, files={BIG: big}, **more).ready()
            peers = [
                nodes.start(f"peer-{n}", seed, files={f"own-{n}.txt": b"%d" % n}, **more) for n in range(3)
            ]
            for peer in peers:
                peer.ready()
            wait_for(lambda: BIG in peers[2].names("big"), "the file is known")
            peers[0].fetch(name=BIG)
            thread = threading.Thread(target=load, args=([seed, *peers], stop))
            thread.start()
            targets = {
                urlsplit(node.url).netloc: {"namespace": "here", "network": "library", "pod": node.name}
                for node in nodes.all
            }
            try:
                with prometheus(base / "prometheus", RULES, [scrape(targets)]) as server:
                    yield server
            finally:
                stop.set()
                thread.join(60)
                nodes.stop()
    finally:
        nodes.stop()


def test_every_panel_annotation_variable_and_rule_has_an_answer(watched: Prometheus) -> None:
    living = [one for one in expressions.everything() if not is_of_operator(one) and not is_of_alerts(one)]
    assert len(living) > 50
    assert silent(watched, living, SECONDS) == []


def test_no_rule_fails_to_be_evaluated(watched: Prometheus) -> None:
    def evaluated() -> bool:
        return all(rule["health"] != "unknown" for rule in watched.rules())

    wait_for(evaluated, "all rules were evaluated")
    assert {rule["name"]: rule.get("lastError") for rule in watched.rules() if rule["health"] != "ok"} == {}
