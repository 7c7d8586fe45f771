"""``/api/v1/session``: a browser signs in, because pictures, films and events cannot carry a token."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from flask import Blueprint, Response, request
from pydantic import BaseModel, Field

from minga_node.access import SESSION_SECONDS, Scope, bearer
from minga_node.errors import InvalidToken, MingaError, TokenNeeded
from minga_node.metrics import REST_REFUSED
from minga_node.server.access import caller, cookie_name, for_everybody
from minga_node.server.documented import Operation, documented
from minga_node.server.schemas import answer
from minga_node.server.services import Services


class SessionOut(BaseModel):
    needed: bool = Field(description="Whether this node asks for tokens")
    scope: Scope | None = Field(description="What the caller may do; null: nothing")
    until: int | None = Field(description="When the session ends, in seconds since 1970; null without one")


EVERYTHING = SessionOut(needed=False, scope=Scope.WRITE, until=None)
"""Where there are no tokens, everybody may do everything."""


def blueprint(services: Services) -> Blueprint:
    routes = Blueprint("session", __name__, url_prefix="/api/v1/session")

    @routes.get("")
    @for_everybody
    @documented(Operation("What the caller may do", {200: SessionOut}))
    def look() -> Response:
        if services.tokens is None:
            return answer(EVERYTHING)
        who = caller(services.tokens.grants(), services.config.network)
        return answer(
            SessionOut(needed=True, scope=who.scope, until=who.session.until if who.session else None)
        )

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
            return answer(EVERYTHING)
        try:
            token = bearer(request.headers.get("Authorization", ""))
            if token is None:
                raise TokenNeeded("signing in needs a token: send it as Authorization: Bearer TOKEN")
            signed = services.tokens.grants().sign_in(token, time.time())
            if signed is None:
                raise InvalidToken("the token is none of those that this node takes")
        except MingaError as error:
            REST_REFUSED.labels(error.type).inc()
            raise
        session, cookie = signed
        response = answer(SessionOut(needed=True, scope=session.scope, until=session.until))
        _set_cookie(response, cookie, SESSION_SECONDS)
        return response

    @routes.delete("")
    @for_everybody
    @documented(Operation("Signs a browser out", {204: "done"}), "DELETE")
    def sign_out() -> Response:
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
