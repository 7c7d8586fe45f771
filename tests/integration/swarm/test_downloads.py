"""Contents cross between real parts on loopback: piece listeners, gRPC, files."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import grpc
import pytest

from minga_node.downloads import Download, DownloadState, SmallFile
from minga_node.downloads.batch import SmallFileBatch
from minga_node.downloads.model import AvailabilityFollowing
from minga_node.errors import Conflict, NotFound
from minga_node.manifest import Manifest
from minga_node.model import Peer
from minga_node.uploads.cost import UploadCost
from minga_protos.v1 import content_pb2, content_pb2_grpc
from tests.support.swarm_peer import SwarmPeer

pytestmark = pytest.mark.integration

MIB = 2**20
SIZE = 24 * MIB + 5
DEADLINE = 60.0

Make = Callable[..., SwarmPeer]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    peers: list[SwarmPeer] = []
    members: dict[str, Peer] = {}

    def peer(name: str, **options: object) -> SwarmPeer:
        peers.append(SwarmPeer(name, tmp_path / name, members=members, **options).start())  # type: ignore[arg-type]
        return peers[-1]

    yield peer
    for each in peers:
        each.stop()


def content(size: int = SIZE) -> bytes:
    return os.urandom(MIB) * (size // MIB) + os.urandom(size % MIB)


def share(peer: SwarmPeer, data: bytes, name: str = "file.bin") -> Manifest:
    (peer.directory / name).write_bytes(data)
    return peer.share(name)


def ended(peer: SwarmPeer, download: Download) -> Download:
    result = peer.downloads.wait(download.id, DEADLINE)
    assert result.state.ended, f"still {result.state}: {result.why}"
    return result


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        threading.Event().wait(0.01)


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, SIZE])
def test_a_file_crosses_whole(make: Make, size: int) -> None:
    giver = make("giver")
    data = content(size)
    manifest = share(giver, data)
    taker = make("taker", others=[(giver.peer, True)])
    result = ended(taker, taker.downloads.start(manifest.id, "dir/copy.bin"))
    assert result.state is DownloadState.COMPLETE
    assert (taker.directory / "dir/copy.bin").read_bytes() == data
    assert not list((taker.directory / ".minga" / "partial").iterdir())


def test_pieces_come_from_every_holder(make: Make) -> None:
    data = content()
    givers = [make(f"giver{n}", upload_limit=20 * MIB) for n in range(3)]
    manifest, *_ = [share(giver, data) for giver in givers]
    taker = make("taker", others=[(giver.peer, True) for giver in givers])
    result = ended(taker, taker.downloads.start(manifest.id, "copy.bin"))
    assert result.state is DownloadState.COMPLETE
    assert set(result.sources) == {"giver0", "giver1", "giver2"}
    assert sum(result.sources.values()) - result.duplicate_bytes == SIZE


def copies_from_a_slow_seed(make: Make) -> float:
    """How often three who fetch at once have the content from the seed itself."""
    data = content(12 * MIB)
    seed = make("seed", upload_limit=4 * MIB)
    manifest = share(seed, data)
    takers = [make(f"taker{n}", others=[(seed.peer, True)]) for n in range(3)]
    downloads = [taker.downloads.start(manifest.id, "copy.bin") for taker in takers]
    results = [ended(taker, download) for taker, download in zip(takers, downloads, strict=True)]
    for taker in takers:
        assert (taker.directory / "copy.bin").read_bytes() == data
    return sum(result.sources.get("seed", 0) for result in results) / len(data)


def test_takers_find_each_other_and_relay_what_they_have(make: Make) -> None:
    assert copies_from_a_slow_seed(make) < 2, "three copies should need little more than one from the seed"


def test_a_busy_swarm_needs_no_streams(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes meet, and hear of each other's pieces, on the connections for pieces."""
    monkeypatch.setattr(SwarmPeer, "follow", no_stream)
    assert copies_from_a_slow_seed(make) < 2, "they took little from each other"


