"""Where everything of one test cluster is: folders, addresses and names, computed from its name."""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from .shell import ClusterError

REPOSITORY = Path(__file__).resolve().parents[2]

SERVICES = "198.19.0.0/16"
PODS = "198.18.64.0/18"
DNS_ADDRESS = "198.19.0.10"
API_SERVICE_ADDRESS = "198.19.0.1"
MOST_NODES = 20


def cache_folder() -> Path:
    """What is expensive to make and belongs to no cluster: binaries, the base file system, images."""
    return _xdg("XDG_CACHE_HOME", ".cache") / "minga" / "cluster"


def clusters_folder() -> Path:
    """The parent of every cluster's own folder."""
    return _xdg("XDG_STATE_HOME", ".local/state") / "minga" / "cluster"


def usual_name() -> str:
    """The name of the cluster that is meant when none is given."""
    return os.environ.get("MINGA_TEST_CLUSTER") or "default"


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) if Path(value).is_absolute() else Path.home() / default


@dataclass(frozen=True)
class Node:
    """One Kubernetes node; its index counts from 1."""

    index: int
    slot: int
    folder: Path
    cgroup: str

    @property
    def name(self) -> str:
        return f"node{self.index}"

    @property
    def address(self) -> str:
        return f"198.18.{self.slot}.{10 + self.index}"

    @property
    def pods(self) -> str:
        """The range its pods' addresses are from."""
        return f"198.18.{64 + self.index}.0/24"

    @property
    def complete(self) -> Path:
        """Exists from the moment that it was Ready for the first time."""
        return self.folder / "complete"

    @property
    def volumes(self) -> Path:
        """The folder on this machine that the node sees as /var/lib/volumes."""
        return self.folder / "volumes"


@dataclass(frozen=True)
class Layout:
    """One cluster. Two clusters may run side by side when their names give different slots.

    All addresses are from 198.18.0.0/15, which RFC 2544 reserves for test networks: the nodes' are in
    198.18.SLOT.0/24, the only range this machine's own network sees; pods' and services' exist inside only.
    """

    name: str = "default"

    def __post_init__(self) -> None:
        if re.fullmatch(r"[a-z0-9-]{1,40}", self.name) is None or self.name == "existing":
            raise ClusterError(
                f"{self.name!r} cannot be a test cluster's name: a-z, 0-9 and - only, not 'existing'"
            )

    @property
    def slot(self) -> int:
        return 0 if self.name == "default" else 1 + zlib.crc32(self.name.encode()) % 63

    @property
    def folder(self) -> Path:
        return clusters_folder() / self.name

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def processes(self) -> Path:
        """One file a process, with its id and start time."""
        return self.folder / "processes"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.jsonl"

    @property
    def complete(self) -> Path:
        """Exists from the moment that the first node was ready."""
        return self.folder / "complete"

    @property
    def control_address(self) -> str:
        return f"198.18.{self.slot}.1"

    @property
    def host_address(self) -> str:
        """This machine's own address in the nodes' network."""
        return f"198.18.{self.slot}.254"

    @property
    def host_link(self) -> str:
        return f"minga{self.slot}"

    @property
    def server(self) -> str:
        return f"https://{self.control_address}:6443"

    @property
    def cgroup(self) -> str:
        return f"minga-{self.name}"

    def node(self, index: int) -> Node:
        name = f"node{index}"
        return Node(index, self.slot, self.folder / name, f"/{self.cgroup}/{name}")

    def nodes(self) -> list[Node]:
        """The nodes that were made so far."""
        made = (index for index in range(1, MOST_NODES + 1) if self.node(index).folder.exists())
        return [self.node(index) for index in made]
