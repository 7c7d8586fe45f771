"""``/api/v1/session``: a browser signs in, because pictures, films and events cannot carry a token."""

from __future__ import annotations

import secrets
import time
from urllib.parse import urlsplit

from flask import Blueprint, Response, request
from pydantic import BaseModel, Field

from minga_node.access import bearer
from minga_node.errors import InvalidToken, MingaError, TokenNeeded
from minga_node.grants import EVERYTHING, Grant, Scope
from minga_node.metrics import REST_REFUSED
from minga_node.server.access import caller, cookie_name, for_everybody
from minga_node.server.documented import Operation, documented
from minga_node.server.schemas import answer
from minga_node.server.services import Services


class SessionOut(BaseModel):
    needed: bool = Field(description="Whether this node asks for tokens")
    scope: Scope | None = Field(description="What the caller may do; null: nothing")
    until: int | None = Field(description="When the session ends, in seconds since 1970; null without one")
    prefixes: list[str] = Field(
        [], description="How the names begin that the caller may know of; empty: all names"
    )
    expires: int | None = Field(
        None, description="When the token expires, in seconds since 1970; null: never, or no token"
    )

    @classmethod
    def of(cls, grant: Grant | None, until: int | None, *, needed: bool = True) -> SessionOut:
        if grant is None:
            return cls(needed=needed, scope=None, until=None)
        return cls(
            needed=needed,
            scope=grant.scope,
            until=until,
            prefixes=list(grant.prefixes),
            expires=grant.expires,
        )


OPEN = SessionOut.of(EVERYTHING, None, needed=False)
"""Where there are no tokens, everybody may do everything."""


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("session", __name__, url_prefix="/api/v1/session")

    @routes.get("")
    @for_everybody
    @documented(Operation("What the caller may do", {200: SessionOut}))
    def look() -> Response:
        if services.tokens is None:
            return answer(OPEN)
        who = caller(services.tokens, services.config.network)
        return answer(SessionOut.of(who.grant, who.session.until if who.session else None))

    @routes.post("")
    @for_everybody
    @documented(
        Operation(
            "Signs a browser in with the token of the request: a cookie for 12 hours", {200: SessionOut}
        ),
        "POST",
    )
    def sign_in() -> Response:
        if services.tokens is None:
            return answer(OPEN)
        try:
            token = bearer(request.headers.get("Authorization", ""))
            if token is None:
                raise TokenNeeded("signing in needs a token: send it as Authorization: Bearer TOKEN")
            now = time.time()
            signed = services.tokens.known().sign_in(token, now, secrets.token_bytes(8))
            if signed is None:
                raise InvalidToken("the token is none of those that this node takes")
        except MingaError as error:
            REST_REFUSED.labels(error.type).inc()
            raise
        session, cookie = signed
        response = answer(SessionOut.of(session.grant, session.until))
        _set_cookie(response, cookie, max(0, session.until - int(now)))
        return response

    @routes.delete("")
    @for_everybody
    @documented(Operation("Signs a browser out: the session ends at this node", {204: "done"}), "DELETE")
    def sign_out() -> Response:
        cookie = request.cookies.get(cookie_name(services.config.network))
        if services.tokens is not None and cookie:
            services.tokens.sign_out(cookie, time.time())
        response = Response(status=204)
        _set_cookie(response, "", 0)
        return response

    def _set_cookie(response: Response, value: str, seconds: int) -> None:
        response.set_cookie(
            cookie_name(services.config.network),
            value,
            max_age=seconds,
            httponly=True,
            samesite="Strict",
            secure=_by_https(),
        )
        response.headers["Cache-Control"] = "no-store"

    return routes


def _by_https() -> bool:
    """Whether the browser speaks TLS with whoever stands before this node. A lie harms only who tells it."""
    origin = urlsplit(request.headers.get("Origin", ""))
    return "https" in {request.scheme, origin.scheme, request.headers.get("X-Forwarded-Proto", "").lower()}
