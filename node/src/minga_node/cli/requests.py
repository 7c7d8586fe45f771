"""Commands that ask the network for something, and what became of it: wants, copies, jobs."""

from __future__ import annotations

import time
from typing import Any

import click

from minga_node.cli import completion, ids
from minga_node.cli.client import Client, ClientError
from minga_node.cli.output import Output, when
from minga_node.cli.tables import Column

POLL_SECONDS = 0.5
WANTS = (
    Column("WANT"),
    Column("WHAT", least=16),
    Column("STATE"),
    Column("HOLDER", least=12),
    Column("UNTIL", leaves=1),
)
REPLICATIONS = (
    Column("ID"),
    Column("NAME", least=16),
    Column("COPIES"),
    Column("STATE"),
    Column("AT IT", names=True, leaves=1),
    Column("PROBLEM", note=True),
)
LETTERS = (Column("SINCE"), Column("QUEUE"), Column("REASON"), Column("BODY", note=True))
JOBS = (
    Column("JOB"),
    Column("WHAT"),
    Column("NAME", least=16),
    Column("PEER", least=8),
    Column("STATE"),
    Column("SINCE", leaves=1),
    Column("PROBLEM", note=True),
)


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
    key = "id" if len(what) == ids.WHOLE and ids.looks_like_id(what) else "name"
    made = client.post("/api/v1/wants", {key: what, "fetch": fetch, "seconds": max(1, int(days * 86400))})
    if output.for_programs:
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
        found = [
            client.delete(f"/api/v1/wants/{ids.only((each['id'] for each in found), withdraw, 'wants')}")
        ]
    if output.for_programs:
        output.data(found)
        return
    output.table(
        WANTS,
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
@click.argument("content_id", metavar="ID|NAME", shell_complete=completion.names)
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
    content_id = ids.named_or_id(client, content_id)
    made = client.post("/api/v1/replications", {"id": content_id, "copies": copies})
    said = ""
    while wait and made["state"] == "running":
        if made["problem"] and made["problem"] != said:
            said = made["problem"]
            output.hint(f"waits: {said}")
        time.sleep(POLL_SECONDS)
        made = client.get(f"/api/v1/replications/{made['id']}")
    if output.for_programs:
        output.data(made)
    else:
        output.say(f"{made['name']}  {_holders(made)}, {made['state']}")
        if made["holders"] > copies:
            output.hint(f"there are more: `minga drop {made['name']} --keep {copies}` drops the rest")


@click.command()
@click.option("--cancel", metavar="ID", help="Ask for no further copies (the first digits will do).")
@click.pass_obj
def replications(obj: tuple[Client, Output], cancel: str | None) -> None:
    """Copies that were asked for at this node.

    \b
    Examples:
      minga replications
      minga replications --cancel 9a41
    """
    client, output = obj
    found = client.get("/api/v1/replications")["replications"]
    if cancel is not None:
        found = [
            client.delete(
                f"/api/v1/replications/{ids.only((each['id'] for each in found), cancel, 'replications')}"
            )
        ]
    if output.for_programs:
        output.data(found)
        return
    output.table(
        REPLICATIONS,
        [
            [
                each["id"][:12],
                each["name"],
                _holders(each),
                each["state"],
                ", ".join(each["asked"]),
                each["problem"],
            ]
            for each in found
        ],
    )


@click.command()
@click.argument("what", metavar="ID|NAME")
@click.option("--peer", "peers", multiple=True, metavar="PEER", help="Whose copy; several are possible.")
@click.option(
    "--keep",
    type=click.IntRange(1, 1000),
    help="Complete copies that stay; by default as many as the network wants of each file.",
)
@click.option("--wait/--no-wait", default=True, help="Wait until they are gone.")
@click.pass_obj
def drop(obj: tuple[Client, Output], what: str, peers: tuple[str, ...], keep: int | None, wait: bool) -> None:
    """Has nodes drop their copies of a file, never the last one.

    Without --peer those drop theirs that are more than --keep.

    \b
    Examples:
      minga drop big.bin --keep 2
      minga drop big.bin --peer node-3
    """
    client, output = obj
    query: dict[str, Any] = {"peer": list(peers)} | ({"keep": keep} if keep is not None else {})
    jobs = client.delete(f"/api/v1/copies/{ids.named_or_id(client, what)}", **query)["jobs"]
    while wait and any(job["state"] == "asked" for job in jobs):
        time.sleep(POLL_SECONDS)
        jobs = [client.get(f"/api/v1/jobs/{job['id']}") for job in jobs]
    if not jobs:
        output.hint("there are no more copies than that")
    _show_jobs(output, jobs)
    problems = [f"{job['peer']}: {job['problem']}" for job in jobs if job["state"] == "failed"]
    if problems:
        raise ClientError("; ".join(problems), 4)


@click.command()
@click.pass_obj
def jobs(obj: tuple[Client, Output]) -> None:
    """What this node asked others to do, and what became of it.

    \b
    Examples:
      minga jobs
    """
    client, output = obj
    _show_jobs(output, client.get("/api/v1/jobs")["jobs"])


@click.command("dead-letters")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100), help="At most so many.")
@click.pass_obj
def dead_letters(obj: tuple[Client, Output], limit: int) -> None:
    """Messages and jobs that could not be used, the oldest first.

    \b
    Examples:
      minga dead-letters --limit 5
    """
    client, output = obj
    found = client.get("/api/v1/dead-letters", limit=limit)["letters"]
    if output.for_programs:
        output.data(found)
        return
    output.table(
        LETTERS,
        [[when(each["since"]), each["queue"], each["reason"], each["body"][:200]] for each in found],
    )


def _show_jobs(output: Output, found: list[dict[str, Any]]) -> None:
    if output.for_programs:
        output.data(found)
        return
    output.table(
        JOBS,
        [
            [
                each["id"][:12],
                each["kind"],
                each["name"],
                each["peer"],
                each["state"],
                when(each["ended"] or each["asked"]),
                each["problem"],
            ]
            for each in found
        ],
    )


def _holders(each: dict[str, Any]) -> str:
    return f"{each['holders']} of {each['copies']}"


COMMANDS = (want, wants, replicate, replications, drop, jobs, dead_letters)
