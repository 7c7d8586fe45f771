"""An engine that enforces NetworkPolicy: kube-router as nothing but that, beside kubelet in each node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from .build import built_once
from .debs import ensure_debs
from .layout import SERVICES, cache_folder
from .lifecycle import Lifecycle
from .network import pass_bridged
from .processes import Process, Sandbox
from .shell import ClusterError, run, wait_for

_SOURCE = Path(__file__).with_name("policy")
_PROGRAM = "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
_DEBS = {"/usr/sbin/ipset": "ipset"}
_CLEAN = """
iptables-save -t filter | grep -vE 'KUBE-(ROUTER|NWPLCY|POD-FW)-' | iptables-restore -T filter
for set in $(ipset list -n); do case $set in KUBE-DST-*|KUBE-SRC-*) ipset destroy "$set";; esac; done
"""


@contextmanager
def enforced(lifecycle: Lifecycle) -> Iterator[None]:
    """Meanwhile every node enforces NetworkPolicy, as kube-router understands it."""
    ensure_debs(cache_folder() / "logs" / "apt.log", _DEBS)
    program, layout = built_once("kube-router", _PROGRAM, _SOURCE), lifecycle.layout
    nodes = {node.name: lifecycle.sandbox(node.name) for node in layout.nodes()}
    engines = {
        name: Process(layout.processes / f"{name}-kube-router", layout.logs / f"{name}-kube-router.log")
        for name in nodes
    }
    words = [
        str(program),
        f"--kubeconfig={layout.kubeconfig}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        f"--service-cluster-ip-range={SERVICES}",
        "--iptables-sync-period=5s",
        "--health-port=0",
        "--v=1",
    ]
    try:
        for name, sandbox in nodes.items():
            pass_bridged(sandbox)
            engines[name].log.unlink(missing_ok=True)
            # It is a child of what is recorded, which nsenter does for the process namespace.
            guarded = ("setpriv", "--pdeathsig", "KILL", *words, f"--hostname-override={name}")
            engines[name].start(sandbox.inside(*guarded))
        for name, sandbox in nodes.items():
            wait_for(f"the engine of {name}", partial(_works, engines[name], sandbox), 120)
        yield
    finally:
        for name, sandbox in nodes.items():
            engines[name].kill()
            _clean(sandbox)


def _works(engine: Process, sandbox: Sandbox) -> bool:
    """Whether it has written rules, which it does once it knows all pods and policies."""
    engine.check()
    return _has_rules(sandbox)


def _has_rules(sandbox: Sandbox) -> bool:
    return "KUBE-ROUTER-FORWARD" in run(*sandbox.inside("iptables-save", "-t", "filter"), timeout=20)


def _clean(sandbox: Sandbox) -> None:
    """Removes its rules and sets. Its own `--cleanup-config` leaves them, and panics without IPVS."""
    run(*sandbox.inside("sh", "-ec", _CLEAN), timeout=60)
    if _has_rules(sandbox):
        raise ClusterError(f"kube-router's rules are still in {sandbox.hostname}")
