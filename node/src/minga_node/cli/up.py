"""``minga up`` and ``minga down``: a whole network on this machine, from the YAML that Kubernetes gets."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from minga_node.cli.board import Board
from minga_node.cli.client import Client, ClientError
from minga_node.cli.output import Output, echo
from minga_node.errors import MingaError
from minga_node.local import broker, record
from minga_node.local.network import LocalNetwork, running
from minga_node.local.spec import NetworkSpec, read

READY_SECONDS = 60


@click.command()
@click.option(
    "--file",
    "-f",
    "file",
    type=click.Path(path_type=Path),
    help="A P2PNetwork; by default 1 seed and 3 peers.",
)
@click.option(
    "--directory",
    "-d",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the nodes keep their files; by default a folder of the user's data.",
)
@click.option("--samples/--no-samples", default=True, help="Begin with some sample files.", show_default=True)
@click.option("--detach", is_flag=True, help="Go on in the background; `minga down` ends it.")
@click.pass_obj
def up(
    _obj: tuple[Client, Output], file: Path | None, directory: Path | None, samples: bool, detach: bool
) -> None:
    """Starts a whole network on this machine.

    It ends on Ctrl-C. A private RabbitMQ is started where rabbitmq-server is installed, or
    MINGA_BROKER_URL is used; without either, events travel by gRPC alone.

    \b
    Examples:
      minga up
      minga up -f network.yaml
      minga up --detach
    """
    if (present := record.read()) is not None:
        raise ClientError(f"the network {present.network} runs already: `minga down` ends it")
    try:
        spec = read(file) if file is not None else NetworkSpec("library")
        base = (directory or _data_folder() / spec.name).absolute()
        if detach:
            _detach(base, file, samples)
        else:
            _run(spec, base, samples)
    except MingaError as error:
        raise ClientError(str(error)) from error


def _data_folder() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "minga"


def _detach(base: Path, file: Path | None, samples: bool) -> None:
    base.mkdir(parents=True, exist_ok=True)
    log = base / "up.log"
    command = [sys.executable, "-m", "minga_node.cli", "up", "-d", str(base)]
    command += ["-f", str(file.absolute())] if file else []
    command += [] if samples else ["--no-samples"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    deadline = time.monotonic() + READY_SECONDS + 30
    while (running_now := record.read()) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
            raise ClientError(
                f"the network did not start: {last[0] if last else 'no word'} (all of it: {log})"
            )
        time.sleep(0.1)
    echo(log.read_text(errors="replace").split(MARK)[1].strip())
    echo(f"\nIt runs in the background (log: {log}); `minga down` ends it.")
    assert running_now is not None


MARK = "----"


def _run(spec: NetworkSpec, base: Path, samples: bool) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    board = Board()
    say = board.say
    with _broker(base) as (broker_url, about):
        say("broker", about)
        with running(spec, base, broker_url, say, with_samples=samples) as network:
            network.wait_ready(READY_SECONDS)
            first = next((n for n in network.nodes if n.name == "peer-0"), network.nodes[0])
            board.print(f"{MARK}\n{_what_to_try(spec, network, first.url, about)}\n{MARK}")
            started = record.started_at(os.getpid())
            record.write(record.LocalRecord(spec.name, first.url, record.Process(os.getpid(), started or 0)))
            try:
                board.watch(network, stop)
            finally:
                record.remove()


def _what_to_try(spec: NetworkSpec, network: LocalNetwork, url: str, broker: str) -> str:
    nodes = "\n".join(f"  {node.name:<8} {node.url}  {node.directory}" for node in network.nodes)
    activate = (
        "" if shutil.which("minga") else "  source .venv/bin/activate        # puts `minga` on the PATH\n"
    )
    return (
        f"The network {spec.name} is up; {broker}.\n{nodes}\n\nTry\n{activate}"
        "  minga ls                          # every file in the network\n"
        "  minga search llama                # by part of the name\n"
        "  minga get big.bin -o downloads/   # from all holders at once, verified\n"
        "  minga put README.md               # now the others see it\n"
        f"  curl -O {url}/files/big.bin"
    )


@contextmanager
def _broker(base: Path) -> Iterator[tuple[str | None, str]]:
    """The broker's address, if there is one, and what is to be said of it."""
    if url := os.environ.get("MINGA_BROKER_URL"):
        yield url, "the broker of MINGA_BROKER_URL carries events"
    elif broker.installed():
        with broker.private(base / "broker") as private:
            yield private.url, "a private RabbitMQ on loopback carries events"
    else:
        yield None, "no rabbitmq-server on the PATH: events travel by gRPC alone"


@click.command()
@click.pass_obj
def down(obj: tuple[Client, Output]) -> None:
    """Ends the network that `minga up --detach` started.

    \b
    Examples:
      minga down
    """
    _, output = obj
    present = record.read()
    if present is None:
        output.say("no local network runs")
        return
    os.kill(present.supervisor.pid, signal.SIGTERM)
    deadline = time.monotonic() + 40
    while present.supervisor.alive:
        if time.monotonic() > deadline:
            raise ClientError(
                f"the network {present.network} does not end (process {present.supervisor.pid})"
            )
        time.sleep(0.05)
    output.say(f"the network {present.network} has ended")


COMMANDS = (up, down)
