"""Whether a request may be made at all, decided before anything else of it is looked at.

Every route needs a token where there are tokens, unless its view says that it is for everybody: a route
that nobody thought about is closed. In the same way a token that is limited to some names opens only views
that say that they heed names (:func:`by_name`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from flask import Flask, Response, current_app, g, request

from minga_node.access import AccessSession, bearer
from minga_node.errors import InsufficientScope, InvalidToken, MingaError, NotFound, TokenNeeded
from minga_node.grants import EVERYTHING, Grant, Scope
from minga_node.metrics import REST_REFUSED
from minga_node.server.same_origin import SAFE
from minga_node.server.services import Services
from minga_node.tokens import TokenDirectory

View = TypeVar("View", bound=Callable[..., Any])


class Named(Protocol):
    """Anything that is about a file's name."""

    @property
    def name(self) -> str: ...


Row = TypeVar("Row", bound=Named)

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


def by_name(view: View) -> View:
    """Marks a view that shows and changes nothing but what :func:`granted` allows, or that names no files."""
    view.by_name = True  # type: ignore[attr-defined]
    return view


def is_for_everybody(view: Callable[..., Any] | None) -> bool:
    return getattr(view, "for_everybody", False) is True


def needed(method: str, view: Callable[..., Any] | None) -> Scope:
    """What a request needs: what changes nothing may be done by readers."""
    reading = method in SAFE or getattr(view, "for_readers", False) is True
    return Scope.READ if reading else Scope.WRITE


def granted() -> Grant:
    """What the caller of the request that is being answered may do."""
    found: Grant = g.get("grant", EVERYTHING)
    return found


def need_write(name: str | None = None) -> None:
    """Raises InsufficientScope unless the caller may write: the file of this name, if one is given."""
    grant = granted()
    if not grant.scope.covers(Scope.WRITE):
        raise _refused("the token may only read, and this changes something")
    if name is not None and not grant.writes(name):
        raise _refused(f"the token may not write {name}: {_only(grant)}")


def need_read(name: str, message: str = "") -> None:
    """Raises NotFound, as if there were no such file, unless the caller may know of it."""
    if not granted().reads(name):
        raise NotFound(message or f"nobody shares {name}")


def readable(rows: Iterable[Row]) -> tuple[Row, ...]:
    """What of some files, downloads or wants the caller may know of."""
    grant = granted()
    return tuple(rows) if not grant.is_limited else tuple(row for row in rows if grant.reads(row.name))


def _only(grant: Grant) -> str:
    return f"it is for names that begin with {' or '.join(grant.prefixes)}"


def _refused(message: str) -> InsufficientScope:
    REST_REFUSED.labels(InsufficientScope.type).inc()
    return InsufficientScope(message)


def cookie_name(network: str) -> str:
    """Cookies know no ports: two networks at one host keep their sessions apart by name."""
    return f"minga-session-{network}"


@dataclass(frozen=True)
class Caller:
    """Who asks, as far as it is known."""

    grant: Grant | None = None
    session: AccessSession | None = None


def caller(tokens: TokenDirectory, network: str) -> Caller:
    """Who makes this request: by the ``Authorization`` header, else by the session's cookie.

    Raises:
        InvalidToken: the header has a token that is not good.
    """
    header, cookie = request.headers.get("Authorization", ""), request.cookies.get(cookie_name(network))
    return _caller(tokens, header, cookie)


def _caller(tokens: TokenDirectory, header: str, cookie: str | None) -> Caller:
    now, token = time.time(), bearer(header)
    if token is not None:
        grant = tokens.known().grant(token, now)
        if grant is None:
            raise InvalidToken("the token is none of those that this node takes")
        return Caller(grant)
    session = tokens.session(cookie, now) if cookie else None
    return Caller(session.grant, session) if session else Caller()


def still_granted(services: Services) -> Callable[[], bool]:
    """For a long answer: whether the caller of this request may still do what it may do now."""
    tokens, grant = services.tokens, granted()
    if tokens is None:
        return lambda: True
    header = request.headers.get("Authorization", "")
    cookie = request.cookies.get(cookie_name(services.config.network))

    def look() -> bool:
        try:
            return _caller(tokens, header, cookie).grant == grant
        except InvalidToken:
            return False

    return look


def granted_on_open_route(services: Services) -> Grant | None:
    """What the caller of a route for everybody may do besides; ``None``: nothing, or the token is wrong."""
    if services.tokens is None:
        return EVERYTHING
    try:
        return caller(services.tokens, services.config.network).grant
    except InvalidToken:
        return None


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
            who = caller(services.tokens, services.config.network)
            g.grant = _permit(who, needed(request.method, view()), view())
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


def _permit(who: Caller, wanted: Scope, view: Callable[..., Any] | None) -> Grant:
    grant = who.grant
    if grant is None:
        raise TokenNeeded(
            "this node answers only callers with a token: send it as Authorization: Bearer TOKEN"
        )
    if not grant.scope.covers(wanted):
        raise InsufficientScope("the token may only read, and this changes something")
    if grant.is_limited and view is not None and getattr(view, "by_name", False) is not True:
        raise InsufficientScope(f"the token may not do this: {_only(grant)}")
    if request.method not in SAFE and who.session is not None and "Origin" not in request.headers:
        # Every browser names the page that asks for a change (Fetch Standard, 3.1); same_origin looks at it.
        raise TokenNeeded("a session may change something only from the node's own page")
    return grant
