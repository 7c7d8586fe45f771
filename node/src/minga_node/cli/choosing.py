"""What to fetch: names, globs and folders looked up in the index, one content for each name."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from minga_node.cli.client import Client, ClientError
from minga_node.cli.files import check_no_folder, find
from minga_node.errors import InvalidName
from minga_node.names import check_name


@dataclass(frozen=True)
class Wanted:
    """One file to fetch, and where it goes below the folder that was named."""

    name: str | None
    id: str | None
    peer: str | None
    below: str | None = None
    size: int = -1
    """Bytes; -1 while unknown."""

    def asked(self) -> dict[str, Any]:
        """The body of ``POST /api/v1/downloads``."""
        fields = {"name": self.name, "id": self.id, "peer": self.peer}
        return {key: value for key, value in fields.items() if value is not None}


def plan(
    client: Client,
    names: Sequence[str],
    identity: str | None,
    peer: str | None,
    recursive: bool,
    hint: Callable[[str], object],
) -> Iterator[Wanted]:
    """Names as they are; globs and folders as what the index has for them.

    ``hint`` is told what else is taken than what was named.

    Raises:
        ClientError: there is nothing of the kind, or several contents have one name.
    """
    for name in names or (None,):
        if name is not None and recursive:
            folder = name.rstrip("/") + "/"
            rows = [row for row in find(client, folder, prefix="true") if row["name"].startswith(folder)]
            if not rows:
                raise ClientError(f"nobody shares anything below {folder}", 3)
            yield from _each(client, rows, peer, folder)
        elif name is not None and any(character in name for character in "*?["):
            if client.get("/api/v1/files", name=name)["files"]:
                # A name as it is comes before what it would mean as a glob.
                yield Wanted(name, identity, peer)
                continue
            rows = find(client, name)
            if not rows:
                raise ClientError(f"nothing is called {name}", 3)
            yield from _each(client, rows, peer, None)
        elif name is not None and identity is None:
            yield Wanted(_in_its_form(client, name, hint), None, peer)
        else:
            yield Wanted(name, identity, peer)


def _in_its_form(client: Client, name: str, hint: Callable[[str], object]) -> str:
    """The name, or where only another Unicode form of it is shared, that (Unicode Standard Annex 15)."""
    if client.get("/api/v1/files", name=name)["files"]:
        return name
    if name.isascii():
        check_no_folder(client, name, "get it with -r")
        return name
    same = unicodedata.normalize("NFC", name)
    found = {row["name"] for row in find(client, name)}
    forms = [other for other in found if unicodedata.normalize("NFC", other) == same]
    if len(forms) != 1:
        return name
    hint(f"{name} is shared in another Unicode form, which looks the same: taking that")
    return checked(client, forms[0])


def checked(client: Client, name: str) -> str:
    """A name that the node tells, by the rules of names.

    Raises:
        ClientError: an honest node never tells such a name; as a path it could lead anywhere.
    """
    try:
        return check_name(name)
    except InvalidName as error:
        raise ClientError(f"{client.node} tells a name that cannot be: {error}; nothing is written") from None


def _each(
    client: Client, rows: Sequence[dict[str, Any]], peer: str | None, folder: str | None
) -> Iterator[Wanted]:
    contents: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if peer is None or any(holder["peer"] == peer for holder in row["holders"]):
            contents.setdefault(checked(client, row["name"]), []).append(row)
    if not contents:
        raise ClientError(f"{peer} has none of them", 3)
    for name in sorted(contents):
        if len(contents[name]) > 1:
            choices = "\n".join(
                f"  --id {row['id']}  {row['size']} bytes, at {', '.join(h['peer'] for h in row['holders'])}"
                for row in contents[name]
            )
            raise ClientError(
                f"{name} stands for several contents: name a peer with --from, or use the id\n{choices}",
                4,
            )
        (row,) = contents[name]
        below = name.removeprefix(folder) if folder is not None else None
        yield Wanted(name, row["id"], peer, below, row["size"])
