"""What would be replaced: people are asked on a terminal, programs are refused without ``--force``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from minga_node.cli.choosing import Wanted
from minga_node.cli.client import Client, ClientError
from minga_node.cli.files import find
from minga_node.cli.saving import Saver, is_special
from minga_node.manifest import hash_file

SHOWN = 3
ONE_BY_ONE = 20
"""Names up to this number are asked for one by one."""


def agreed(question: str, otherwise: str) -> None:
    """Goes on where somebody at a terminal says yes.

    Raises:
        ClientError: there is no terminal, which is told with ``otherwise``, or the answer is no.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ClientError(otherwise)
    if not click.confirm(question, err=True):
        raise ClientError("nothing was changed")


def listed(names: Sequence[str]) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def check_targets(client: Client, saver: Saver, wanted: Iterable[Wanted]) -> None:
    """Asks before ``get`` replaces files that are other ones; afterwards the saver may.

    Raises:
        ClientError: they stay as they are.
    """
    others = [str(target) for item in wanted if (target := _other(client, saver, item)) is not None]
    if others:
        is_are = "is another file" if len(others) == 1 else "are other files"
        agreed(
            f"{listed(others)} {is_are}: overwrite?",
            f"{listed(others)} {is_are}: --force overwrites what is there",
        )
        saver.may_replace = True


def _other(client: Client, saver: Saver, item: Wanted) -> Path | None:
    """The file that is in the way of another one."""
    if item.name is None:
        # Its name is known when it is here; the saver looks then.
        return None
    target = saver.target(item.name, item.below)
    if target is None or is_special(target) or not target.is_file():
        return None
    if item.id is not None and item.size >= 0:
        return None if saver.is_there(target, item.id, item.size) else target
    rows = client.get("/api/v1/files", name=item.name)["files"]
    wanted = [row for row in rows if item.id in {None, row["id"]}]
    return (
        target
        if wanted and not any(saver.is_there(target, row["id"], row["size"]) for row in wanted)
        else None
    )


def check_names(client: Client, sources: Iterable[tuple[str, Path | None]]) -> None:
    """Asks before ``put`` replaces contents at the node by others of the same names.

    Args:
        sources: names with the files to send; no path stands for what is not known yet.

    Raises:
        ClientError: they stay as they are.
    """
    paths = dict(sources)
    here = _here(client, list(paths))
    others = sorted(name for name, row in here.items() if name in paths and not _is(paths[name], row))
    if others:
        has = f"{client.get('/api/v1/node')['id']} has another content named {listed(others)}"
        agreed(f"{has}: replace?", f"{has}: --force replaces what is there")


def _is(path: Path | None, row: dict[str, Any]) -> bool:
    try:
        # A pipe can be read but once.
        if path is None or not path.is_file() or path.stat().st_size != row["size"]:
            return False
        return hash_file(path).id == str(row["id"])
    except OSError:
        # It is told when it is sent.
        return True


def _here(client: Client, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the node itself has of these names."""
    own = client.get("/api/v1/node")["id"]
    if len(names) <= ONE_BY_ONE:
        rows = [row for name in names for row in client.get("/api/v1/files", name=name)["files"]]
    else:
        rows = []
        for folder in sorted({f"{name.split('/')[0]}/" if "/" in name else name for name in names}):
            rows += find(client, folder, prefix="true", scope="local")
    return {
        row["name"]: row
        for row in rows
        if any(holder["peer"] == own and holder["complete"] for holder in row["holders"])
    }
