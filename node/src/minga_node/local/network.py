"""Starts the nodes of a local network as processes of their own, and ends them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import urllib3

from minga_node.errors import MingaError, StorageFailed
from minga_node.local import samples
from minga_node.local.spec import NetworkSpec

HOST = "127.0.0.1"
FIRST_PORT = 5000


@dataclass
class LocalNode:
    """One node: its name, its REST address, its directory and its process."""

    name: str
    url: str
    directory: Path
    process: subprocess.Popen[bytes]


class LocalNetwork:
    """The nodes of one network below ``base``, one folder each.

    ``say(node, line)`` gets their log lines.
    """

    def __init__(
        self, spec: NetworkSpec, base: Path, broker_url: str | None, say: Callable[[str, str], None]
    ) -> None:
        self._spec = spec
        self._base = base
        self._broker_url = broker_url
        self._say = say
        self._ports = _free_ports()
        self.nodes: list[LocalNode] = []

    def start(self, *, with_samples: bool) -> None:
        """Starts seeds, then peers.

        Raises:
            StorageFailed: a folder cannot be made.
            MingaError: a node ended at once.
        """
        seeds: list[str] = []
        names = [f"seed-{n}" for n in range(self._spec.seeds)] + [
            f"peer-{n}" for n in range(self._spec.peers)
        ]
        for name in names:
            port = next(self._ports)
            url = f"http://{HOST}:{port}"
            is_seed = name.startswith("seed-")
            # Every node may join through any seed but itself.
            node = self._start_node(
                name, port, [seed for seed in seeds if seed != url], is_seed, with_samples
            )
            if is_seed:
                seeds.append(url)
            self.nodes.append(node)

    def _start_node(
        self, name: str, port: int, seeds: list[str], is_seed: bool, with_samples: bool
    ) -> LocalNode:
        home = self._base / name
        directory = home / "files"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if with_samples:
                samples.make(name, directory)
            config = home / "peer_config.json"
            config.write_text(
                json.dumps(
                    {
                        "ip": HOST,
                        "port": port,
                        "grpc_port": 0,
                        "directory": str(directory),
                        "seed_peer": seeds,
                        "name": name,
                        "network": self._spec.name,
                        "seed": is_seed,
                        "broker_url": self._broker_url or "",
                        **self._spec.sharing,
                    },
                    indent=2,
                ),
                encoding="utf-8",
            )
        except OSError as error:
            raise StorageFailed(f"{home}: {error.strerror}") from error
        # What is set for one node in the environment must not reach all of these.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MINGA_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "minga_node.main", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        assert process.stderr is not None
        threading.Thread(target=self._relay, args=(name, process.stderr), daemon=True).start()
        return LocalNode(name, f"http://{HOST}:{port}", directory, process)

    def _relay(self, name: str, lines: IO[bytes]) -> None:
        for line in lines:
            self._say(name, line.decode(errors="replace").rstrip())

    def wait_ready(self, timeout: float) -> None:
        """Waits until every node has joined.

        Raises:
            MingaError: one ended, or it took too long.
        """
        deadline = time.monotonic() + timeout
        pool = urllib3.PoolManager(retries=False, timeout=2)
        waiting = list(self.nodes)
        while waiting:
            node = waiting[0]
            if node.process.poll() is not None:
                raise MingaError(f"{node.name} ended with status {node.process.returncode}; its log says why")
            try:
                if pool.request("GET", f"{node.url}/readyz").status == 200:
                    waiting.pop(0)
                    continue
            except urllib3.exceptions.HTTPError:
                pass
            if time.monotonic() > deadline:
                raise MingaError(f"{node.name} is not ready after {timeout:g} s; its log says why")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends all nodes, peers first; one that does not end in time is killed."""
        for node in reversed(self.nodes):
            if node.process.poll() is None:
                node.process.terminate()
        for node in self.nodes:
            try:
                node.process.wait(12)
            except subprocess.TimeoutExpired:
                node.process.kill()
                node.process.wait()


@contextmanager
def running(
    spec: NetworkSpec,
    base: Path,
    broker_url: str | None,
    say: Callable[[str, str], None],
    *,
    with_samples: bool,
) -> Iterator[LocalNetwork]:
    """A local network for the time of a block."""
    with ExitStack() as stack:
        network = LocalNetwork(spec, base, broker_url, say)
        stack.callback(network.stop)
        network.start(with_samples=with_samples)
        yield network


def _free_ports() -> Iterator[int]:
    """5000 and up, leaving out what is taken."""
    for port in range(FIRST_PORT, 65536):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        yield port