@pytest.mark.parametrize("name", ["", "中", "a\r\nMinga-Have: 0-7", "a, b", "x" * 129])
def test_what_is_no_nodes_name_follows_nothing_and_is_told_to_nobody(make: Make, name: str) -> None:
    """It would stand in the headers of answers to others."""
    data = content(2 * MIB)
    giver = make("giver")
    manifest = share(giver, data)
    with grpc.insecure_channel(giver.peer.grpc_target) as channel:
        stream = content_pb2_grpc.ContentStub(channel).Follow(
            content_pb2.FollowRequest(content_id=bytes.fromhex(manifest.id), follower=name), timeout=DEADLINE
        )
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        taker = make("taker", others=[(giver.peer, True)])
        assert ended(taker, taker.downloads.start(manifest.id, "copy.bin")).state is DownloadState.COMPLETE


def no_stream(*_: object) -> AvailabilityFollowing:
    return Silence()


class Silence:
    """A stream on which nothing ever comes."""

    def close(self) -> None:
        pass


def test_who_hears_nothing_on_its_connection_follows_on_a_stream(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a neighbour has neighbours enough: it asks nothing back, and so tells nothing."""
    data = content(2 * MIB)
    seed = make("seed", upload_limit=256 * 1024)
    manifest = share(seed, data)
    first = make("first", others=[(seed.peer, True)])
    download = first.downloads.start(manifest.id, "copy.bin")
    monkeypatch.setattr("minga_node.downloads.serving.DownloadServing.met", lambda *_: None)
    second = make("second", others=[(first.peer, False)])
    result = ended(second, second.downloads.start(manifest.id, "copy.bin"))
    assert result.sources == {"first": len(data)}
    assert ended(first, download).state is DownloadState.COMPLETE


def test_wrong_bytes_are_never_visible_and_come_from_elsewhere(make: Make) -> None:
    data = content()
    good = make("good", upload_limit=40 * MIB)
    manifest = share(good, data)
    bad = make("bad")
    share(bad, data)
    with (bad.directory / "file.bin").open("r+b") as file:
        for start in range(0, SIZE, 65536):
            file.seek(start)
            file.write(b"wrong")
    taker = make("taker", others=[(good.peer, True), (bad.peer, True)])
    result = ended(taker, taker.downloads.start(manifest.id, "copy.bin"))
    assert result.state is DownloadState.COMPLETE
    assert result.corrupt_pieces >= 1
    assert "bad" not in result.sources
    assert (taker.directory / "copy.bin").read_bytes() == data


def test_a_download_waits_for_a_holder_and_says_so(make: Make) -> None:
    giver = make("giver")
    data = content(MIB)
    manifest = share(giver, data)
    taker = make("taker")
    download = taker.downloads.start(manifest.id, "copy.bin")
    eventually(lambda: taker.downloads.get(download.id).why == "no holder", "it says that it has no holder")
    taker.others.append((giver.peer, True))
    assert ended(taker, download).state is DownloadState.COMPLETE


def test_a_holder_that_dies_does_not_end_the_download(make: Make) -> None:
    data = content()
    dying = make("dying", upload_limit=8 * MIB)
    manifest = share(dying, data)
    other = make("other", upload_limit=8 * MIB)
    share(other, data)
    taker = make("taker", others=[(dying.peer, True), (other.peer, True)])
    download = taker.downloads.start(manifest.id, "copy.bin")
    eventually(lambda: taker.downloads.get(download.id).sources.get("dying"), "pieces of the dying come")
    dying.pieces.stop(timeout=0)
    result = ended(taker, download)
    assert result.state is DownloadState.COMPLETE
    assert (taker.directory / "copy.bin").read_bytes() == data


def test_cancelling_leaves_nothing(make: Make) -> None:
    giver = make("giver", upload_limit=MIB)
    manifest = share(giver, content())
    taker = make("taker", others=[(giver.peer, True)])
    download = taker.downloads.start(manifest.id, "copy.bin")
    eventually(lambda: taker.downloads.get(download.id).verified, "pieces come")
    assert taker.downloads.cancel(download.id).state is DownloadState.CANCELLED
    assert not list((taker.directory / ".minga" / "partial").iterdir())
    assert not (taker.directory / "copy.bin").exists()


def test_starting_twice_is_one_download_and_another_name_is_a_conflict(make: Make) -> None:
    giver = make("giver", upload_limit=MIB)
    manifest = share(giver, content())
    taker = make("taker", others=[(giver.peer, True)])
    first = taker.downloads.start(manifest.id, "copy.bin")
    assert taker.downloads.start(manifest.id, "copy.bin").id == first.id
    with pytest.raises(Conflict):
        taker.downloads.start(manifest.id, "other.bin")
    taker.downloads.cancel(first.id)


def test_content_that_is_here_under_another_name_does_not_travel(make: Make) -> None:
    taker = make("taker")
    data = content()
    manifest = share(taker, data)
    result = ended(taker, taker.downloads.start(manifest.id, "copy.bin"))
    assert (result.state, result.sources) == (DownloadState.COMPLETE, {})
    assert (taker.directory / "copy.bin").read_bytes() == data


def test_reading_what_is_on_its_way_gives_its_bytes_in_order(make: Make) -> None:
    giver = make("giver", upload_limit=30 * MIB)
    data = content()
    manifest = share(giver, data)
    taker = make("taker", others=[(giver.peer, True)])
    download = taker.downloads.start(manifest.id, "copy.bin")
    read = b"".join(taker.downloads.read(manifest.id, 100, SIZE - 7))
    assert read == data[100 : SIZE - 7]
    assert ended(taker, download).state is DownloadState.COMPLETE


def test_reading_begins_long_before_the_end(make: Make) -> None:
    giver = make("giver", upload_limit=8 * MIB)
    data = content()
    manifest = share(giver, data)
    taker = make("taker", others=[(giver.peer, True)])
    download = taker.downloads.start(manifest.id, "copy.bin")
    middle = SIZE // 2
    first = next(iter(taker.downloads.read(manifest.id, middle, SIZE)))
    assert data[middle:].startswith(first)
    assert taker.downloads.get(download.id).verified < SIZE // 2
    taker.downloads.cancel(download.id)


def test_reading_what_nobody_fetches_is_not_found(make: Make) -> None:
    with pytest.raises(NotFound):
        list(make("taker").downloads.read("0" * 64, 0, 1))


def test_progress_is_seen_to_its_end(make: Make) -> None:
    giver = make("giver", upload_limit=16 * MIB)
    manifest = share(giver, content())
    taker = make("taker", others=[(giver.peer, True)])
    download = taker.downloads.start(manifest.id, "copy.bin")
    seen = list(taker.downloads.watch(download.id, interval=0.05))
    assert [view.verified for view in seen] == sorted(view.verified for view in seen)
    assert len(seen) > 3
    assert (seen[-1].state, seen[-1].verified) == (DownloadState.COMPLETE, SIZE)


def test_more_downloads_than_may_run_wait_for_their_turn(make: Make) -> None:
    giver = make("giver", upload_limit=64 * MIB)
    manifests = [share(giver, content(MIB), f"file{n}") for n in range(6)]
    taker = make("taker", others=[(giver.peer, True)], parallelism=2)
    downloads = [taker.downloads.start(m.id, f"copy{n}") for n, m in enumerate(manifests)]
    running = [taker.downloads.get(d.id).state for d in downloads].count(DownloadState.RUNNING)
    assert running <= 2
    assert all(ended(taker, download).state is DownloadState.COMPLETE for download in downloads)


TAKER = """
import sys
from pathlib import Path
from minga_node.model import Peer
from tests.support.swarm_peer import SwarmPeer

directory, host, grpc, data, content_id = sys.argv[1:]
giver = Peer("giver", 1, host, 0, int(grpc), int(data))
taker = SwarmPeer("taker", Path(directory), others=[(giver, True)]).start()
for download in [d for d in taker.downloads.list() if not d.state.ended] or [
    taker.downloads.start(content_id, "copy.bin")
]:
    for view in taker.downloads.watch(download.id, 0.02):
        print(view.verified, flush=True)
"""


def taker_process(directory: Path, giver: Peer, content_id: str) -> subprocess.Popen[str]:
    arguments = [str(directory), giver.host, str(giver.grpc_port), str(giver.data_port), content_id]
    return subprocess.Popen(
        [sys.executable, "-c", TAKER, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )


def test_after_a_kill_it_goes_on_from_the_verified_pieces(make: Make, tmp_path: Path) -> None:
    giver = make("giver", upload_limit=8 * MIB)
    data = content()
    manifest = share(giver, data)
    directory = tmp_path / "killed"
    with taker_process(directory, giver.peer, manifest.id) as first:
        assert first.stdout is not None
        verified = 0
        for line in first.stdout:
            verified = int(line)
            if verified > SIZE // 3:
                first.send_signal(signal.SIGKILL)
                break
    assert not (directory / "copy.bin").exists()
    with taker_process(directory, giver.peer, manifest.id) as second:
        assert second.stdout is not None
        continued = next(value for line in second.stdout if (value := int(line)))
        second.stdout.read()
        assert second.wait(DEADLINE) == 0
    assert continued >= verified, "nothing that was verified is fetched again"
    assert (directory / "copy.bin").read_bytes() == data


def steady_rate(peer: SwarmPeer, download: Download) -> float:
    """Bytes a second between a quarter of the content, when the bucket's first burst is over, and the end."""
    views = [
        (time.monotonic(), view.verified)
        for view in peer.downloads.watch(download.id, interval=0.02)
        if SIZE // 4 < view.verified < SIZE
    ]
    (first_at, first), (last_at, last) = views[0], views[-1]
    return (last - first) / (last_at - first_at)


def test_a_limit_on_downloads_holds_within_five_percent(make: Make) -> None:
    giver = make("giver")
    manifest = share(giver, content())
    taker = make("taker", others=[(giver.peer, True)], download_limit=6 * MIB)
    rate = steady_rate(taker, taker.downloads.start(manifest.id, "copy.bin"))
    assert rate == pytest.approx(6 * MIB, rel=0.05)


def test_a_limit_on_uploads_holds_within_five_percent(make: Make) -> None:
    giver = make("giver", upload_limit=6 * MIB)
    manifest = share(giver, content())
    taker = make("taker", others=[(giver.peer, True)])
    rate = steady_rate(taker, taker.downloads.start(manifest.id, "copy.bin"))
    assert rate == pytest.approx(6 * MIB, rel=0.05)


def test_a_holder_hears_how_fast_a_peer_receives(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """And shares by that what it sends; not by how long its own answers take."""
    heard: list[float] = []
    cost = UploadCost.cost

    def listen(shares: UploadCost, party: str, count: int, rate: float) -> float:
        assert party == "taker"
        heard.append(rate)
        return cost(shares, party, count, rate)

    monkeypatch.setattr(UploadCost, "cost", listen)
    data = content()
    givers = [make(f"giver{n}", upload_limit=3 * MIB) for n in range(2)]
    manifest, *_ = [share(giver, data) for giver in givers]
    taker = make("taker", others=[(giver.peer, True) for giver in givers])
    ended(taker, taker.downloads.start(manifest.id, "copy.bin"))
    assert heard[0] == 0, "there is none before a second has gone by"
    assert heard[-1] == pytest.approx(6 * MIB, rel=0.25)


def small_files(peer: SwarmPeer, count: int) -> list[SmallFile]:
    found = []
    for number in range(count):
        manifest = share(peer, os.urandom(1000 + number), f"small{number}")
        found.append(SmallFile(manifest.id, f"many/small{number}", manifest.size))
    return found


def test_many_small_files_come_in_one_batch(make: Make) -> None:
    giver = make("giver")
    files = small_files(giver, 1200)
    taker = make("taker", others=[(giver.peer, True)])
    result = taker.downloads.wait(taker.downloads.start_many(files, "many/").id, DEADLINE)
    assert (result.state, result.verified_pieces, result.error) == (DownloadState.COMPLETE, 1200, "")
    for file in files:
        assert (taker.directory / file.name).read_bytes() == (giver.directory / file.name[5:]).read_bytes()
    assert not list((taker.directory / ".minga" / "partial").iterdir())


def test_small_files_wait_for_a_holder_that_is_busy(make: Make) -> None:
    giver = make("giver", slots=1, upload_limit=64 * 1024)
    big = share(giver, os.urandom(8 * MIB), "big")
    files = small_files(giver, 40)
    taker = make("taker", others=[(giver.peer, True)])
    with ExitStack() as stack:

        def refused(party: str) -> bool:
            one = stack.enter_context(socket.create_connection(("127.0.0.1", giver.peer.data_port), 10))
            one.sendall(f"GET /pieces/{big.id} HTTP/1.1\r\nHost: x\r\nMinga-Peer: {party}\r\n\r\n".encode())
            one.settimeout(0.1)
            try:
                return one.recv(64).startswith(b"HTTP/1.1 503")
            except TimeoutError:
                return False

        eventually(lambda: refused(uuid4().hex), "the giver sends a newcomer away")
        before = giver.pieces.refusals
        batch = taker.downloads.start_many(files, "many/").id
        eventually(lambda: giver.pieces.refusals > before, "the taker is sent away")
        assert taker.downloads.get(batch).state is DownloadState.RUNNING
    result = taker.downloads.wait(batch, DEADLINE)
    assert (result.state, result.verified_pieces, result.error) == (DownloadState.COMPLETE, 40, "")


def test_a_small_file_with_wrong_bytes_comes_from_another_holder(make: Make) -> None:
    good = make("good")
    files = small_files(good, 40)
    bad = make("bad")
    for file in files:
        (bad.directory / file.name[5:]).write_bytes(b"wrong" * 200)
        bad.files[file.content_id] = bad.directory / file.name[5:]
    taker = make("taker", others=[(good.peer, True), (bad.peer, True)])
    result = taker.downloads.wait(taker.downloads.start_many(files, "many/").id, DEADLINE)
    assert (result.state, set(result.sources)) == (DownloadState.COMPLETE, {"good"})


def test_who_follows_a_batch_to_its_end_knows_what_came_of_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever fetched it is told that the connection broke, not why the batch failed."""
    run = SmallFileBatch.run

    def late(batch: SmallFileBatch) -> None:
        try:
            run(batch)
        finally:
            time.sleep(0.5)

    monkeypatch.setattr(SmallFileBatch, "run", late)
    taker = make("taker")
    batch = taker.downloads.start_many([SmallFile("f" * 64, "many/small", 5)], "many/").id
    assert not list(taker.downloads.taken(batch))
    result = taker.downloads.get(batch)
    assert (result.state, result.error) == (DownloadState.FAILED, "nobody gives many/small")


def test_small_files_that_nobody_has_are_said(make: Make) -> None:
    giver = make("giver")
    files = small_files(giver, 3)
    taker = make("taker", others=[(giver.peer, True)])
    lost = SmallFile("0" * 64, "many/lost", 5)
    result = taker.downloads.wait(taker.downloads.start_many([*files, lost], "many/").id, DEADLINE)
    assert (result.state, result.verified_pieces) == (DownloadState.FAILED, 3)
    assert result.error == "nobody gives many/lost"
