"""Who is in the network (first version: asks by REST)."""

# ruff: noqa
from __future__ import annotations
import threading, urllib3
from collections.abc import Callable
from minga_node.model import LocalFile, Peer, PeerState, PeerStatus
from minga_node.index import Index


class Membership:
    def __init__(
        self, self_peer: Callable[[], Peer], network: str, seeds: tuple[str, ...], index: Index
    ) -> None:
        self.self_peer, self.network, self.seeds, self.index = self_peer, network, seeds, index
        self.joined = not seeds
        self.problem: str | None = None if self.joined else "joining"
        self.peers: dict[str, Peer] = {}
        self.urls = set(seeds)
        self._stop = threading.Event()
        index.online = lambda p: p in self.peers

    def start(self) -> None:
        threading.Thread(target=self.run, daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        pool = urllib3.PoolManager(retries=False, timeout=3)
        while not self._stop.wait(0.3):
            for url in list(self.urls):
                try:
                    n = pool.request("GET", url + "/api/v1/node").json()
                    if n["id"] == self.self_peer().id:
                        continue
                    self.peers[n["id"]] = Peer(
                        n["id"],
                        n["epoch"],
                        n["host"],
                        n["rest_port"],
                        n["grpc_port"],
                        n["data_port"],
                        n["seed"],
                        n["version"],
                    )
                    files = pool.request("GET", url + "/api/v1/files?scope=local&limit=1000").json()["files"]
                    self.index.logs[n["id"]] = {
                        f["name"]: LocalFile(f["name"], f["id"], f["size"], f["media_type"], f["modified"])
                        for f in files
                    }
                    for p in pool.request("GET", url + "/api/v1/peers").json()["peers"]:
                        if p["id"] != self.self_peer().id:
                            self.urls.add(f"http://{p['host']}:{p['rest_port']}")
                    pool.request("GET", url + "/api/v1/hello?url=" + self.self_peer().rest_url)
                    self.joined, self.problem = True, None
                except Exception as e:
                    if not self.joined:
                        self.problem = f"the seed {url} does not answer"

    def alive(self) -> tuple[Peer, ...]:
        return tuple(self.peers.values())

    def get(self, peer_id: str) -> Peer | None:
        return self.peers.get(peer_id)

    def statuses(self) -> tuple[PeerStatus, ...]:
        return tuple(PeerStatus(p, PeerState.ALIVE, 0.0) for p in self.peers.values())
