"""Downloads that cannot move keep nobody from anything: real nodes, holders that are away, mute or honest."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import HTTP, Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

MIB = 2**20
STUCK = 6
"""More than run at once."""


def begin(node: RunningNode, name: str) -> str:
    response = node.request("POST", "/api/v1/downloads", json={"name": name})
    assert response.status == 202, response.data
    return str(response.json()["id"])


def download(node: RunningNode, identity: str) -> dict[str, Any]:
    found: dict[str, Any] = node.get(f"/api/v1/downloads/{identity}")
    return found


def states(node: RunningNode) -> list[str]:
    return [each["state"] for each in node.get("/api/v1/downloads")["downloads"]]


def holders_online(node: RunningNode, name: str) -> int:
    (row,) = node.get(f"/api/v1/files?name={name}")["files"]
    return sum(holder["online"] for holder in row["holders"])


def ended(node: RunningNode, identity: str, timeout: float = 60) -> dict[str, Any]:
    def end() -> dict[str, Any] | None:
        now = download(node, identity)
        return now if now["state"] in {"complete", "failed", "cancelled"} else None

    found = wait_for(end, "it ends", timeout)
    assert found is not None
    return found


def held(node: RunningNode) -> tuple[int, int]:
    """Threads of a node, and its descriptors of partial files."""
    proc = Path("/proc") / str(node.process.pid)
    links = [str(link.readlink()) for link in (proc / "fd").iterdir() if link.is_symlink()]
    return len(list((proc / "task").iterdir())), sum("/partial/" in link for link in links)


@contextmanager
def stopped(node: RunningNode) -> Iterator[None]:
    """It takes connections and says nothing on them."""
    node.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        node.process.send_signal(signal.SIGCONT)


@pytest.fixture
def network(nodes: Nodes) -> tuple[RunningNode, RunningNode, RunningNode]:
    """A node, one that has what will be stuck, and one that has two others."""
    stuck = {f"stuck{number}.bin": os.urandom(2 * MIB) for number in range(STUCK)}
    patient: dict[str, Any] = {"suspect_seconds": 60, "dead_seconds": 120}
    far = nodes.start("far", files=stuck, **patient).ready()
    other = nodes.start("other", far, files={"a.bin": os.urandom(MIB), "b.bin": os.urandom(MIB)}, **patient)
    near = nodes.start("near", far, **patient).ready()
    wait_for(lambda: len(near.names()) == STUCK + 2, "near knows all files")
    return near, far, other.ready()


def test_downloads_without_a_holder_hold_nothing_and_stop_nobody(nodes: Nodes) -> None:
    files = {f"stuck{number}.bin": os.urandom(2 * MIB) for number in range(STUCK)}
    seed = nodes.start("seed", files={name: os.urandom(MIB) for name in ("a.bin", "b.bin", "c.bin")}).ready()
    far = nodes.start("far", seed, files=files).ready()
    near = nodes.start("near", seed).ready()
    wait_for(lambda: len(near.names()) == STUCK + 3, "near knows all files")
    far.kill()
    wait_for(lambda: holders_online(near, "stuck0.bin") == 0, "far is known to be gone")
    assert ended(near, begin(near, "a.bin"))["state"] == "complete"
    threads, _ = held(near)
    stuck = [begin(near, name) for name in files]
    assert ended(near, begin(near, "c.bin"))["state"] == "complete"
    wait_for(lambda: states(near).count("waiting") == STUCK, "the others wait for a holder")
    assert {download(near, identity)["why"] for identity in stuck} == {"no holder"}
    wait_for(lambda: held(near)[0] <= threads, f"no thread is left of {threads}")
    assert held(near)[1] == 0
    near.terminate()
    near.launch()
    near.ready()
    wait_for(lambda: "b.bin" in near.names(), "it is back")
    assert ended(near, begin(near, "b.bin"))["state"] == "complete"
    assert states(near).count("waiting") == STUCK
    far.launch()
    for identity in stuck:
        assert ended(near, identity)["state"] == "complete"


def test_a_download_that_waits_serves_the_pieces_that_it_has(nodes: Nodes) -> None:
    data = os.urandom(16 * MIB)
    seed = nodes.start("seed").ready()
    far = nodes.start("far", seed, files={"part.bin": data}, upload_limit=2 * MIB).ready()
    near = nodes.start("near", seed).ready()
    wait_for(lambda: "part.bin" in near.names(), "near knows the file")
    (row,) = near.get("/api/v1/files?name=part.bin")["files"]
    identity = begin(near, "part.bin")
    wait_for(lambda: download(near, identity)["verified_pieces"] >= 3, "some pieces are here")
    far.kill()
    wait_for(lambda: download(near, identity)["state"] == "waiting", "it waits for a holder")
    size, served = row["piece_size"], 0
    for start in range(0, len(data), size):
        wanted = {"Range": f"bytes={start}-{min(start + size, len(data)) - 1}"}
        for place in (near.url, f"http://127.0.0.1:{near.get('/api/v1/node')['data_port']}"):
            answer = HTTP.request("GET", f"{place}/pieces/{row['id']}", headers=wanted)
            if answer.status == 206:
                served += 1
                assert answer.data == data[start : start + size]
    assert served == 2 * download(near, identity)["verified_pieces"] > 0
    assert held(near)[1] <= 1, "at most what was served a moment ago"


def test_mute_holders_keep_their_downloads_slots_for_seconds_only(
    network: tuple[RunningNode, RunningNode, RunningNode],
) -> None:
    near, far, _ = network
    with stopped(far):
        stuck = [begin(near, f"stuck{number}.bin") for number in range(STUCK)]
        wait_for(lambda: states(near).count("running") == 4, "they have all slots")
        # Somebody who reads waits for none of them.
        answer = near.request("GET", "/files/b.bin", timeout=60)
        assert (answer.status, len(answer.data)) == (200, MIB)
        # Nor does the next one, for long.
        assert ended(near, begin(near, "a.bin"))["state"] == "complete"
        wait_for(lambda: states(near).count("waiting") >= STUCK - 4, "they give up")
    for identity in stuck:
        assert ended(near, identity, 120)["state"] == "complete"


def test_a_file_that_is_changed_in_place_ends_its_download_with_the_reason(nodes: Nodes) -> None:
    """Its holder is honest: it is neither banned nor kept from giving what is there now."""
    size = 24 * MIB
    far = nodes.start("far", files={"big.bin": os.urandom(size)}, upload_limit=2 * MIB).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: "big.bin" in near.names(), "near knows it")
    identity = begin(near, "big.bin")
    wait_for(lambda: download(near, identity)["verified"] > 0, "something is here")
    with (far.directory / "big.bin").open("r+b") as file:
        for position in range(0, size, MIB):
            file.seek(position)
            file.write(b"changed")
    end = ended(near, identity, 90)
    assert (end["state"], end["error_type"]) == ("failed", "gone")
    assert end["error"] == "no holder; another content has its name"
    assert "no holder that sends what the id says" not in near.log
    assert near.fetch(name="big.bin")["state"] == "complete"
    assert (near.directory / "big.bin").read_bytes() == (far.directory / "big.bin").read_bytes()


def test_a_file_that_is_removed_everywhere_ends_its_download(nodes: Nodes) -> None:
    far = nodes.start("far", files={"big.bin": os.urandom(24 * MIB)}, upload_limit=2 * MIB).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: "big.bin" in near.names(), "near knows it")
    identity = begin(near, "big.bin")
    wait_for(lambda: download(near, identity)["verified"] > 0, "something is here")
    far.kill()
    (far.directory / "big.bin").unlink()
    wait_for(lambda: download(near, identity)["state"] == "waiting", "far may come back with it")
    far.launch()
    end = ended(near, identity, 90)
    assert (end["state"], end["error_type"]) == ("failed", "gone")
    assert end["error"] == "no holder; nobody shares it any more"
