"""Mutual TLS among peers: who belongs to the network, and who does not, at both of a node's ports."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from minga_node import peer_tls
from minga_node.downloads.exchange import Exchange, Put, Subscription
from minga_node.downloads.model import Availability
from minga_node.errors import MingaError, NotFound
from minga_node.model import Peer
from minga_node.pclient.channels import Channels
from minga_node.pclient.content import ContentClient
from minga_node.pclient.credentials import ChannelCredentials
from minga_node.peer_tls import PeerTls
from minga_node.pserver import members
from minga_node.pserver.content import NAME as CONTENT
from minga_node.pserver.content import ContentService
from minga_node.pserver.service import GrpcServer
from minga_protos.v1 import (
    content_pb2,
    content_pb2_grpc,
    index_pb2,
    index_pb2_grpc,
    membership_pb2,
    membership_pb2_grpc,
)
from tests.nodes import Nodes, RunningNode, free_port
from tests.support.authority import Authority
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.integration

NAME = "test.peers.minga"
TAKEN = "peers are met by TLS"
FILES = {"maize.bin": bytes(range(256)) * 8192}


class Certified:
    """Starts nodes with certificates."""

    def __init__(self, nodes: Nodes, base: Path) -> None:
        self.nodes, self.base = nodes, base
        self.authority, self.stranger = Authority(), Authority("somebody else")

    def directory(self, name: str) -> Path:
        return self.base / f"tls-{name}"

    def start(
        self, name: str, *seeds: RunningNode, files: dict[str, bytes] | None = None, **config: Any
    ) -> RunningNode:
        directory = self.authority.directory(self.directory(name), NAME)
        return self.nodes.start(name, *seeds, files=files, peer_tls_directory=str(directory), **config)

    def two(self) -> tuple[RunningNode, RunningNode]:
        first = self.start("first", files=FILES).ready()
        return first, self.start("second", first).ready()


@pytest.fixture
def certified(nodes: Nodes, tmp_path: Path) -> Certified:
    return Certified(nodes, tmp_path)


def knows(node: RunningNode, name: str) -> Callable[[], bool]:
    return lambda: name in node.names()


def test_peers_with_certificates_share_and_fetch(certified: Certified) -> None:
    first, second = certified.two()
    wait_for(knows(second, "maize.bin"), "the index at the second")
    assert second.fetch(name="maize.bin")["state"] == "complete"
    assert (second.directory / "maize.bin").read_bytes() == FILES["maize.bin"]
    assert first.get("/api/v1/node")["peer_tls"] is True


def logged(node: RunningNode, words: str, times: int = 1) -> Callable[[], bool]:
    return lambda: node.log.count(words) >= times


def unready(node: RunningNode, words: str) -> Callable[[], bool]:
    def so() -> bool:
        answer = node.request("GET", "/readyz")
        assert answer.status == 503
        return words in answer.data.decode()

    return so


def refused_nodes(certified: Certified) -> dict[str, tuple[dict[str, Any], str]]:
    """Configurations of nodes that are no peers, and what they are told."""
    ours, theirs, base = certified.authority, certified.stranger, certified.directory
    return {
        "plain": ({}, "meets only peers that have a certificate: peer_tls_directory is not set here"),
        "stranger": (
            {"peer_tls_directory": str(theirs.directory(base("stranger"), NAME))},
            "its certificate is not of the authority in ca.crt",
        ),
        "trusting": (
            {
                "peer_tls_directory": str(
                    theirs.directory(base("trusting"), NAME, authorities=ours.certificate)
                )
            },
            "it does not take this node's certificate",
        ),
        "expired": (
            {"peer_tls_directory": str(ours.directory(base("expired"), NAME, days=-1))},
            "this node's certificate has expired",
        ),
    }


def test_who_is_no_peer_cannot_join_and_is_told_why_once(certified: Certified) -> None:
    first = certified.start("first", files=FILES).ready()
    refused = refused_nodes(certified)
    others = {name: certified.nodes.start(name, first, **more) for name, (more, _) in refused.items()}
    for name, node in others.items():
        said = refused[name][1]
        wait_for(logged(node, said), f"{name} is told {said!r}:\n{node.log}")
    # Each has tried several times meanwhile, and again.
    for name, node in others.items():
        lines = [line.split("cannot join")[1] for line in node.log.splitlines() if "cannot join" in line]
        assert len(lines) == len(set(lines)), node.log
        wait_for(unready(node, refused[name][1]), f"{name} says why it is not ready")
        assert node.names() == set()
    assert first.get("/api/v1/peers")["peers"] == []


def test_a_node_with_a_certificate_does_not_join_a_network_without(certified: Certified) -> None:
    plain = certified.nodes.start("plain", files=FILES).ready()
    node = certified.start("certified", plain)
    wait_for(lambda: "does not meet peers by TLS" in node.log, "a word why")
    assert plain.get("/api/v1/peers")["peers"] == []


CALLS: dict[str, Callable[[grpc.Channel], object]] = {
    "join": lambda channel: membership_pb2_grpc.MembershipStub(channel).Join(
        membership_pb2.JoinRequest(network="test"), timeout=5
    ),
    "list peers": lambda channel: membership_pb2_grpc.MembershipStub(channel).ListPeers(
        membership_pb2.ListPeersRequest(), timeout=5
    ),
    "gossip": lambda channel: index_pb2_grpc.IndexStub(channel).Reconcile(
        index_pb2.ReconcileRequest(network="test"), timeout=5
    ),
    "fetch logs": lambda channel: list(
        index_pb2_grpc.IndexStub(channel).Fetch(index_pb2.FetchRequest(network="test"), timeout=5)
    ),
    "manifest": lambda channel: list(
        content_pb2_grpc.ContentStub(channel).GetManifest(
            content_pb2.GetManifestRequest(content_id=bytes(32)), timeout=5
        )
    ),
    "follow": lambda channel: next(
        content_pb2_grpc.ContentStub(channel).Follow(
            content_pb2.FollowRequest(content_id=bytes(32)), timeout=5
        )
    ),
}


def codes(channel: grpc.Channel) -> dict[str, grpc.StatusCode]:
    """What each call is answered with."""
    found = {}
    for name, call in CALLS.items():
        try:
            call(channel)
        except grpc.RpcError as error:
            found[name] = error.code()
        else:
            found[name] = grpc.StatusCode.OK
    return found


def secure(target: str, authorities: bytes, certificate: bytes | None, key: bytes | None) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(authorities, key, certificate)
    return grpc.secure_channel(target, credentials, [("grpc.ssl_target_name_override", NAME)])


def test_no_call_of_grpc_is_answered_without_a_certificate_of_the_network(certified: Certified) -> None:
    node = certified.start("first", files=FILES).ready()
    target, ca = f"127.0.0.1:{node.config['grpc_port']}", certified.authority.certificate
    nobody = dict.fromkeys(CALLS, grpc.StatusCode.UNAVAILABLE)
    with grpc.insecure_channel(target) as channel:
        assert codes(channel) == nobody
    with secure(target, ca, None, None) as channel:
        assert codes(channel) == nobody
    with secure(target, ca, *certified.stranger.issue(NAME)) as channel:
        assert codes(channel) == nobody
    with secure(target, ca, *certified.authority.issue(NAME, days=-1)) as channel:
        assert codes(channel) == nobody
    with secure(target, ca, *certified.authority.issue("other.peers.minga")) as channel:
        assert codes(channel) == dict.fromkeys(CALLS, grpc.StatusCode.UNAUTHENTICATED)
    with secure(target, ca, *certified.authority.issue(NAME)) as channel:
        assert {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED}.isdisjoint(
            codes(channel).values()
        )
        assert codes(channel)["list peers"] is grpc.StatusCode.OK
    said = "its certificate is for other.peers.minga, and this network's are for test.peers.minga"
    assert node.log.count(said) == 1, node.log
    assert node.metric("minga_peers_refused_total", reason="name") == len(CALLS)


def test_a_renewed_certificate_is_taken_while_the_nodes_run(certified: Certified) -> None:
    """All that each node has and trusts is replaced, as when an authority is exchanged."""
    first, second = certified.two()
    fresh = Authority("the next one")
    both = certified.authority.certificate + fresh.certificate
    nodes = {"first": first, "second": second}
    for trusted, signer in ((both, certified.authority), (both, fresh), (fresh.certificate, fresh)):
        before = {name: node.log.count(TAKEN) for name, node in nodes.items()}
        for name in nodes:
            signer.directory(certified.directory(name), NAME, authorities=trusted)
        for name, node in nodes.items():
            wait_for(logged(node, TAKEN, before[name] + 1), f"{name} takes the new files")
    target = f"127.0.0.1:{first.config['grpc_port']}"
    with secure(target, fresh.certificate, *certified.authority.issue(NAME)) as channel:
        assert set(codes(channel).values()) == {grpc.StatusCode.UNAVAILABLE}
    (second.directory / "beans.bin").write_bytes(b"beans" * 1000)
    third = certified.nodes.start(
        "third", first, peer_tls_directory=str(fresh.directory(certified.directory("third"), NAME))
    ).ready()
    wait_for(lambda: {"maize.bin", "beans.bin"} <= third.names(), "both files at the third")
    for name in ("maize.bin", "beans.bin"):
        assert third.fetch(name=name)["state"] == "complete"
    assert all(peer["state"] == "alive" for peer in first.get("/api/v1/peers")["peers"])


def test_a_node_whose_certificate_is_no_use_does_not_start(certified: Certified) -> None:
    directory = certified.authority.directory(certified.directory("wrong"), "other.peers.minga")
    node = certified.nodes.start("wrong", peer_tls_directory=str(directory))
    assert node.process.wait(PATIENCE) == 2
    assert node.log == (
        f"minga-node: peer_tls_directory is {directory}: tls.crt is for other.peers.minga:"
        " expected the DNS name test.peers.minga\n"
    )


def test_a_network_changes_to_certificates_one_seed_after_the_other(certified: Certified) -> None:
    """As a rolling restart does it: each must be ready before the next is restarted."""
    one = certified.nodes.start("one", seed=True).ready()
    two = certified.nodes.start("two", one, seed=True, files=FILES).ready()
    peer = certified.nodes.start("peer", one, two).ready()
    wait_for(knows(peer, "maize.bin"), "the index at the peer")
    for node in (two, one, peer):
        assert node.terminate() == 0
        directory = certified.authority.directory(certified.directory(node.name), NAME)
        node.config |= {"peer_tls_directory": str(directory)}
        if node is one:
            node.config |= {"seed_peer": [two.url]}
        node.launch()
        node.ready(30)
    assert "begins without it" in two.log
    wait_for(knows(peer, "maize.bin"), "the index at the peer again")
    assert peer.fetch(name="maize.bin")["state"] == "complete"
    wait_for(lambda: len(one.get("/api/v1/peers")["peers"]) == 2, "all three have met")


def test_a_peer_does_not_begin_a_network_of_its_own(certified: Certified) -> None:
    """Only seeds: else every newcomer with a wrong configuration would be ready, and alone."""
    plain = certified.nodes.start("plain", seed=True).ready()
    node = certified.start("certified", plain)
    wait_for(logged(node, "cannot join"), "a word why")
    assert node.request("GET", "/readyz").status == 503


def test_who_is_trusted_no_more_is_out_when_its_connection_is_too_old(
    monkeypatch: pytest.MonkeyPatch, certified: Certified
) -> None:
    monkeypatch.setattr(members, "CONNECTION_SECONDS", 0.5)
    monkeypatch.setattr(peer_tls, "LOOK_SECONDS", 0.0)
    directory = certified.authority.directory(certified.directory("server"), NAME)
    server = GrpcServer("127.0.0.1", 0, [], tls=PeerTls(directory, "test"))
    server.start()
    target = f"127.0.0.1:{server.port}"
    try:
        with secure(target, certified.authority.certificate, *certified.authority.issue(NAME)) as channel:

            def answered() -> bool:
                with contextlib.suppress(grpc.RpcError):
                    health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
                    return True
                return False

            assert answered()
            certified.stranger.directory(directory, NAME)
            wait_for(lambda: not answered(), "it is out")
            assert not answered()
    finally:
        server.stop(0)


def test_calls_and_streams_go_out_with_the_renewed_certificate(
    monkeypatch: pytest.MonkeyPatch, certified: Certified
) -> None:
    """The other node comes back and knows only the new authority, as after an exchange of authorities."""
    monkeypatch.setattr(peer_tls, "LOOK_SECONDS", 0.0)
    directory = certified.authority.directory(certified.directory("caller"), NAME)
    channels = Channels(ChannelCredentials(PeerTls(directory, "test")))
    port = free_port()

    def subscribe(content_id: str, peer: str, put: Put) -> Subscription:
        # Enough follow already: it hears what is here, and that is all.
        return Subscription(Exchange(lambda _: (1, 8)), content_id, peer, Availability(1, False), put, False)

    def served_by(authority: Authority) -> GrpcServer:
        place = authority.directory(certified.directory("server"), NAME)
        service = ContentService(lambda _id: None, subscribe)
        server = GrpcServer("127.0.0.1", port, [(CONTENT, service.register)], tls=PeerTls(place, "test"))
        server.start()
        return server

    peer = Peer("server", 1, "127.0.0.1", 0, port, 0)
    client = ContentClient(channels, peer.id)

    def call() -> bool:
        with pytest.raises(MingaError) as caught:
            client.manifest(peer, "0" * 64)
        return isinstance(caught.value, NotFound)

    def follow() -> bool:
        heard: list[Availability] = []
        ended = threading.Event()
        client.follow(peer, "0" * 64, 8, heard.append, ended.set)
        assert ended.wait(PATIENCE)
        return bool(heard)

    server = served_by(certified.authority)
    wait_for(call, "an answer")
    wait_for(follow, "a stream")
    server.stop(0)
    certified.stranger.directory(directory, NAME)
    server = served_by(certified.stranger)
    try:
        wait_for(call, "an answer to the renewed certificate")
        wait_for(follow, "a stream with the renewed certificate")
    finally:
        client.close()
        channels.close()
        server.stop(0)
