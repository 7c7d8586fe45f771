"""Links and routes: a bridge in the control plane's sandbox, a cable from it to each node and this machine.

    this machine 198.18.S.254 ──┐
    node1        198.18.S.11  ──┼── bridge 198.18.S.1 (control plane)
    node2        198.18.S.12  ──┘

A node's pods have a range of their own behind it; everybody inside has a route to each of those. This machine
sees the nodes' range only, so nothing of its own network changes but that one link.
"""

from __future__ import annotations

from .layout import Layout, Node
from .processes import Sandbox
from .shell import run, wait_for

_BRIDGE = "switch"
_UPLINK = "eth0"


def make_switch(layout: Layout, control: Sandbox) -> None:
    """The bridge, and this machine's cable into it."""
    _ip(control, "link", "set", "lo", "up")
    _ip(control, "link", "add", _BRIDGE, "type", "bridge", "forward_delay", "0")
    _ip(control, "address", "add", f"{layout.control_address}/24", "dev", _BRIDGE)
    _ip(control, "link", "set", _BRIDGE, "up")
    _sysctl(control, "net/ipv4/ip_forward", 1)
    remove_host_link(layout)
    run(
        "ip",
        "link",
        "add",
        layout.host_link,
        "type",
        "veth",
        "peer",
        "name",
        "host",
        "netns",
        control.network,
    )
    _ip(control, "link", "set", "host", "master", _BRIDGE, "up")
    run("ip", "address", "add", f"{layout.host_address}/24", "dev", layout.host_link)
    run("ip", "link", "set", layout.host_link, "up")


def remove_host_link(layout: Layout) -> None:
    """Take this machine's cable away; it may vanish by itself meanwhile, as its other end did."""

    def gone() -> bool:
        if f" {layout.host_link}@" in run("ip", "-o", "link", "show"):
            run("ip", "link", "delete", layout.host_link)
        return True

    wait_for(f"the end of the link {layout.host_link}", gone, 10)


def connect(
    layout: Layout, control: Sandbox, node: Node, sandbox: Sandbox, others: dict[Node, Sandbox]
) -> None:
    """Plug a node in and tell everybody the way to its pods."""
    _ip(sandbox, "link", "set", "lo", "up")
    _ip(control, "link", "add", node.name, "type", "veth", "peer", "name", _UPLINK, "netns", sandbox.network)
    _ip(control, "link", "set", node.name, "master", _BRIDGE, "up")
    _ip(sandbox, "address", "add", f"{node.address}/24", "dev", _UPLINK)
    _ip(sandbox, "link", "set", _UPLINK, "up")
    # kubelet and kube-proxy look for the interface with the default route.
    _ip(sandbox, "route", "add", "default", "via", layout.control_address)
    _sysctl(sandbox, "net/ipv4/ip_forward", 1)
    # Answers between two pods of a node cross its bridge; without this they'd bypass a service's translation.
    _sysctl(sandbox, "net/bridge/bridge-nf-call-iptables", 1)
    _ip(control, "route", "replace", node.pods, "via", node.address)
    for other, its_sandbox in others.items():
        _ip(its_sandbox, "route", "replace", node.pods, "via", node.address)
        _ip(sandbox, "route", "replace", other.pods, "via", other.address)


def cut(control: Sandbox, node: Node) -> None:
    """Pull the node's cable: it and its pods run on, and nobody reaches them."""
    _ip(control, "link", "set", node.name, "down")


def heal(control: Sandbox, node: Node) -> None:
    """Plug the node's cable in again."""
    _ip(control, "link", "set", node.name, "up")


def mute(control: Sandbox, address: str) -> None:
    """Lose whatever the control plane sends to an address, such as a pod's."""
    _ip(control, "route", "replace", "blackhole", f"{address}/32")


def unmute(control: Sandbox, address: str) -> None:
    """Undo `mute`."""
    _ip(control, "route", "delete", "blackhole", f"{address}/32")


def _ip(sandbox: Sandbox, *words: str) -> None:
    run(*sandbox.in_network("ip", *words), timeout=10)


def _sysctl(sandbox: Sandbox, name: str, value: int) -> None:
    run(*sandbox.in_network("sh", "-c", f'echo {value} > "$0"', f"/proc/sys/{name}"), timeout=10)


def pass_bridged(sandbox: Sandbox) -> None:
    """Has iptables of a node see also what goes from one of its pods to another through the bridge."""
    _sysctl(sandbox, "net/bridge/bridge-nf-call-iptables", 1)
