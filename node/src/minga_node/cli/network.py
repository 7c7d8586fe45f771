"""Commands about the network: ``peers`` and ``status``."""

from __future__ import annotations

import time
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from minga_node.cli.client import Client
from minga_node.cli.output import Output, size
from minga_node.cli.watching import show, watch_option


@click.command()
@watch_option
@click.pass_obj
def peers(obj: tuple[Client, Output], watch: bool) -> None:
    """Who else is in the network, how they are, and what moves between them now.

    \b
    Examples:
      minga peers
      minga peers --watch
    """
    client, output = obj
    if output.as_json:
        output.data(client.get("/api/v1/peers")["peers"])
        return
    rates = Rates()
    show(output, lambda: _peers(client, output, rates), watch)


class Rates:
    """Bytes a second of each peer, out of two looks at the flows."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str, str], int] = {}
        self._at = 0.0

    def look(self, flows: list[dict[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
        """What each peer receives and sends, since the look before."""
        now = time.monotonic()
        passed = now - self._at
        receives: dict[str, float] = {}
        sends: dict[str, float] = {}
        seen = {(flow["download"], flow["from"], flow["to"]): flow["bytes"] for flow in flows}
        for (download, sender, receiver), count in seen.items():
            before = self._before.get((download, sender, receiver))
            if before is not None and passed > 0:
                rate = max(0, count - before) / passed
                receives[receiver] = receives.get(receiver, 0.0) + rate
                sends[sender] = sends.get(sender, 0.0) + rate
        self._before, self._at = seen, now
        return receives, sends


def _peers(client: Client, output: Output, rates: Rates) -> Table:
    receives, sends = rates.look(client.get("/api/v1/flows")["flows"])
    return output.make_table(
        ["PEER", "STATE", "SEED", "ADDRESS", "LAST HEARD", "RECEIVES", "SENDS", "VERSION"],
        [
            [
                peer["id"],
                peer["state"],
                "yes" if peer["seed"] else "",
                f"{peer['host']}:{peer['rest_port']}",
                f"{peer['silent']:.1f} s ago",
                f"{size(receives[peer['id']])}/s" if peer["id"] in receives else "",
                f"{size(sends[peer['id']])}/s" if peer["id"] in sends else "",
                peer["version"],
            ]
            for peer in client.get("/api/v1/peers")["peers"]
        ],
        right=["LAST HEARD", "RECEIVES", "SENDS"],
    )


@click.command()
@watch_option
@click.pass_obj
def status(obj: tuple[Client, Output], watch: bool) -> None:
    """How the node is, and what it sees of the network."""
    client, output = obj
    if output.as_json:
        output.data(client.get("/api/v1/node"))
        return
    show(output, lambda: _status(client), watch)


def _status(client: Client) -> Text:
    node, network = client.get("/api/v1/node"), client.get("/api/v1/network")
    active = [d for d in client.get("/api/v1/downloads")["downloads"] if d["state"] in {"queued", "running"}]
    rate = sum(download["rate"] for download in active)
    broker = {None: "none", True: "connected", False: "away"}[node["broker_connected"]]
    lines = {
        "node": f"{node['id']} at {client.node}" + (" (seed)" if node["seed"] else ""),
        "ready": "yes" if node["ready"] else "no: " + "; ".join(node["problems"]),
        "library": f"{node['files']} files, {size(node['bytes'])}; {size(node['disk_free'])} free",
        "fetches": f"{len(active)} files at {size(rate)}/s" if active else "nothing",
        "network": f"{node['network']}: {network['files']} files, {size(network['bytes'])}",
        "copies": _copies(network),
        "peers": f"{node['peers_alive']} alive",
        "broker": broker,
        "version": node["version"],
    }
    return Text("\n".join(f"{key:<8} {value}" for key, value in lines.items()))


def _copies(network: dict[str, Any]) -> str:
    target, below = network["replication_target"], network["files_below_target"]
    return f"{target} of each wanted, {below} files have fewer"


COMMANDS = (peers, status)
