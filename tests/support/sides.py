"""Two groups of network namespaces, each around a bridge, and one link between the bridges that can be cut.

Needs root and iproute2. The addresses are of 198.18.0.0/15 (RFC 2544).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from tests.bench.netns import entered, run
from tests.nodes import RunningNode


@dataclass(frozen=True)
class Leaf:
    """A namespace with an address of its own."""

    namespace: str
    address: str


class Sides:
    """Made on entering, removed on leaving with whatever runs in it.

    Args:
        size: namespaces on each side.
    """

    def __init__(self, size: int) -> None:
        tag = f"mc{os.getpid()}"
        self._middle = f"{tag}m"
        self.leaves = [
            [Leaf(f"{tag}s{side}n{number}", f"198.18.{side}.{number + 1}") for number in range(size)]
            for side in range(2)
        ]

    def __enter__(self) -> Sides:
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self) -> None:
        middle = ("ip", "-n", self._middle)
        run("ip", "netns", "add", self._middle)
        for side, leaves in enumerate(self.leaves):
            run(*middle, "link", "add", f"br{side}", "type", "bridge")
            run(*middle, "link", "set", f"br{side}", "up")
            for number, leaf in enumerate(leaves):
                port = f"s{side}p{number}"
                run("ip", "netns", "add", leaf.namespace)
                other = ("peer", "name", "eth0", "netns", leaf.namespace)
                run(*middle, "link", "add", port, "type", "veth", *other)
                run(*middle, "link", "set", port, "master", f"br{side}", "up")
                run("ip", "-n", leaf.namespace, "addr", "add", f"{leaf.address}/15", "dev", "eth0")
                run("ip", "-n", leaf.namespace, "link", "set", "lo", "up")
                run("ip", "-n", leaf.namespace, "link", "set", "eth0", "up")
        run(*middle, "link", "add", "cable0", "type", "veth", "peer", "name", "cable1")
        for side in range(2):
            run(*middle, "link", "set", f"cable{side}", "master", f"br{side}", "up")

    def cut(self) -> None:
        """Neither side reaches the other: packets vanish, connections are not told."""
        run("ip", "-n", self._middle, "link", "set", "cable0", "down")

    def heal(self) -> None:
        run("ip", "-n", self._middle, "link", "set", "cable0", "up")

    def __exit__(self, *_: object) -> None:
        for namespace in [*(leaf.namespace for leaves in self.leaves for leaf in leaves), self._middle]:
            pids = subprocess.run(
                ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False
            )
            for pid in pids.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


class NodeIn(RunningNode):
    """A node in a namespace, which is spoken to from there."""

    def __init__(self, leaf: Leaf, name: str, home: Path, config: dict[str, Any]) -> None:
        self._namespace = leaf.namespace
        prefix = ("ip", "netns", "exec", leaf.namespace)
        super().__init__(name, home, {"ip": leaf.address, "name": name, **config}, prefix)

    def request(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        with entered(self._namespace):
            return super().request(method, path, **more)
