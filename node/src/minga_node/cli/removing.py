"""``minga rm``: removes files from the node, or from all nodes that are there."""

from __future__ import annotations

import time
from typing import Any

import click

from minga_node.cli import completion
from minga_node.cli.client import Client, ClientError, file_path
from minga_node.cli.files import check_no_folder
from minga_node.cli.output import Output
from minga_node.cli.overwriting import agreed

POLL_SECONDS = 0.5


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=completion.local_names)
@click.option("--everywhere", is_flag=True, help="Have the other nodes drop their copies first; asks before.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def rm(obj: tuple[Client, Output], names: tuple[str, ...], everywhere: bool, yes: bool) -> None:
    """Removes files from the node's library.

    Other holders keep theirs, so the network still has the file where there are any. What `minga get` wrote
    on this machine stays.

    With --everywhere the other nodes drop their copies of the content, under whatever name, and the node that
    is asked, which must have one itself, removes its own last. That needs a message broker. A node that is
    away keeps its copy, and shares it again when it is back: the command names it, and ends with 5.

    \b
    Examples:
      minga rm report.pdf
      minga rm report.pdf --everywhere
    """
    client, output = obj
    removed, kept = [], []
    for name in names:
        away = _elsewhere(client, name, yes) if everywhere else []
        try:
            client.delete(file_path(name))
        except ClientError as error:
            if error.exit_code == 3:
                check_no_folder(client, name, "name the files in it")
            raise
        removed.append({"name": name})
        output.say(f"{name} removed" + _left(client, output, name, everywhere))
        if away:
            kept.append(f"{name} is still at {', '.join(away)}: away now, and will share it again")
    if output.for_programs:
        output.data(removed)
    if kept:
        raise ClientError("\n".join(kept), 5)


def _left(client: Client, output: Output, name: str, everywhere: bool) -> str:
    """Who still has it: that is what people do not expect of a removal."""
    if everywhere or output.for_programs or output.quiet:
        return ""
    own = client.get("/api/v1/node")["id"]
    rows = client.get("/api/v1/files", name=name)["files"]
    count = len({holder["peer"] for row in rows for holder in row["holders"]} - {own})
    if not count:
        return ""
    return f" from {own}; {count} other {'node keeps its copy' if count == 1 else 'nodes keep their copies'}"


def _elsewhere(client: Client, name: str, yes: bool) -> list[str]:
    """Has all other nodes that are there drop the content; those that have it and are away.

    Raises:
        ClientError: one of them has not, or nobody agreed. The node's own copy is still there.
    """
    own = client.get("/api/v1/node")["id"]
    rows = client.get("/api/v1/files", name=name)["files"]
    here = [row for row in rows if _has(row, own)]
    if not here:
        holders = sorted({holder["peer"] for row in rows for holder in row["holders"]})
        at = f": ask one that has it ({', '.join(holders)})" if holders else ""
        raise ClientError(f"{own} has no copy of {name}{at}", 3)
    (row,) = here
    holders = [holder for holder in row["holders"] if holder["peer"] != own]
    online = [holder["peer"] for holder in holders if holder["online"] and holder["complete"]]
    nodes = f"{own} and {len(online)} other node{'' if len(online) == 1 else 's'}" if online else own
    if not yes:
        agreed(f"Remove {name} from {nodes}?", f"it would be removed from {nodes}: --yes says that it may")
    if online:
        _drop(client, row, online)
    return [holder["peer"] for holder in holders if not holder["online"]]


def _has(row: dict[str, Any], peer: str) -> bool:
    return any(holder["peer"] == peer and holder["complete"] for holder in row["holders"])


def _drop(client: Client, row: dict[str, Any], peers: list[str]) -> None:
    # The node's own copy is the one that stays meanwhile: so nobody drops the last one unasked.
    jobs = client.delete(f"/api/v1/copies/{row['id']}", peer=peers, keep=1)["jobs"]
    while any(job["state"] == "asked" for job in jobs):
        time.sleep(POLL_SECONDS)
        jobs = [client.get(f"/api/v1/jobs/{job['id']}") for job in jobs]
    problems = [f"{job['peer']}: {job['problem']}" for job in jobs if job["state"] == "failed"]
    if problems:
        raise ClientError(f"{row['name']} is still here, as others keep it: {'; '.join(problems)}")


COMMANDS = (rm,)
