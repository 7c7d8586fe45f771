"""The command group, its global options, and how errors end it."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.core import ParameterSource

from minga_node.cli import (
    basics,
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
    removing,
    requests,
    tokens,
    up,
)
from minga_node.cli.client import Client
from minga_node.cli.credentials import read_token, token_from
from minga_node.cli.groups import Group
from minga_node.cli.output import FORMS, Output
from minga_node.cli.target import Target, chosen, of_context
from minga_node.version import VERSION

NO_NODE = {"help", "version", "completion", tokens.token.name}
"""Commands that talk to no node: they work whatever the other options say."""


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--node", envvar="MINGA_NODE", metavar="URL", help="REST address of the node to talk to.")
@click.option(
    "--context",
    "context_name",
    metavar="NAME",
    shell_complete=contexts.completed,
    help="Talk to this node of `minga context`.",
)
@click.option(
    "--kube",
    "kube_network",
    metavar="NETWORK[/POD]",
    help="Talk to this P2PNetwork of the current kubeconfig, or to one pod of it.",
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
@click.option(
    "--output",
    "-o",
    "form",
    type=click.Choice(FORMS),
    default="table",
    help="How to print results; wide cuts nothing. For `get`, -o is where the file goes.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --output json.")
@click.option("--quiet", "-q", is_flag=True, help="Print no progress and no hints.")
@click.version_option(VERSION, prog_name="minga")
@click.pass_context
def group(
    ctx: click.Context,
    node: str | None,
    context_name: str | None,
    kube_network: str | None,
    namespace: str | None,
    token: str | None,
    token_file: Path | None,
    form: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Search, fetch and share files in a Minga network.

    These options go before the command or after it. The node to talk to is the one of --node, --context or
    --kube, of MINGA_NODE, of `minga context use`, the network that `minga up` started here, or
    http://127.0.0.1:5000: the first of these that there is.

    A node that asks for a token gets the one of --token-file or --token, of --context, of MINGA_TOKEN, of the
    context in use, or, with --kube, the one that the network's binding Secret holds.

    Amounts of bytes are as in Kubernetes: 1M is 1 000 000 bytes, 1Mi (or 1MiB) is 1 048 576.

    \b
    Exit codes: 0 done, 1 the network or the disk said no, 2 wrong usage, 3 no such thing,
    4 several contents have that name, 5 nobody who has it is online, 6 the node does not answer,
    7 the node asks for another token, 130 interrupted, 141 the reader of the output went away.
    """
    if os.environ.get("NO_COLOR"):
        # https://no-color.org; rich knows it by itself.
        ctx.color = False
    output = Output("json" if as_json else form, quiet=quiet)
    given = _token(ctx, token, token_file)
    named = [
        option
        for option, value in (("--node", node), ("--context", context_name), ("--kube", kube_network))
        if value is not None and (option != "--node" or _said(ctx, "node"))
    ]
    if len(named) > 1:
        raise click.UsageError(f"{' and '.join(named)} name two nodes: one of them")
    if ctx.invoked_subcommand in NO_NODE:
        target = Target("")
    elif kube_network is not None:
        target = ctx.with_resource(kube.forwarded(kube_network, namespace, given))
    elif context_name is not None:
        said = given if token_file is not None or _said(ctx, "token") else ""
        target = of_context(context_name, said, given)
    else:
        target = chosen(node, given)
    ctx.obj = (Client(target.node, token=target.token, no_token=target.no_token), output)


def _said(ctx: click.Context, option: str) -> bool:
    """Whether an option was given on the command line, rather than by the environment."""
    return ctx.get_parameter_source(option) is ParameterSource.COMMANDLINE


def _token(ctx: click.Context, token: str | None, file: Path | None) -> str:
    """The token that the user names; what is said now wins over the environment."""
    if file is not None:
        if token is not None and _said(ctx, "token"):
            raise click.UsageError("--token and --token-file name two tokens: one of them")
        return token_from(file)
    return read_token(token, "--token" if _said(ctx, "token") else "MINGA_TOKEN") if token else ""


for command in (
    *files.COMMANDS,
    *get.COMMANDS,
    *put.COMMANDS,
    *removing.COMMANDS,
    *downloads.COMMANDS,
    *network.COMMANDS,
    *events.COMMANDS,
    *requests.COMMANDS,
    *up.COMMANDS,
    *contexts.COMMANDS,
    *tokens.COMMANDS,
    *doctor.COMMANDS,
    *completion.COMMANDS,
    *basics.COMMANDS,
):
    group.add_command(command)


def main() -> None:
    """Entry point of ``minga``."""
    group(prog_name="minga")
