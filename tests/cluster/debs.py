"""The Debian packages that the cluster stands on."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .shell import ClusterError, run_logged

# A file that each package brings, and the package.
PACKAGES = {
    "/usr/bin/etcd": "etcd-server",
    "/usr/bin/containerd": "containerd",
    "/usr/sbin/runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/bin/buildah": "buildah",
    "/usr/sbin/debootstrap": "debootstrap",
    "/usr/sbin/conntrack": "conntrack",
    "/usr/sbin/iptables": "iptables",
    "/usr/sbin/ethtool": "ethtool",
    "/usr/bin/socat": "socat",
    "/usr/bin/openssl": "openssl",
    "/usr/bin/nsenter": "util-linux",
}
_IP = {"/bin/ip", "/sbin/ip", "/usr/bin/ip", "/usr/sbin/ip"}
_POLICY = Path("/usr/sbin/policy-rc.d")


def missing_debs(packages: Mapping[str, str] = PACKAGES) -> list[str]:
    """The names of the packages that are not installed."""
    missing = sorted(package for file, package in packages.items() if not Path(file).exists())
    return missing if any(Path(file).exists() for file in _IP) else [*missing, "iproute2"]


def ensure_debs(log: Path, packages: Mapping[str, str] = PACKAGES) -> None:
    """Install what is missing. Raises ClusterError with the list when this user cannot."""
    missing = missing_debs(packages)
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ClusterError(f"Debian packages are missing; as root: {' '.join(command)}")
    lock = ["-o", "DPkg::Lock::Timeout=300"]
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    with _NoServices():
        run_logged(["apt-get", *lock, "update"], log, timeout=300, attempts=2)
        run_logged([*command, *lock], log, timeout=900, attempts=2, env=env)


class _NoServices:
    """While it is entered, installing a package starts no service (Debian policy 9.3.3.1, policy-rc.d)."""

    def __init__(self) -> None:
        self.ours = False

    def __enter__(self) -> None:
        if not _POLICY.exists():
            with tempfile.NamedTemporaryFile("w", dir=_POLICY.parent, delete=False) as policy:
                policy.write("#!/bin/sh\nexit 101\n")
            Path(policy.name).chmod(0o755)
            Path(policy.name).rename(_POLICY)
            self.ours = True

    def __exit__(self, *_: object) -> None:
        if self.ours:
            _POLICY.unlink(missing_ok=True)
