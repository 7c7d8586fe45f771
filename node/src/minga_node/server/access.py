"""Whether a request may be made at all, decided before anything else of it is looked at.

Every route needs a token where there are tokens, unless its view says that it is for everybody: a route
that nobody thought about is closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Flask, Response, current_app, g, request

from minga_node.access import AccessSession, Grants, Scope, bearer
from minga_node.errors import InsufficientScope, InvalidToken, MingaError, TokenNeeded
from minga_node.metrics import REST_REFUSED
from minga_node.server.same_origin import SAFE
from minga_node.server.services import Services

View = TypeVar("View", bound=Callable[..., Any])

METRICS = "health.metrics"
REALM = 'Bearer realm="minga"'


def for_everybody(view: View) -> View:
    """Marks a view that tells nothing of what is shared, or that newcomers need before they have a token."""
    view.for_everybody = True  # type: ignore[attr-defined]
    return view


def for_readers(view: View) -> View:
    """Marks a view that readers may use with any method; it calls :func:`need_write` for what is more."""
    view.for_readers = True  # type: ignore[attr-defined]
    return view


def is_for_everybody(view: Callable[..., Any] | None) -> bool:
    return getattr(view, "for_everybody", False) is True


def needed(method: str, view: Callable[..., Any] | None) -> Scope:
    """What a request needs: what changes nothing may be done by readers."""
    reading = method in SAFE or getattr(view, "for_readers", False) is True
    return Scope.READ if reading else Scope.WRITE


def need_write() -> None:
    """Raises InsufficientScope unless the request that is being answered may change something."""
    if not g.get("scope", Scope.WRITE).covers(Scope.WRITE):
        REST_REFUSED.labels(InsufficientScope.type).inc()
        raise InsufficientScope("the token may only read, and this changes something")


def cookie_name(network: str) -> str:
    """Cookies know no ports: two networks at one host keep their sessions apart by name."""
    return f"minga-session-{network}"


@dataclass(frozen=True)
class Caller:
    """Who asks, as far as it is known."""

    scope: Scope | None = None
    session: AccessSession | None = None


def caller(grants: Grants, network: str) -> Caller:
    """Who makes this request: by the ``Authorization`` header, else by the session's cookie.

    Raises:
        InvalidToken: the header has a token that is not good.
    """
    token = bearer(request.headers.get("Authorization", ""))
    if token is not None:
        scope = grants.scope(token)
        if scope is None:
            raise InvalidToken("the token is none of those that this node takes")
        return Caller(scope)
    cookie = request.cookies.get(cookie_name(network))
    session = grants.session(cookie, time.time()) if cookie else None
    return Caller(session.scope, session) if session else Caller()


def challenge(error: MingaError) -> str | None:
    """The ``WWW-Authenticate`` header of a refusal (RFC 6750, 3)."""
    if isinstance(error, TokenNeeded):
        return REALM
    if isinstance(error, InvalidToken):
        return f'{REALM}, error="invalid_token"'
    if isinstance(error, InsufficientScope):
        return f'{REALM}, error="insufficient_scope", scope="{Scope.WRITE}"'
    return None


def install(app: Flask, services: Services) -> Callable[[], None]:
    """Refuses what may not be. Returns the check."""

    def view() -> Callable[..., Any] | None:
        return current_app.view_functions.get(request.endpoint) if request.endpoint else None

    def is_open() -> bool:
        if services.tokens is None:
            return True
        if request.endpoint == METRICS and services.config.protect_metrics:
            return False
        return is_for_everybody(view())

    @app.before_request
    def _check() -> None:
        if services.tokens is None or is_open():
            return
        try:
            who = caller(services.tokens.grants(), services.config.network)
            _permit(who, needed(request.method, view()))
            g.scope = who.scope
        except MingaError as error:
            REST_REFUSED.labels(error.type).inc()
            raise

    @app.after_request
    def _keep_private(response: Response) -> Response:
        # What needs a token must not be given to others: by a cache between here and its reader, or by a
        # page of another port of this host, whose requests carry the session, too (cookies know no ports).
        if not is_open():
            response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
            if not response.cache_control.no_store:
                response.cache_control.public = False
                response.cache_control.private = True
        return response

    return _check


def _permit(who: Caller, wanted: Scope) -> None:
    if who.scope is None:
        raise TokenNeeded("this node answers only who has a token: send it as Authorization: Bearer TOKEN")
    if not who.scope.covers(wanted):
        raise InsufficientScope("the token may only read, and this changes something")
    if request.method not in SAFE and who.session is not None and "Origin" not in request.headers:
        # Every browser names the page that asks for a change (Fetch Standard, 3.1); same_origin looks at it.
        raise TokenNeeded("a session may change something only from the node's own page")
