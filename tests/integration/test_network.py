"""Several real nodes: what one has, the others find and fetch."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration


def three(nodes: Nodes, **files: dict[str, bytes]) -> tuple[RunningNode, RunningNode, RunningNode]:
    seed = nodes.start("seed", files=files.get("seed"), seed=True).ready()
    a = nodes.start("a", seed, files=files.get("a")).ready()
    b = nodes.start("b", seed, files=files.get("b")).ready()
    return seed, a, b


def test_what_one_has_all_find_and_fetch(nodes: Nodes) -> None:
    content = os.urandom(5_000_000)
    seed, a, b = three(nodes, a={"deep/big.bin": content})
    for node in (seed, a, b):
        wait_for(lambda node=node: node.names("big") == {"deep/big.bin"}, f"{node.name} finds it")  # type: ignore[misc]
    download = b.fetch(name="deep/big.bin")
    assert download["state"] == "complete"
    assert (b.directory / "deep/big.bin").read_bytes() == content
    wait_for(
        lambda: (
            {h["peer"] for row in seed.get("/api/v1/files?q=big")["files"] for h in row["holders"]}
            == {"a", "b"}
        ),
        "b is a holder as well",
    )


def test_a_new_file_and_its_removal_reach_everybody(nodes: Nodes) -> None:
    seed, a, b = three(nodes)
    a.put("news.txt", b"x")
    wait_for(lambda: "news.txt" in b.names() & seed.names(), "the new file")
    a.request("DELETE", "/files/news.txt")
    wait_for(lambda: "news.txt" not in b.names() | seed.names(), "its removal")


def test_content_that_is_not_here_is_streamed_while_it_is_fetched(nodes: Nodes) -> None:
    content = os.urandom(8_000_000)
    _, _a, b = three(nodes, a={"film.bin": content})
    wait_for(lambda: "film.bin" in b.names(), "b knows it")
    head = b.request("HEAD", "/files/film.bin")
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(content)))
    part = b.request("GET", "/files/film.bin", headers={"Range": "bytes=7000000-7000099"})
    assert (part.status, part.data) == (206, content[7_000_000:7_000_100])
    assert b.request("GET", "/files/film.bin").data == content
    wait_for(lambda: (b.directory / "film.bin").exists(), "the copy is kept")
    assert (b.directory / "film.bin").read_bytes() == content


def test_one_name_with_several_contents_is_409_with_the_choices(nodes: Nodes) -> None:
    seed, _a, _b = three(nodes, a={"same.txt": b"from a"}, b={"same.txt": b"from b!"})
    wait_for(lambda: len(seed.get("/api/v1/files?q=same")["files"]) == 2, "both contents")
    for response in (
        seed.request("GET", "/files/same.txt"),
        seed.request("POST", "/api/v1/downloads", json={"name": "same.txt"}),
    ):
        assert response.status == 409
        body = response.json()
        assert body["type"] == "urn:minga:problem:ambiguous-name"
        assert sorted(choice["holders"] for choice in body["choices"]) == [["a"], ["b"]]
    assert seed.request("GET", "/files/same.txt?peer=b").data == b"from b!"
    identity = next(c["id"] for c in body["choices"] if c["holders"] == ["a"])
    assert seed.request("GET", f"/files/same.txt?id={identity}").data == b"from a"


def test_a_file_whose_holder_is_gone_is_shown_without_holder(nodes: Nodes) -> None:
    _seed, a, b = three(nodes, a={"only.txt": b"x"})
    wait_for(lambda: "only.txt" in b.names(), "b knows it")
    a.kill()

    def row() -> Any:
        return b.get("/api/v1/files?q=only")["files"][0]

    wait_for(lambda: not row()["available"], "without a holder online")
    assert row()["holders"] == [{"peer": "a", "complete": True, "online": False}]
    response = b.request("GET", "/files/only.txt")
    assert (response.status, response.json()["type"]) == (503, "urn:minga:problem:no-holders")
    a.launch()
    a.ready()
    wait_for(lambda: row()["available"], "the holder is back")


def test_a_goodbye_is_known_at_once(nodes: Nodes) -> None:
    _seed, a, b = three(nodes)
    a.terminate()
    wait_for(
        lambda: {p["id"]: p["state"] for p in b.get("/api/v1/peers")["peers"]}.get("a") == "left",
        "b knows that a left",
        timeout=2,
    )


def test_a_node_that_lost_its_state_begins_anew(nodes: Nodes) -> None:
    seed, a, b = three(nodes, a={"old.txt": b"x"})
    wait_for(lambda: "old.txt" in b.names(), "b knows it")
    a.kill()
    import shutil

    shutil.rmtree(a.directory)
    a.directory.mkdir()
    (a.directory / "new.txt").write_bytes(b"y")
    a.launch()
    a.ready()
    wait_for(lambda: b.names() == {"new.txt"} == seed.names(), "only what it has now")


def test_several_downloads_run_while_other_requests_are_served(nodes: Nodes) -> None:
    contents = {f"f{n}.bin": os.urandom(3_000_000) for n in range(6)}
    _seed, _a, b = three(nodes, a=contents)
    wait_for(lambda: b.names() == set(contents), "b knows all")
    threads = [threading.Thread(target=b.fetch, kwargs={"name": name}) for name in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert b.request("GET", "/healthz").status == 200
    for name, content in contents.items():
        assert (b.directory / name).read_bytes() == content


def test_a_killed_download_goes_on_from_its_verified_pieces(nodes: Nodes) -> None:
    content = os.urandom(40_000_000)
    seed = nodes.start("seed", files={"big.bin": content}, upload_limit=20_000_000).ready()
    b = nodes.start("b", seed).ready()
    wait_for(lambda: "big.bin" in b.names(), "b knows it")
    response = b.request("POST", "/api/v1/downloads", json={"name": "big.bin"})
    where = response.headers["Location"]
    wait_for(lambda: b.get(where)["verified"] > 10_000_000, "a quarter of it")
    had = b.get(where)["verified"]
    b.kill()
    b.launch()
    b.ready()
    wait_for(lambda: b.get(where)["state"] == "complete", "its end")
    assert (b.directory / "big.bin").read_bytes() == content
    assert b.metric("minga_transfer_bytes_total", direction="in") < len(content) - had / 2


def test_events_tell_the_progress_to_the_end(nodes: Nodes) -> None:
    seed = nodes.start("seed", files={"big.bin": os.urandom(10_000_000)}, upload_limit=8_000_000).ready()
    b = nodes.start("b", seed).ready()
    wait_for(lambda: "big.bin" in b.names(), "b knows it")
    where = b.request("POST", "/api/v1/downloads", json={"name": "big.bin"}).headers["Location"]
    response = b.request("GET", f"{where}/events")
    assert response.headers["Content-Type"].startswith("text/event-stream")
    states = [line[7:] for line in response.data.decode().splitlines() if line.startswith("event: ")]
    assert len(states) > 2
    assert states[-1] == "complete"


def test_a_download_can_be_cancelled(nodes: Nodes) -> None:
    seed = nodes.start("seed", files={"big.bin": os.urandom(20_000_000)}, upload_limit=2_000_000).ready()
    b = nodes.start("b", seed).ready()
    wait_for(lambda: "big.bin" in b.names(), "b knows it")
    where = b.request("POST", "/api/v1/downloads", json={"name": "big.bin"}).headers["Location"]
    assert b.request("DELETE", where).status == 204
    wait_for(lambda: b.get(where)["state"] == "cancelled", "cancelled")
    assert not (b.directory / "big.bin").exists()


def test_health_and_reflection_answer_by_grpc(nodes: Nodes) -> None:
    node = nodes.start("one", grpc_reflection=True).ready()
    with grpc.insecure_channel(f"127.0.0.1:{node.config['grpc_port']}") as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        answer = next(iter(stub.ServerReflectionInfo(asked, timeout=5)))
        names = {service.name for service in answer.list_services_response.service}
    assert {"minga.v1.Membership", "minga.v1.Index", "minga.v1.Content", "grpc.health.v1.Health"} <= names


def test_a_node_of_another_network_is_refused(nodes: Nodes, tmp_path: Path) -> None:
    seed = nodes.start("seed").ready()
    stranger = nodes.start("stranger", seed, network="other", files={"x": b"x"})
    wait_for(lambda: "network" in stranger.log, "the stranger says why")
    assert stranger.request("GET", "/readyz").status == 503
    assert seed.get("/api/v1/peers")["peers"] == []


def test_nodes_come_back_to_a_seed_that_restarted(nodes: Nodes) -> None:
    seed, _a, b = three(nodes, a={"a.txt": b"x"})
    wait_for(lambda: "a.txt" in b.names(), "b knows it")
    seed.kill()
    seed.launch()
    seed.ready()
    wait_for(lambda: seed.names() == {"a.txt"}, "the seed knows everything again")
