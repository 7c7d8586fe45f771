"""Which node a command talks to, and with which token."""

from __future__ import annotations

from dataclasses import dataclass, field

from minga_node.cli import contexts
from minga_node.local import record


@dataclass(frozen=True)
class Target:
    """A node's REST address."""

    node: str
    token: str = field(default="", repr=False)
    no_token: str = ""
    """Why there is no token, where one might have been found."""


def of_context(name: str, named: str = "", inherited: str = "") -> Target:
    """The node of a context, with the token that was named, else the one that is kept for it.

    Args:
        inherited: the token of the environment, for a node that has none of its own.

    Raises:
        ClientError: there is no such context, or the file is not one of ours.
    """
    saved = contexts.load()
    contexts.check_known(saved, name)
    return Target(saved.nodes[name], named or saved.tokens.get(name) or inherited)


def chosen(named: str | None, token: str = "") -> Target:
    """The node that was named, else the context in use, else the local network's, else port 5000 here.

    A context's token goes to the context's node alone.

    Raises:
        ClientError: the file of contexts is not one of ours.
    """
    if named:
        return Target(named, token)
    saved = contexts.load()
    if saved.node:
        return Target(saved.node, token or saved.token)
    return Target(record.default_node(), token)
