"""What ``minga up`` shows: the nodes' log lines, and below them a live table where there is a terminal."""

from __future__ import annotations

import threading

from rich.console import Console
from rich.live import Live

from minga_node.cli.client import Client, ClientError
from minga_node.cli.output import echo, plain, size
from minga_node.cli.tables import Column, Table
from minga_node.local.network import LocalNetwork, LocalNode

SECONDS = 1.0
COLUMNS = (
    Column("NODE", least=8),
    Column("ADDRESS"),
    Column("STATE", least=10),
    Column("FILES", right=True, leaves=1),
    Column("SIZE", right=True, leaves=2),
    Column("PEERS", right=True, leaves=3),
    Column("FETCHES"),
)


class Board:
    """Prints lines of several nodes whole, whichever thread they come from."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._lock = threading.Lock()
        self._live: Live | None = None

    def say(self, node: str, line: str) -> None:
        """One log line of a node."""
        self.print(f"{node:<8} {line}")

    def print(self, text: str) -> None:
        """Lines of our own."""
        with self._lock:
            if self._live is not None:
                # Above the table, which stays the last thing on the screen.
                self._console.print(plain(text, lines=True), soft_wrap=True)
            else:
                echo(text)

    def watch(self, network: LocalNetwork, stop: threading.Event) -> None:
        """Shows how the nodes are, and says when one ends, until ``stop`` is set."""
        gone: set[str] = set()
        if not self._console.is_terminal:
            while not stop.wait(SECONDS):
                self._say_who_ended(network, gone)
            return
        with Live(_table(network), console=self._console, auto_refresh=False) as self._live:
            while not stop.wait(SECONDS):
                self._say_who_ended(network, gone)
                self._live.update(_table(network), refresh=True)
        self._live = None

    def _say_who_ended(self, network: LocalNetwork, gone: set[str]) -> None:
        for node in network.nodes:
            status = node.process.poll()
            if status is not None and node.name not in gone:
                gone.add(node.name)
                self.say(node.name, f"ended with status {status}")


def _table(network: LocalNetwork) -> Table:
    return Table(COLUMNS, [_row(node) for node in network.nodes])


def _row(node: LocalNode) -> list[str]:
    if node.process.poll() is not None:
        return [node.name, node.url, "ended", "", "", "", ""]
    client = Client(node.url, patience=1)
    try:
        about = client.get("/api/v1/node")
        running = [d for d in client.get("/api/v1/downloads")["downloads"] if d["state"] == "running"]
    except ClientError:
        return [node.name, node.url, "starting", "", "", "", ""]
    rate = sum(download["rate"] for download in running)
    return [
        node.name,
        node.url,
        "ready" if about["ready"] else "; ".join(about["problems"]),
        str(about["files"]),
        size(about["bytes"]),
        str(about["peers_alive"]),
        f"{len(running)} at {size(rate)}/s" if running else "",
    ]
