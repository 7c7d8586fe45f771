"""Keeps other websites from using a visitor's browser against a node that it can reach."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask, request

from minga_node.errors import Forbidden, ForeignHost, FromElsewhere
from minga_node.server import hosts
from minga_node.server.services import Services

SAFE = {"GET", "HEAD", "OPTIONS"}
MARKS = tuple((f"HTTP_{name.upper().replace('-', '_')}", name) for name in hosts.MARKS)
"""What is looked at, as WSGI has it."""


def install(app: Flask, services: Services) -> Callable[[], None]:
    """Refuses what a browser asks by a name that is not this node's, and requests that change something and
    that a page of another origin made. Returns the check.

    Browsers name that origin (Fetch Standard, 3.1); programs other than browsers send none.
    """
    config = services.config
    machine = socket.gethostname().lower()

    def own_names() -> tuple[str, ...]:
        return machine, services.self_peer().host.lower(), *config.allowed_hosts

    @app.before_request
    def _refuse() -> None:
        host, marks = request.host, _marks()
        if not hosts.allowed(host, marks, own_names):
            name = hosts.name_of(host)
            raise ForeignHost(
                f"browsers are answered by names that are known to be this node's, and {name!r} is not:"
                f' add it to the key allowed_hosts of the node, as in "allowed_hosts": ["{name}"]'
            )
        origin = marks.get("Origin")
        if request.method in SAFE or origin is None:
            return
        if urlsplit(origin).netloc != host:
            raise Forbidden(f"a page of {origin} must not change anything here")

    return _refuse


def _marks() -> dict[str, str]:
    environ = request.environ
    return {name: environ[key] for key, name in MARKS if key in environ}


def check_act() -> None:
    """For a GET that makes the node do something: raises FromElsewhere if another site may have asked."""
    if hosts.by_another_site(request.host, _marks()):
        raise FromElsewhere(
            "this node does not have the file yet, and fetches nothing because another page wants it to"
        )
