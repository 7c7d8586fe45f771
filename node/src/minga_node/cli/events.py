"""``minga events``: what happens in the network, as it happens."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatch
from typing import Any

import click

from minga_node.cli.client import Client
from minga_node.cli.output import Output, as_json, echo, for_programs, size


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C (it always does; for the habit).")
@click.option("--type", "kind", default="*", metavar="GLOB", help="Only these, as 'file.*'.")
@click.option("--count", type=click.IntRange(1), help="End after so many.")
@click.pass_obj
def events(obj: tuple[Client, Output], follow: bool, kind: str, count: int | None) -> None:
    """What happens in the network from now on.

    Files, peers, transfers, wants and jobs. With --json each line is a CloudEvent (with -o yaml too).

    \b
    Examples:
      minga events --follow
      minga events --type 'file.*' --count 1
    """
    del follow
    client, output = obj
    seen = 0
    for event in client.events("/api/v1/events"):
        key = event["type"].removeprefix("dev.minga.")
        if not fnmatch(key, kind):
            continue
        echo(as_json(for_programs(event)) if output.for_programs else _line(key, event))
        seen += 1
        if seen == count:
            return


def _line(key: str, event: dict[str, Any]) -> str:
    data = event["data"]
    when = datetime.fromisoformat(event["time"]).astimezone().strftime("%H:%M:%S")
    about = [str(data[name]) for name in ("name", "error") if name in data]
    if "size" in data:
        about.append(size(data["size"]))
    if "id" in data:
        about.append(data["id"][:12])
    return f"{when}  {key:<22} {data['peer']:<16} {'  '.join(about)}".rstrip()


COMMANDS = (events,)
