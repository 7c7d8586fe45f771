"""Real nodes for tests: ``minga-node`` processes on loopback, each with a directory of its own."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from tests.waiting import wait_for

HOST = "127.0.0.1"
HTTP = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=120), maxsize=64)


PORTS_A_WORKER = 4000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = itertools.count(os.getpid() % PORTS_A_WORKER)


def free_port() -> int:
    """A port that nobody listens on, and that nobody will be given meanwhile.

    The kernel gives ports from 32768 on to whoever asks for any; those below are shared out among the
    workers of a run, each of which takes one after the other.
    """
    while True:
        port = 12000 + _worker % 5 * PORTS_A_WORKER + next(_ports) % PORTS_A_WORKER
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port


@dataclass
class RunningNode:
    """One process, and how to talk to it."""

    name: str
    home: Path
    config: dict[str, Any]
    prefix: tuple[str, ...] = ()
    """Of the command, such as one that enters a namespace."""
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.launch()

    @property
    def directory(self) -> Path:
        return self.home / "files"

    @property
    def url(self) -> str:
        return f"http://{self.config.get('advertise') or self.config['ip']}:{self.config['port']}"

    @property
    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace")

    def launch(self) -> None:
        """Starts the process (again)."""
        path = self.home / "peer_config.json"
        path.write_text(json.dumps(self.config))
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MINGA_")}
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "minga_node.main", "--config", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )

    def ready(self, timeout: float = 90) -> RunningNode:
        wait_for(self.is_ready, f"{self.name} ready; its log:\n{self.log}", timeout)
        return self

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log}")
        try:
            return self.request("GET", "/readyz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def request(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        return HTTP.request(method, self.url + path, **more)

    def get(self, path: str) -> Any:
        """JSON of a successful GET."""
        response = self.request("GET", path)
        assert response.status == 200, (path, response.status, response.data)
        return response.json()

    def put(self, name: str, content: bytes) -> Any:
        response = self.request("PUT", f"/files/{name}", body=content)
        assert response.status in {200, 201}, response.data
        return response.json()

    def names(self, query: str = "") -> set[str]:
        """Names it finds in the network (first thousand)."""
        return {row["name"] for row in self.get(f"/api/v1/files?limit=1000&q={query}")["files"]}

    def fetch(self, timeout: float = 120, **what: str) -> Any:
        """Downloads something, to the end, and returns the download."""
        response = self.request("POST", "/api/v1/downloads", json=what)
        assert response.status == 202, response.data
        where = response.headers["Location"]

        def ended() -> Any:
            download = self.get(where)
            return download if download["state"] in {"complete", "failed", "cancelled"} else None

        return wait_for(ended, f"download of {what}", timeout)

    def metric(self, name: str, **labels: str) -> float:
        """The value of one sample of ``/metrics``; 0 when it is not there yet."""
        from prometheus_client.parser import text_string_to_metric_families

        for family in text_string_to_metric_families(self.request("GET", "/metrics").data.decode()):
            for sample in family.samples:
                if sample.name == name and all(sample.labels.get(k) == v for k, v in labels.items()):
                    return float(sample.value)
        return 0.0

    def kill(self) -> None:
        """The end without any warning."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def terminate(self, timeout: float = 30) -> int:
        """SIGTERM; returns the exit status. Longer than a node takes, also on a busy machine."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)


class Nodes:
    """Starts nodes below a folder, and ends all of them."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self.all: list[RunningNode] = []

    def start(
        self, name: str, *seeds: RunningNode, files: dict[str, bytes] | None = None, **config: Any
    ) -> RunningNode:
        """A node with these keys of its configuration; ``prefix`` is not one, but that of its command."""
        prefix: tuple[str, ...] = config.pop("prefix", ())
        home = self._base / name
        for file, content in (files or {}).items():
            path = home / "files" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        home.mkdir(parents=True, exist_ok=True)
        node = RunningNode(
            name,
            home,
            {
                "ip": HOST,
                "port": free_port(),
                "grpc_port": free_port(),
                "directory": str(home / "files"),
                "seed_peer": [seed.url for seed in seeds],
                "name": name,
                "network": "test",
                "quiet_seconds": 0.1,
                "gossip_seconds": 0.2,
                "suspect_seconds": 2,
                "dead_seconds": 4,
                **config,
            },
            prefix,
        )
        self.all.append(node)
        return node

    def stop(self) -> None:
        for node in self.all:
            if node.process.poll() is None:
                node.process.send_signal(signal.SIGTERM)
        for node in self.all:
            try:
                node.process.wait(12)
            except subprocess.TimeoutExpired:
                node.kill()
