"""Commands about the network: ``peers`` and ``status``."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import click
from rich.console import Group, RenderableType

from minga_node.cli import completion
from minga_node.cli.client import Client
from minga_node.cli.output import Output, counted, plain, size
from minga_node.cli.tables import Column, Table
from minga_node.cli.watching import show, watch_option

LOOK_SECONDS = 0.5
"""Time between the two looks that a rate needs."""
COLUMNS = (
    Column("PEER", least=12),
    Column("STATE"),
    Column("FILES", right=True, leaves=1),
    Column("SIZE", right=True, leaves=2),
    Column("RECEIVES", right=True),
    Column("SENDS", right=True),
    Column("LAG", right=True, leaves=3),
    Column("LAST HEARD", right=True, leaves=4),
    Column("ADDRESS", leaves=5),
    Column("VERSION", leaves=6),
)


@click.command()
@click.option(
    "--forget",
    metavar="PEER",
    shell_complete=completion.peers,
    help="Forget a peer that is dead or left, at the node that is asked, until it lives again.",
)
@watch_option
@click.pass_obj
def peers(obj: tuple[Client, Output], forget: str | None, watch: bool) -> None:
    """Who is in the network, what each holds and moves now.

    LAG counts the changes of what a peer shares that the node has heard of and not got yet. A peer that is
    heard and does not answer the node is shown as such: a firewall may let words through one way only.

    \b
    Examples:
      minga peers
      minga peers --watch
      minga peers --forget laptop-5000
    """
    client, output = obj
    if forget is not None:
        client.delete(f"/api/v1/peers/{quote(forget, safe='')}")
        output.say(f"{forget} is forgotten")
        return
    rates = Rates(client)
    if output.for_programs:
        output.data(_all(client, rates))
        return
    show(output, lambda: _peers(client, output, rates), watch)


class Rates:
    """Bytes a second of each peer, out of two looks at the flows."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._before: dict[tuple[str, str, str], int] = {}
        self._at = 0.0

    def look(self) -> tuple[dict[str, float], dict[str, float]]:
        """What each peer receives and sends, since the look before; the first one takes a moment."""
        flows = self._flows()
        if not self._at and flows:
            self._before, self._at = flows, time.monotonic()
            time.sleep(LOOK_SECONDS)
            flows = self._flows()
        now = time.monotonic()
        receives: dict[str, float] = {}
        sends: dict[str, float] = {}
        for key, count in flows.items():
            _, sender, receiver = key
            if key in self._before and now > self._at:
                rate = max(0, count - self._before[key]) / (now - self._at)
                receives[receiver] = receives.get(receiver, 0.0) + rate
                sends[sender] = sends.get(sender, 0.0) + rate
        self._before, self._at = flows, now
        return receives, sends

    def _flows(self) -> dict[tuple[str, str, str], int]:
        flows = self._client.get("/api/v1/flows")["flows"]
        return {(flow["download"], flow["from"], flow["to"]): flow["bytes"] for flow in flows}


def _with_rates(found: list[dict[str, Any]], rates: Rates) -> list[dict[str, Any]]:
    receives, sends = rates.look()
    return [
        {**peer, "receives": receives.get(peer["id"], 0.0), "sends": sends.get(peer["id"], 0.0)}
        for peer in found
    ]


def _all(client: Client, rates: Rates) -> list[dict[str, Any]]:
    """All nodes of the network with the same keys, the one that is asked first: its ``self`` is true."""
    node = client.get("/api/v1/node")
    others = client.get("/api/v1/peers")["peers"]
    own = {**node, "state": "alive", "silent": 0.0, "lag": 0, "answers": "yes"}
    keys = others[0] if others else own
    rows = [{key: own.get(key) for key in keys}, *others]
    return [{"self": row["id"] == node["id"], **row} for row in _with_rates(rows, rates)]


def _peers(client: Client, output: Output, rates: Rates) -> Table:
    found = _all(client, rates)
    return output.make_table(
        COLUMNS,
        [
            [
                peer["id"] + (" (seed)" if peer["seed"] else ""),
                _state(peer),
                str(peer["files"]),
                size(peer["bytes"]),
                f"{size(peer['receives'])}/s" if peer["receives"] else "",
                f"{size(peer['sends'])}/s" if peer["sends"] else "",
                str(peer["lag"] or ""),
                "" if peer["self"] else f"{peer['silent']:.1f} s ago",
                f"{peer['host']}:{peer['rest_port']}",
                peer["version"],
            ]
            for peer in found
        ],
    )


def _state(peer: dict[str, Any]) -> str:
    if peer["self"]:
        return "this node"
    # A node of an earlier release does not say whether a peer answers.
    said = {"not here": ", does not answer us", "nobody": ", answers nobody"}.get(
        peer.get("answers", "yes"), ""
    )
    return f"{peer['state']}{said}"


@click.command()
@watch_option
@click.pass_obj
def status(obj: tuple[Client, Output], watch: bool) -> None:
    """How the node is, and what it sees of the network.

    \b
    Examples:
      minga status
      minga status --watch
      minga --json status
    """
    client, output = obj
    if output.for_programs:
        output.data(client.get("/api/v1/node"))
        return
    rates = Rates(client)
    show(output, lambda: _status(client, rates), watch)


def _status(client: Client, rates: Rates) -> RenderableType:
    node, network = client.get("/api/v1/node"), client.get("/api/v1/network")
    others = client.get("/api/v1/peers")["peers"]
    active = [
        d
        for d in client.get("/api/v1/downloads")["downloads"]
        if d["state"] in {"queued", "waiting", "running"}
    ]
    receives, sends = rates.look()
    # A node of an earlier version does not say what is wrong.
    problem = node.get("broker_problem", "")
    broker = {None: "none", True: problem or "connected", False: problem or "away"}[node["broker_connected"]]
    states = {state: sum(peer["state"] == state for peer in others) for state in ("alive", "suspect", "dead")}
    lag = sum(peer["lag"] for peer in others)
    files = f"{counted(len(active), 'file')} at " if active else ""
    lines = {
        "node": f"{node['id']} at {client.node}" + (" (seed)" if node["seed"] else ""),
        "ready": "yes" if node["ready"] else "no: " + "; ".join(node["problems"]),
        "library": f"{counted(node['files'], 'file')}, {size(node['bytes'])}; {size(node['disk_free'])} free",
        "receives": f"{files}{size(receives.get(node['id'], 0.0))}/s" if active else "nothing",
        "sends": f"{size(sends[node['id']])}/s" if sends.get(node["id"]) else "nothing",
        "network": f"{node['network']}: {counted(network['files'], 'file')}, {size(network['bytes'])}",
        "peers": ", ".join(
            f"{count} {state}" for state, count in states.items() if count or state == "alive"
        ),
        "lag": f"{counted(lag, 'change')} to come" if lag else "none: all changes that it heard of are here",
        "broker": broker,
        "version": node["version"],
    }
    if said := troubles(node):
        lines["trouble"] = "; ".join(said)
    return Group(*(plain(f"{key:<8} {value}") for key, value in lines.items()))


def troubles(node: dict[str, Any]) -> list[str]:
    """What in the node's directory is not shared, in words; a node of an earlier version does not say."""
    kinds = {
        "unshareable": "name{s} cannot be shared",
        "unreadable": "file{s} could not be shared",
        "kept": "file{s} got another name, not being shared yet when another file got theirs",
    }
    counts = {kind: node.get(kind, 0) for kind in kinds}
    return [
        f"{count} {kinds[kind].format(s='' if count == 1 else 's')}"
        for kind, count in counts.items()
        if count
    ]


COMMANDS = (peers, status)
