"""Fewer copies, the jobs for it, and what could not be used: real nodes, a real RabbitMQ."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from minga_node.local.broker import PrivateBroker, private
from tests.nodes import Nodes, RunningNode
from tests.support.rabbit import publish
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

NAME = "model.bin"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with private(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def network(request: pytest.FixtureRequest, nodes: Nodes, broker: PrivateBroker) -> list[RunningNode]:
    """Four nodes; all but the last have the file."""
    config: dict[str, Any] = {
        "network": f"test-{abs(hash(request.node.name))}",
        "broker_url": broker.url,
        "replication_delay_seconds": 3600,
    }
    content = {NAME: b"weights" * 10_000}
    first = nodes.start("a", files=content, **config).ready()
    for name in ("b", "c", "d"):
        nodes.start(name, first, files=content if name != "d" else {}, **config)
    for node in nodes.all:
        node.ready()
    for node in nodes.all:
        wait_for(lambda node=node: holders(node) == {"a", "b", "c"}, "all know who has it")  # type: ignore[misc]
        wait_for(lambda node=node: node.metric("minga_broker_connected") == 1, "the broker")  # type: ignore[misc]
    return nodes.all


def holders(node: RunningNode) -> set[str]:
    rows = node.get(f"/api/v1/files?name={NAME}")["files"]
    return {holder["peer"] for row in rows for holder in row["holders"]}


def on_disk(network: list[RunningNode]) -> set[str]:
    return {node.name for node in network if (node.directory / NAME).exists()}


def content_id(node: RunningNode) -> str:
    return str(node.get(f"/api/v1/files?name={NAME}")["files"][0]["id"])


def minga(node: RunningNode, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "minga_node.cli", "--node", node.url, *arguments],
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_a_copy_is_dropped_where_it_is_asked_for(network: list[RunningNode]) -> None:
    ended = minga(network[3], "drop", NAME, "--peer", "b")
    assert ended.returncode == 0, ended.stderr
    assert on_disk(network) == {"a", "c"}
    for node in network:
        wait_for(lambda node=node: holders(node) == {"a", "c"}, "all know")  # type: ignore[misc]
    shown = minga(network[3], "jobs").stdout
    assert "drop" in shown
    assert "done" in shown
    assert network[1].metric("minga_jobs_total", kind="drop", result="done") == 1


def test_what_is_more_than_enough_is_dropped_and_no_more(network: list[RunningNode]) -> None:
    ended = minga(network[0], "drop", NAME, "--keep", "2")
    assert ended.returncode == 0, ended.stderr
    assert len(on_disk(network)) == 2
    again = minga(network[0], "drop", NAME, "--keep", "2")
    assert again.returncode == 0
    assert len(on_disk(network)) == 2


def test_the_last_copies_are_refused_at_once(network: list[RunningNode]) -> None:
    where = f"/api/v1/copies/{content_id(network[3])}"
    refused = network[3].request("DELETE", f"{where}?peer=a&peer=b&peer=c")
    assert refused.status == 409
    assert "0 complete copies" in refused.json()["detail"]
    assert network[3].request("DELETE", f"{where}?peer=a&peer=b&keep=2").status == 409
    assert network[3].request("DELETE", f"{where}?peer=d").status == 404
    assert network[3].request("DELETE", f"{where}?keep=0").status == 400
    assert network[3].get("/api/v1/jobs") == {"jobs": []}
    assert on_disk(network) == {"a", "b", "c"}


def test_nodes_that_are_asked_by_different_people_at_once_leave_a_copy(network: list[RunningNode]) -> None:
    where = f"/api/v1/copies/{content_id(network[3])}?peer="
    asked: list[str] = []
    start = threading.Barrier(3)

    def ask(asker: RunningNode, peer: str) -> None:
        start.wait()
        response = asker.request("DELETE", where + peer)
        assert response.status == 202, response.data
        asked.append(asker.url + "|" + response.json()["jobs"][0]["id"])

    # Each of the three sees two others that have it.
    threads = [threading.Thread(target=ask, args=(network[3], peer)) for peer in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(asked) == 3

    def states() -> list[str]:
        return [job["state"] for job in network[3].get("/api/v1/jobs")["jobs"]]

    wait_for(lambda: "asked" not in states(), f"all are done or given up: {states()}", 120)
    assert len(on_disk(network)) >= 1
    assert states().count("done") == 3 - len(on_disk(network)), "who said that it was gone dropped it"
    failed = [job for job in network[3].get("/api/v1/jobs")["jobs"] if job["state"] == "failed"]
    assert all("the copy stays" in job["problem"] for job in failed)


def test_what_could_not_be_used_is_shown_and_stays(network: list[RunningNode], broker: PrivateBroker) -> None:
    name = network[0].config["network"]
    unknown = {
        "specversion": "1.0", "id": "1", "type": "dev.minga.job.hold", "source": "/networks/t/peers/x",
        "time": "2026-01-01T00:00:00Z",
        "data": {"peer": "x", "job": "poison", "id": "ab" * 32, "name": "x.bin"},
    }  # fmt: skip
    publish(broker, f"minga.{name}.jobs", "b", b"garbage", json.dumps(unknown).encode())
    wait_for(lambda: len(letters(network[2])) == 2, "both are dead letters, seen from anywhere")
    first, second = letters(network[2])
    assert first["body"] == "garbage"
    assert first["queue"] == f"minga.{name}.jobs.b"
    assert first["reason"] == "rejected"
    assert json.loads(second["body"])["data"]["job"] == "poison"
    assert network[1].metric("minga_jobs_total", kind="hold", result="failed") == 1
    assert network[1].metric("minga_jobs_total", kind="hold", result="retried") == 4
    wait_for(lambda: network[3].metric("minga_dead_letters") == 2, "the metric")
    shown = minga(network[0], "dead-letters")
    assert "garbage" in shown.stdout
    assert len(letters(network[0])) == 2, "looking takes nothing away"


def job(kind: str, name: str, content: str) -> bytes:
    """A message for a node's queue of jobs, as a program of somebody else's could write it."""
    data = {"peer": "x", "job": name, "want": name, "id": content, "name": name, "expires": 2**40}
    event = {
        "specversion": "1.0", "id": f"{kind} {name[:99]}", "type": f"dev.minga.{kind}",
        "source": "/networks/t/peers/x", "time": "2026-01-01T00:00:00Z", "data": data,
    }  # fmt: skip
    return json.dumps(event).encode()


def test_what_can_never_be_done_is_given_up_at_once_and_keeps_nobody_waiting(
    network: list[RunningNode], broker: PrivateBroker
) -> None:
    """Names that no library takes, and what is no job at all; behind them one that is quickly done."""
    name, content = network[0].config["network"], content_id(network[0])
    never = [job("job.hold", bad, content) for bad in ("../out", "/etc/x", "a\\b", ".hidden", "", "x" * 300)]
    never.append(job("want.placed", "no job", content))
    publish(broker, f"minga.{name}.jobs", "d", *never, job("job.hold", NAME, content))
    wait_for(lambda: "d" in on_disk(network), "what can be done is done")
    wait_for(lambda: len(letters(network[0])) == len(never), "the others are dead letters")
    assert network[3].metric("minga_jobs_total", kind="hold", result="failed") == len(never) - 1
    assert network[3].metric("minga_jobs_total", kind="hold", result="retried") == 0
    assert on_disk(network) == {"a", "b", "c", "d"}


def test_jobs_that_wait_for_a_holder_keep_no_other_waiting(
    network: list[RunningNode], broker: PrivateBroker
) -> None:
    name, content = network[0].config["network"], content_id(network[0])
    lost = [str(network[0].put(f"lost{number}.bin", b"%d" % number)["id"]) for number in range(3)]
    wait_for(lambda: len(network[3].get("/api/v1/files?q=lost")["files"]) == 3, "they are known")
    network[0].kill()
    wait_for(lambda: "a" not in online(network[3]), "who has them is gone", 60)
    waiting = [job("job.hold", f"lost{number}.bin", id_) for number, id_ in enumerate(lost)]
    publish(broker, f"minga.{name}.jobs", "d", *waiting, job("job.hold", NAME, content))
    wait_for(lambda: network[3].metric("minga_jobs_total", kind="hold", result="done") == 1, "it is done")
    assert "d" in on_disk(network)
    assert network[3].metric("minga_jobs_total", kind="hold", result="failed") == 0


def online(node: RunningNode) -> set[str]:
    rows = node.get("/api/v1/files?q=lost")["files"]
    return {holder["peer"] for row in rows for holder in row["holders"] if holder["online"]}


def test_a_copy_whose_name_is_a_folder_here_gets_another_name(
    network: list[RunningNode], broker: PrivateBroker
) -> None:
    name, content = network[0].config["network"], content_id(network[0])
    (network[3].directory / NAME).mkdir()
    publish(broker, f"minga.{name}.jobs", "d", job("job.hold", NAME, content))
    copy = network[3].directory / f"model.{content[:8]}.bin"
    wait_for(copy.exists, "it is held")


def letters(node: RunningNode) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.get("/api/v1/dead-letters")["letters"]
    return found


def test_a_request_for_copies_can_be_taken_back(network: list[RunningNode]) -> None:
    asked = (
        network[0]
        .request("POST", "/api/v1/replications", json={"id": content_id(network[0]), "copies": 9})
        .json()
    )
    assert minga(network[0], "replications", "--cancel", asked["id"][:8]).returncode == 0
    assert network[0].get(f"/api/v1/replications/{asked['id']}")["state"] == "cancelled"


def test_without_a_broker_it_is_said_that_one_is_needed(nodes: Nodes) -> None:
    alone = nodes.start("alone", files={NAME: b"x"}).ready()
    wait_for(lambda: holders(alone) == {"alone"}, "the library")
    ended = minga(alone, "drop", NAME, "--keep", "1")
    assert ended.returncode != 0
    assert "broker_url" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert alone.request("GET", "/api/v1/dead-letters").status == 503
    assert alone.get("/api/v1/jobs") == {"jobs": []}


def test_a_file_is_removed_everywhere_if_somebody_says_so(network: list[RunningNode]) -> None:
    refused = minga(network[0], "rm", NAME, "--everywhere")
    assert (refused.returncode, refused.stderr) == (
        1,
        "minga: it would be removed from a and 2 other nodes: --yes says that it may\n",
    )
    assert on_disk(network) == {"a", "b", "c"}
    ended = minga(network[0], "rm", NAME, "--everywhere", "--yes")
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", f"{NAME} removed\n")
    assert on_disk(network) == set()
    for node in network:
        wait_for(lambda node=node: NAME not in node.names(), "all know that it is gone")  # type: ignore[misc]


def test_a_node_that_is_away_keeps_its_copy_and_is_named(network: list[RunningNode]) -> None:
    network[2].kill()
    wait_for(
        lambda: (
            [
                holder["online"]
                for holder in network[0].get(f"/api/v1/files?name={NAME}")["files"][0]["holders"]
                if holder["peer"] == "c"
            ]
            == [False]
        ),
        "c is away",
    )
    ended = minga(network[0], "rm", NAME, "--everywhere", "--yes")
    assert ended.returncode == 5
    assert ended.stderr == f"minga: {NAME} is still at c: away now, and will share it again\n"
    assert on_disk(network) == {"c"}
