"""Errors as problem+json (RFC 9457) with stable types."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from markupsafe import escape
from werkzeug.exceptions import HTTPException

from minga_node.errors import (
    Busy,
    DirectoryAway,
    ForeignHost,
    FromElsewhere,
    MingaError,
    RangeNotSatisfiable,
    StorageFailed,
)
from minga_node.server.access import challenge
from minga_node.server.http.problems import document

log = logging.getLogger(__name__)


EXPLAINED = {
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def problem(kind: str, title: str, status: int, detail: str, extra: dict[str, Any] | None = None) -> Response:
    """One problem document."""
    return Response(
        document(kind, status, detail, title, extra), status, content_type="application/problem+json"
    )


def explained(error: MingaError, *, again: bool) -> Response:
    """A refusal as a page, since a person is looking; ``again`` offers the same address as a link of ours,
    which is that person's own wish.
    """
    target = str(request.environ.get("RAW_URI", ""))
    again = again and target.startswith("/") and not target.startswith("//")
    link = f'<p><a href="{escape(target)}">Fetch it</a></p>' if again else ""
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(error.title)}</title>'
        f"<h1>{escape(error.title)}</h1><p>{escape(str(error))}.</p>{link}</html>\n"
    )
    return Response(text, error.status, headers=EXPLAINED, content_type="text/html; charset=utf-8")


def install(app: Flask, away: Callable[[], str]) -> None:
    """Makes every error of this app a problem document; only our own mistakes are logged with a traceback.

    Args:
        away: why the shared directory cannot be used; the node's state may be in it.
    """

    @app.errorhandler(MingaError)
    def _ours(error: MingaError) -> Response:
        if isinstance(error, StorageFailed) and (why := away()):
            error = DirectoryAway(why)
        response = problem(error.type, error.title, error.status, str(error), error.details())
        if isinstance(error, Busy):
            response.headers["Retry-After"] = str(math.ceil(error.retry_after))
        if isinstance(error, RangeNotSatisfiable):
            response.headers["Content-Range"] = f"bytes */{error.size}"
        if (wanted := challenge(error)) is not None:
            response.headers["WWW-Authenticate"] = wanted
        if isinstance(error, ForeignHost | FromElsewhere) and "text/html" in request.headers.get(
            "Accept", ""
        ):
            return explained(error, again=isinstance(error, FromElsewhere))
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("%s %s: %s", request.method, request.path, error)
        return response

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        status = error.code or 500
        kind = HTTPStatus(status).phrase.lower().replace(" ", "-")
        response = problem(kind, HTTPStatus(status).phrase, status, error.description or "")
        for name, value in error.get_headers():
            if name in {"Allow", "Retry-After"}:
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def _bug(_error: Exception) -> Response:
        if why := away():
            return _ours(DirectoryAway(why))
        log.exception("%s %s failed", request.method, request.path)
        return problem("internal", "Something went wrong", 500, "see the node's log")
