"""Keeps other websites from using a visitor's browser against a node that it can reach."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask, request

from minga_node.errors import Forbidden

SAFE = {"GET", "HEAD", "OPTIONS"}


def install(app: Flask) -> Callable[[], None]:
    """Refuses requests that change something and that a page of another origin made.

    Browsers name that origin (Fetch Standard, 3.1); programs other than browsers send none.
    Returns the check.
    """

    @app.before_request
    def _refuse() -> None:
        origin = request.headers.get("Origin")
        if request.method in SAFE or origin is None:
            return
        if urlsplit(origin).netloc != request.host:
            raise Forbidden(f"a page of {origin} must not change anything here")

    return _refuse
