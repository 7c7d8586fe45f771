"""The Go programs of the cluster, built once per version into the cache.

One Go module requires Kubernetes, CoreDNS and Helm at versions that share their libraries, so that those are
compiled once. The result is keyed by the module's files: change a version, and the next run builds anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .layout import cache_folder
from .shell import ClusterError, run_logged

_SOURCE = Path(__file__).with_name("kube")
_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Binaries:
    """Paths of the built programs."""

    folder: Path

    @property
    def kube(self) -> Path:
        """The five servers of Kubernetes; the first argument chooses."""
        return self.folder / "kube"

    @property
    def coredns(self) -> Path:
        return self.folder / "coredns"

    @property
    def helm(self) -> Path:
        return self.folder / "helm"

    @property
    def kubectl(self) -> Path:
        return self.folder / "kubectl"

    @property
    def pause(self) -> Path:
        return self.folder / "pause"


def required_version(module: str) -> str:
    """The version of a module that go.mod requires, like v1.34.4."""
    found = re.search(rf"^\s*{re.escape(module)} (v\S+)", (_SOURCE / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ClusterError(f"{_SOURCE / 'go.mod'} does not require {module}")
    return found[1]


def ensure_binaries() -> Binaries:
    """Build what the cache doesn't hold: minutes the first time (docs/test-cluster.md), then nothing."""
    kubernetes = required_version("k8s.io/kubernetes")
    target = cache_folder() / f"bin-{kubernetes}-{fingerprint(_SOURCE)}"
    binaries = Binaries(target)
    if target.exists():
        return binaries
    with cache_lock("bin"):
        if target.exists():
            return binaries
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, package, flags in _programs(kubernetes):
            build(partial / name, package, flags, _SOURCE)
        partial.rename(target)
    return binaries


def _programs(kubernetes: str) -> list[tuple[str, str, str]]:
    major, minor, *_ = kubernetes.removeprefix("v").split(".")
    stamp = (
        f"-X {_VERSION}.gitVersion={kubernetes} -X {_VERSION}.gitMajor={major} -X {_VERSION}.gitMinor={minor}"
    )
    helm = f"-X helm.sh/helm/v3/internal/version.version={required_version('helm.sh/helm/v3')}"
    return [
        ("pause", "./pause", ""),
        ("kube", ".", stamp),
        ("coredns", "./dns", ""),
        ("helm", "helm.sh/helm/v3/cmd/helm", helm),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl", stamp),
    ]


def go() -> str:
    """The go command; raises ClusterError when there is none."""
    found = shutil.which("go")
    if found is None:
        raise ClusterError("the test cluster needs Go 1.24 or later on the PATH to build Kubernetes")
    return found


def build(target: Path, package: str, flags: str, module: Path) -> None:
    """Build a program that a Go module requires; raises ClusterError with its complaint."""
    options = ["-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {flags}"]
    command = [go(), "build", *options, "-o", str(target), package]
    log = cache_folder() / "logs" / f"build-{target.stem}.log"
    env = {"CGO_ENABLED": "0", "GOWORK": "off"}
    run_logged(command, log, timeout=2400, attempts=2, env=env, cwd=module)


def built_once(name: str, package: str, module: Path) -> Path:
    """A program of a Go module; built the first time (some minutes on 2 cores)."""
    target = cache_folder() / f"{name}-{fingerprint(module)}"
    with cache_lock(name):
        if not target.exists():
            partial = target.with_suffix(".partial")
            build(partial, package, "", module)
            partial.rename(target)
    return target


def fingerprint(folder: Path) -> str:
    """A short digest of a folder's files."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def cache_lock(name: str) -> Iterator[None]:
    """Held by one process at a time: two runs on one machine share the cache."""
    with _locked(cache_folder() / f"{name}.lock"):
        yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
