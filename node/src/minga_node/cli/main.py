"""The command group, its global options, and how errors end it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from click.core import ParameterSource

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
    tokens,
    up,
)
from minga_node.cli.client import Client
from minga_node.cli.credentials import read_token, token_from
from minga_node.cli.groups import Group
from minga_node.cli.output import Output
from minga_node.cli.target import chosen
from minga_node.version import VERSION


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--node", envvar="MINGA_NODE", metavar="URL", help="REST address of the node to talk to.")
@click.option(
    "--kube", "kube_network", metavar="NETWORK", help="Talk to this P2PNetwork of the current kubeconfig."
)
@click.option("--namespace", "-n", metavar="NAME", help="Namespace of --kube.")
@click.option(
    "--token",
    envvar="MINGA_TOKEN",
    metavar="TOKEN",
    help="Token for the node; others see a command's options.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="File with the token for the node; - is standard input.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--quiet", "-q", is_flag=True, help="Print no progress and no hints.")
@click.version_option(VERSION, prog_name="minga")
@click.pass_context
def group(
    ctx: click.Context,
    node: str | None,
    kube_network: str | None,
    namespace: str | None,
    token: str | None,
    token_file: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Search, fetch and share files in a Minga network.

    The node to talk to is the one of --node or MINGA_NODE, of --kube, of `minga context use`, the
    network that `minga up` started here, or http://127.0.0.1:5000: the first of these that there is.

    A node that asks for a token gets that of --token-file, of --token or MINGA_TOKEN, of the context,
    or, with --kube, the one that the network's binding Secret holds.

    \b
    Exit codes: 0 done, 1 the network or the disk said no, 2 wrong usage, 3 no such thing,
    4 several contents have that name, 5 nobody who has it is online, 6 the node does not answer,
    7 the node asks for another token, 130 interrupted.
    """
    if os.environ.get("NO_COLOR"):
        # https://no-color.org; rich knows it by itself.
        ctx.color = False
    given = _token(ctx, token, token_file)
    if kube_network is not None and ctx.invoked_subcommand != tokens.token.name:
        if node is not None:
            raise click.UsageError("--node and --kube name two nodes: one of them")
        target = ctx.with_resource(kube.forwarded(kube_network, namespace, given))
    else:
        target = chosen(node, given)
    client = Client(target.node, token=target.token, no_token=target.no_token)
    ctx.obj = (client, Output(as_json=as_json, quiet=quiet))


def _token(ctx: click.Context, token: str | None, file: Path | None) -> str:
    """The token that the user names; what is said now wins over the environment."""
    if file is not None:
        if token is not None and ctx.get_parameter_source("token") is ParameterSource.COMMANDLINE:
            raise click.UsageError("--token and --token-file name two tokens: one of them")
        return token_from(file)
    where = "--token" if ctx.get_parameter_source("token") is ParameterSource.COMMANDLINE else "MINGA_TOKEN"
    return read_token(token, where) if token else ""


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
    *tokens.COMMANDS,
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
