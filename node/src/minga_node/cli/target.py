"""Which node a command talks to."""

from __future__ import annotations

from minga_node.cli import contexts
from minga_node.local import record


def chosen_node(named: str | None) -> str:
    """The node that was named, else the context in use, else the local network's, else port 5000 here."""
    return named or contexts.load().node or record.default_node()
