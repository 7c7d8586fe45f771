"""Commands about the network: ``peers`` and ``status``."""

from __future__ import annotations

import click

from minga_node.cli.client import Client
from minga_node.cli.output import Output, size


@click.command()
@click.pass_obj
def peers(obj: tuple[Client, Output]) -> None:
    """Who else is in the network."""
    client, output = obj
    found = client.get("/api/v1/peers")["peers"]
    if output.as_json:
        output.data(found)
        return
    output.table(
        ["PEER", "STATE", "SEED", "ADDRESS", "LAST HEARD", "VERSION"],
        [
            [
                peer["id"],
                peer["state"],
                "yes" if peer["seed"] else "",
                f"{peer['host']}:{peer['rest_port']}",
                f"{peer['silent']:.1f} s ago",
                peer["version"],
            ]
            for peer in found
        ],
        right=["LAST HEARD"],
    )


@click.command()
@click.pass_obj
def status(obj: tuple[Client, Output]) -> None:
    """How the node is, and what it sees."""
    client, output = obj
    node = client.get("/api/v1/node")
    if output.as_json:
        output.data(node)
        return
    broker = {None: "none", True: "connected", False: "away"}[node["broker_connected"]]
    lines = {
        "node": f"{node['id']} at {client.node}" + (" (seed)" if node["seed"] else ""),
        "network": node["network"],
        "ready": "yes" if node["ready"] else "no: " + "; ".join(node["problems"]),
        "peers": f"{node['peers_alive']} alive",
        "library": f"{node['files']} files, {size(node['bytes'])}",
        "broker": broker,
        "version": node["version"],
    }
    for key, value in lines.items():
        click.echo(f"{key:<8} {value}")


COMMANDS = (peers, status)
