"""``--watch``: shows something again and again, in place, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable

import click
from rich.console import RenderableType
from rich.live import Live

from minga_node.cli.client import ClientError
from minga_node.cli.output import Output, plain

SECONDS = 1.0

watch_option = click.option("--watch", "-w", is_flag=True, help="Show it again every second, until Ctrl-C.")


def show(output: Output, render: Callable[[], RenderableType], watch: bool) -> None:
    """Prints what ``render`` makes, once or again and again.

    Raises:
        ClientError: the first time fails; later failures are shown in place.
    """
    first = render()
    if not watch:
        output.console.print(first)
        return
    with Live(first, console=output.console, auto_refresh=False, screen=output.console.is_terminal) as live:
        try:
            while True:
                time.sleep(SECONDS)
                try:
                    live.update(render(), refresh=True)
                except ClientError as error:
                    live.update(plain(str(error)), refresh=True)
        finally:
            live.stop()
