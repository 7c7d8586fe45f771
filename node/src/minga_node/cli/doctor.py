"""``minga doctor``: looks at everything that usually goes wrong, and says in words what is."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import click

from minga_node.cli.client import Client, ClientError
from minga_node.cli.network import troubles
from minga_node.cli.output import Output, echo, size
from minga_node.version import VERSION

CLOCK_SECONDS = 5.0
FREE_SHARE = 0.05


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    check: str
    ok: bool
    about: str


@click.command()
@click.pass_obj
def doctor(obj: tuple[Client, Output]) -> None:
    """Checks the node and its network, and says what is wrong.

    Ends with 1 if something is.

    \b
    Examples:
      minga doctor
      minga --node http://10.0.0.7:5000 doctor
    """
    client, output = obj
    findings = list(examine(client))
    if output.for_programs:
        output.data([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = click.style("ok   ", fg="green") if finding.ok else click.style("WRONG", fg="red")
            click.echo(mark, nl=False)
            echo(f" {finding.check:<8} {finding.about}")
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(1)


def examine(client: Client) -> Iterator[Finding]:
    """Every check, one after the other; without an answer of the node the rest makes no sense."""
    before = time.time()
    try:
        with client.open("/api/v1/node") as response:
            node: dict[str, Any] = response.json()
            date = response.headers.get("Date")
    except ClientError as error:
        yield Finding("node", False, str(error))
        return
    yield Finding("node", True, f"{node['id']} answers at {client.node}")
    problems = "; ".join(node["problems"])
    yield Finding("network", node["ready"], problems or f"joined {node['network']}")
    yield from _ports(client, node)
    access = _access(client)
    yield access
    if not access.ok:
        return
    yield from _peers(client, node)
    yield _broker(node)
    if date is not None:
        apart = abs(parsedate_to_datetime(date).timestamp() - before)
        about = f"{apart:.0f} s apart from this machine's"
        yield Finding("clock", apart < CLOCK_SECONDS, about)
    free, total = node["disk_free"], node["disk_total"]
    yield Finding("disk", free > total * FREE_SHARE, f"{size(free)} of {size(total)} free")
    said = [*troubles(node), *node.get("troubles", [])]
    yield Finding("library", not said, "; ".join(said) or "all that is in the directory can be shared")
    same = node["version"] == VERSION
    about = f"{VERSION} here and at the node" if same else f"{VERSION} here, {node['version']} at the node"
    yield Finding("version", same, about)


def _broker(node: dict[str, Any]) -> Finding:
    connected = node["broker_connected"]
    # A node of an earlier version does not say what is wrong.
    problem = node.get("broker_problem", "" if connected else "away")
    if connected is None:
        return Finding("broker", True, "none configured: events travel by gRPC alone")
    if problem:
        waiting = "" if problem.startswith("no jobs") else "events wait in the outbox, "
        return Finding("broker", False, f"{problem}; {waiting}everything else goes on")
    return Finding("broker", True, "connected")


def _ports(client: Client, node: dict[str, Any]) -> Iterator[Finding]:
    # A node of an earlier version does not say.
    protected = bool(node.get("peer_tls"))
    to_whom = "only peers with a certificate get in" if protected else "whoever reaches it gets in: no TLS"
    yield Finding("peer TLS", True, to_whom)
    host = urlsplit(client.node).hostname or node["host"]
    if host != node["host"] and host != "127.0.0.1":
        return
    for check, port in (("gRPC", node["grpc_port"]), ("pieces", node["data_port"])):
        try:
            socket.create_connection((node["host"], port), 3).close()
        except (OSError, UnicodeError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            yield Finding(check, False, f"{node['host']}:{port} cannot be reached: {why}")
        else:
            yield Finding(check, True, f"{node['host']}:{port} can be reached")


def _access(client: Client) -> Finding:
    try:
        said = client.get("/api/v1/session")
    except ClientError as error:
        return Finding("access", False, str(error))
    if not said["needed"]:
        return Finding("access", True, "REST is open to everybody who reaches it")
    if said["scope"] is None:
        return Finding("access", False, "REST asks for a token, and there is none: see minga --help")
    return Finding("access", True, f"the token may {said['scope']}")


def _peers(client: Client, node: dict[str, Any]) -> Iterator[Finding]:
    peers = client.get("/api/v1/peers")["peers"]
    lost = [peer["id"] for peer in peers if peer["state"] in {"suspect", "dead"}]
    alive = sum(peer["state"] == "alive" for peer in peers)
    yield Finding(
        "peers", not lost, f"{alive} alive" + (f"; not heard of: {', '.join(lost)}" if lost else "")
    )
    yield from _reached(client, node)
    others = {peer["version"] for peer in peers if peer["state"] == "alive"} - {node["version"]}
    if others:
        yield Finding("versions", False, f"some peers run {', '.join(sorted(others))}")


def _reached(client: Client, node: dict[str, Any]) -> Iterator[Finding]:
    """Every living peer, asked by the node, and asked whether it reaches the node."""
    try:
        probes = client.post("/api/v1/peers/probes")["probes"]
    except ClientError as error:
        # A node of an earlier release cannot be asked.
        yield Finding("reach", True, f"not looked at: {error}")
        return
    for probe in probes:
        where = f"{probe['id']} at {probe['host']}:{probe['grpc_port']}"
        if probe["problem"]:
            yield Finding("reach", False, f"{node['id']} does not reach {where}: {probe['problem']}")
        elif probe["back"]:
            yield Finding(
                "reach",
                False,
                f"{where} does not reach {node['id']} at {node['host']}:{node['grpc_port']}: {probe['back']}",
            )
    good = [probe for probe in probes if not probe["problem"] and probe["back"] == ""]
    if good or not probes:
        yield Finding("reach", True, f"{len(good)} of {len(probes)} peers, in both directions")


COMMANDS = (doctor,)
