"""What the managed broker's credentials are to be. Pure: from the Secrets there are to the values to write.

A password changes at the broker and at the nodes, and nobody can change it everywhere at once: a kubelet
brings a Secret when it does. So nodes are told both addresses, the new one first: whichever the broker takes,
one of them lets a node in. Connections that are there stay.

The Erlang cookie lives apart and longer: members of a broker that differ in it do not know each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

USER = "minga"
"""The broker's user where nobody chose another."""
_REMEMBERED = 5
"""So many former users are removed from the broker."""


@dataclass(frozen=True)
class Login:
    """Who logs in."""

    username: str
    password: str = field(repr=False)


def values(host: str, before: Mapping[str, str], login: Login) -> dict[str, str]:
    """What the Secret of the credentials is to hold.

    Args:
        host: host and port of the broker.
        before: what it holds; empty where there is none.
        login: who is to log in from now on.

    Returns:
        ``username``, ``password``, ``uri``, what nodes are told (``uris``, one address a line), and the
        broker's former users (``retired``, one a line).
    """
    uri = f"amqp://{quote(login.username, safe='')}:{quote(login.password, safe='')}@{host}/"
    told = before.get("uri", "")
    if not told or told == uri:
        lines = before.get("uris", "").split()
        uris = lines if lines[:1] == [uri] else [uri]
    else:
        uris = [uri, told]
    former = [*before.get("retired", "").splitlines(), _user(told)]
    retired = [name for name in dict.fromkeys(former) if name and name != login.username]
    return {
        "username": login.username,
        "password": login.password,
        "uri": uri,
        "uris": "\n".join(uris) + "\n",
        "retired": "".join(f"{name}\n" for name in retired[-_REMEMBERED:]),
    }


def own(before: Mapping[str, str], new: str, *, rotate: bool) -> Login:
    """The login where the operator makes the password.

    Args:
        before: what the Secret holds; a person may have put another password there.
        new: the password, if another one is to be.
        rotate: whether another one was asked for.
    """
    password = before.get("password", "")
    return Login(before.get("username") or USER, password if password and not rotate else new)


def cookie(found: str, copies: tuple[str, ...], new: str, *, running: bool) -> str | None:
    """The cookie of the broker's members.

    Args:
        found: what its own Secret holds; empty where there is none.
        copies: where else it may have stayed.
        new: the cookie, if there never was one.
        running: whether a member runs, which then has one.

    Returns:
        None where the members have one that is nowhere else: another one would divide them.
    """
    known = next((text for text in (found, *copies) if text), "")
    return known or (None if running else new)


def _user(uri: str) -> str:
    return unquote(urlsplit(uri).username or "") if uri else ""
