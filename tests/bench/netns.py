"""A star of network namespaces on one machine: each leaf's link to the middle is shaped both ways.

Needs root and iproute2. The addresses are of 198.18.0.0/15, which RFC 2544 sets aside for measuring.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000
QUEUE_MS = 50
"""How long a queue of the shaped links can be, as time."""


def missing() -> str | None:
    """Why namespaces cannot be made here; None if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None or shutil.which("tc") is None:
        return "network namespaces need iproute2 (ip, tc)"
    name = f"mgtry{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"network namespaces cannot be made here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=False)
    return None


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


@dataclass(frozen=True)
class Leaf:
    """A namespace with one shaped link."""

    namespace: str
    address: str
    rate: float
    """Bits a second, each way."""

    @property
    def prefix(self) -> list[str]:
        """Runs a command in the namespace."""
        return ["ip", "netns", "exec", self.namespace]


class Star:
    """Leaves around a bridge; made on entering, removed on leaving, also when interrupted.

    Args:
        rates: bits a second of each leaf's link, each way.
    """

    def __init__(self, rates: Sequence[float]) -> None:
        self._tag = f"mg{os.getpid()}"
        self.middle = f"{self._tag}x"
        self.middle_address = "198.18.255.254"
        self.leaves = [
            Leaf(f"{self._tag}n{number}", f"198.18.{number // 200}.{number % 200 + 1}", rate)
            for number, rate in enumerate(rates)
        ]

    def __enter__(self) -> Star:
        atexit.register(self.remove)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        try:
            self._make()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
        atexit.unregister(self.remove)

    def _make(self) -> None:
        run("ip", "netns", "add", self.middle)
        run("ip", "-n", self.middle, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self.middle, "link", "set", "br0", "up")
        run("ip", "-n", self.middle, "addr", "add", f"{self.middle_address}/15", "dev", "br0")
        with entered(self.middle), contextlib.suppress(OSError):
            # Where Kubernetes or Docker has loaded br_netfilter, each packet would go through iptables too.
            Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text("0")
        for number, leaf in enumerate(self.leaves):
            port = f"p{number}"
            run("ip", "netns", "add", leaf.namespace)
            run(
                *("ip", "-n", self.middle, "link", "add", port, "type", "veth"),
                *("peer", "name", "eth0", "netns", leaf.namespace),
            )
            run("ip", "-n", self.middle, "link", "set", port, "master", "br0", "up")
            run("ip", "-n", leaf.namespace, "addr", "add", f"{leaf.address}/15", "dev", "eth0")
            run("ip", "-n", leaf.namespace, "link", "set", "lo", "up")
            run("ip", "-n", leaf.namespace, "link", "set", "eth0", "up")
            self._shape(leaf.namespace, "eth0", leaf.rate)
            self._shape(self.middle, port, leaf.rate)

    @staticmethod
    def _shape(namespace: str, device: str, rate: float) -> None:
        burst = max(160 * 1024, int(rate / 8 / 250))
        run(
            *("tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", "tbf"),
            *("rate", f"{int(rate)}bit", "burst", str(burst), "latency", f"{QUEUE_MS}ms"),
        )

    def remove(self) -> None:
        """Takes away whatever there is of it."""
        for namespace in [leaf.namespace for leaf in self.leaves] + [self.middle]:
            pids = subprocess.run(
                ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False
            )
            for pid in pids.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


@contextlib.contextmanager
def entered(namespace: str) -> Iterator[None]:
    """Sockets that this thread makes meanwhile are in the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
        yield
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(there)
