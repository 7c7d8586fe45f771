"""Commands that ask the network for something: ``want``, ``wants``, ``replicate``, ``replications``."""

from __future__ import annotations

import re
import time
from typing import Any

import click

from minga_node.cli.client import Client, ClientError
from minga_node.cli.output import Output, when

POLL_SECONDS = 0.5


@click.command()
@click.argument("what", metavar="NAME|ID")
@click.option("--fetch", is_flag=True, help="Fetch it into the node's library as soon as somebody has it.")
@click.option("--days", default=7.0, show_default=True, type=click.FloatRange(0.0001, 365), help="How long.")
@click.pass_obj
def want(obj: tuple[Client, Output], what: str, fetch: bool, days: float) -> None:
    """Asks for a file that nobody online has, by name or id.

    Whoever has it one day says so; `minga wants` shows it.

    \b
    Examples:
      minga want results/march.csv --fetch
      minga want 6fbc… --days 30
    """
    client, output = obj
    key = "id" if re.fullmatch("[0-9a-f]{64}", what) else "name"
    made = client.post("/api/v1/wants", {key: what, "fetch": fetch, "seconds": max(1, int(days * 86400))})
    if output.as_json:
        output.data(made)
    else:
        output.say(f"{made['id'][:12]}  {made['state']}, until {when(made['expires'])}")


@click.command()
@click.option("--withdraw", metavar="WANT", help="Withdraw this want (the first digits will do).")
@click.pass_obj
def wants(obj: tuple[Client, Output], withdraw: str | None) -> None:
    """What this node wants, and whether somebody has it.

    \b
    Examples:
      minga wants
      minga wants --withdraw 9a41
    """
    client, output = obj
    found = client.get("/api/v1/wants")["wants"]
    if withdraw is not None:
        matching = [each for each in found if each["id"].startswith(withdraw)]
        if len(matching) != 1:
            raise ClientError(f"{len(matching)} wants begin with {withdraw}", 3)
        found = [client.delete(f"/api/v1/wants/{matching[0]['id']}")]
    if output.as_json:
        output.data(found)
        return
    output.table(
        ["WANT", "WHAT", "STATE", "HOLDER", "UNTIL"],
        [
            [
                each["id"][:12],
                each["name"] or each["content_id"][:12],
                each["state"],
                each["found_peer"],
                when(each["expires"]),
            ]
            for each in found
        ],
    )


@click.command()
@click.argument("content_id", metavar="ID|NAME")
@click.option(
    "--copies", default=3, show_default=True, type=click.IntRange(1, 1000), help="Complete holders."
)
@click.option("--wait/--no-wait", default=True, help="Wait until they are there.")
@click.pass_obj
def replicate(obj: tuple[Client, Output], content_id: str, copies: int, wait: bool) -> None:
    """Has several nodes hold a verified copy of a file.

    Those are chosen that lack it and have room.

    \b
    Examples:
      minga replicate big.bin --copies 3
      minga replicate 6fbc… --no-wait
    """
    client, output = obj
    if not re.fullmatch("[0-9a-f]{64}", content_id):
        rows = client.get("/api/v1/files", name=content_id)["files"]
        if len(rows) != 1:
            raise ClientError(f"{len(rows)} contents are named {content_id}: give an id", 4 if rows else 3)
        content_id = rows[0]["id"]
    made = client.post("/api/v1/replications", {"id": content_id, "copies": copies})
    said = ""
    while wait and made["state"] == "running":
        if made["problem"] and made["problem"] != said:
            said = made["problem"]
            output.hint(f"waits: {said}")
        time.sleep(POLL_SECONDS)
        made = client.get(f"/api/v1/replications/{made['id']}")
    if output.as_json:
        output.data(made)
    else:
        output.say(f"{made['name']}  {_holders(made)}, {made['state']}")


@click.command()
@click.pass_obj
def replications(obj: tuple[Client, Output]) -> None:
    """Copies that were asked for at this node.

    \b
    Examples:
      minga replications
    """
    client, output = obj
    found = client.get("/api/v1/replications")["replications"]
    if output.as_json:
        output.data(found)
        return
    output.table(
        ["NAME", "COPIES", "STATE", "AT IT", "PROBLEM"],
        [
            [each["name"], _holders(each), each["state"], ", ".join(each["asked"]), each["problem"]]
            for each in found
        ],
    )


def _holders(each: dict[str, Any]) -> str:
    return f"{each['holders']} of {each['copies']}"


COMMANDS = (want, wants, replicate, replications)
