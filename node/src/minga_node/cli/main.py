"""The command group, its global options, and how errors end it."""

from __future__ import annotations

import sys

import click

from minga_node.cli import (
    completion,
    contexts,
    doctor,
    downloads,
    events,
    files,
    get,
    kube,
    network,
    put,
    requests,
    up,
)
from minga_node.cli.client import Client, ClientError
from minga_node.cli.output import Output
from minga_node.cli.target import chosen_node
from minga_node.version import VERSION


class Group(click.Group):
    """Ends with one line and an exit code of ours, never with a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ClientError as error:
            click.echo(f"minga: {error}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"minga: {where}{error.strerror or error}", err=True)
            ctx.exit(1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--node", envvar="MINGA_NODE", metavar="URL", help="REST address of the node to talk to.")
@click.option(
    "--kube", "kube_network", metavar="NETWORK", help="Talk to this P2PNetwork of the current kubeconfig."
)
@click.option("--namespace", "-n", metavar="NAME", help="Namespace of --kube.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--quiet", "-q", is_flag=True, help="Print no progress and no hints.")
@click.version_option(VERSION, prog_name="minga")
@click.pass_context
def group(
    ctx: click.Context,
    node: str | None,
    kube_network: str | None,
    namespace: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Search, fetch and share files in a Minga network.

    The node to talk to is the one of --node or MINGA_NODE, of --kube, of `minga context use`, the
    network that `minga up` started here, or http://127.0.0.1:5000: the first of these that there is.

    \b
    Exit codes: 0 done, 1 the network or the disk said no, 2 wrong usage, 3 no such thing,
    4 several contents have that name, 5 nobody who has it is online, 6 the node does not answer,
    130 interrupted.
    """
    if kube_network is not None:
        if node is not None:
            raise click.UsageError("--node and --kube name two nodes: one of them")
        node = ctx.with_resource(kube.forwarded(kube_network, namespace))
    ctx.obj = (Client(chosen_node(node)), Output(as_json=as_json, quiet=quiet))


for command in (
    *files.COMMANDS,
    *get.COMMANDS,
    *put.COMMANDS,
    *downloads.COMMANDS,
    *network.COMMANDS,
    *events.COMMANDS,
    *requests.COMMANDS,
    *up.COMMANDS,
    *contexts.COMMANDS,
    *doctor.COMMANDS,
    *completion.COMMANDS,
):
    group.add_command(command)


def main() -> None:
    """Entry point of ``minga``."""
    try:
        group(prog_name="minga")
    except BrokenPipeError:
        # The reader of our output went away, as `head` does.
        sys.stderr.close()
        sys.exit(0)
