"""Who may do what over REST: bearer tokens (RFC 6750) and the sessions of the page. Pure.

A token never stays in memory: what is kept of it is its SHA-256, by which it is recognised, and a key for
sessions that is derived from it. A session is such a key's signature under its own end, so every node that
knows the token accepts it, also after a restart, and none does once the token is gone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

SHORTEST = 20
"""Characters of a token: base64 says 6 bits with each, hex 4."""
LONGEST = 512
MOST = 256
"""Tokens that a node knows, at most: each is compared with every request's."""
SESSION_SECONDS = 12 * 3600

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""``b64token`` of RFC 6750, 2.1."""
_SESSION = re.compile(r"1\.([0-9]{10})\.([A-Za-z0-9_-]{43})")
_PURPOSE = b"minga session 1"


class Scope(StrEnum):
    """What a token lets its bearer do; ``write`` includes ``read``."""

    READ = "read"
    WRITE = "write"

    def covers(self, needed: Scope) -> bool:
        return self is Scope.WRITE or needed is Scope.READ


@dataclass(frozen=True, slots=True)
class Grant:
    """One known token, as far as it is kept."""

    scope: Scope
    digest: bytes
    session_key: bytes


@dataclass(frozen=True, slots=True)
class AccessSession:
    """What a signed-in browser may do, and until when (seconds since 1970)."""

    scope: Scope
    until: int


class Grants:
    """All tokens that are good now. Time does not tell how close a wrong one came."""

    def __init__(self, grants: Iterable[Grant]) -> None:
        self._grants = tuple(grants)

    def __len__(self) -> int:
        return len(self._grants)

    def scope(self, token: str) -> Scope | None:
        """What a token is good for; ``None`` for one that is not known."""
        grant = self._find(token)
        return grant.scope if grant else None

    def sign_in(self, token: str, now: float) -> tuple[AccessSession, str] | None:
        """A session for who has a token, with what its cookie says; ``None`` for a wrong token."""
        grant = self._find(token)
        if grant is None:
            return None
        until = int(now) + SESSION_SECONDS
        return AccessSession(grant.scope, until), f"1.{until}.{_signature(grant.session_key, until)}"

    def session(self, cookie: str, now: float) -> AccessSession | None:
        """The session that a cookie stands for; ``None`` when it is over or not ours."""
        parts = _SESSION.fullmatch(cookie)
        if parts is None or not now < int(parts[1]) <= now + SESSION_SECONDS:
            return None
        until, found = int(parts[1]), None
        for grant in self._grants:
            if hmac.compare_digest(_signature(grant.session_key, until), parts[2]):
                found = grant
        return AccessSession(found.scope, until) if found else None

    def _find(self, token: str) -> Grant | None:
        digest, found = _digest(token), None
        for grant in self._grants:
            if hmac.compare_digest(grant.digest, digest):
                found = grant
        return found


def grant(token: str, scope: Scope) -> Grant:
    """What is kept of a token."""
    return Grant(scope, _digest(token), hmac.digest(token.encode(), _PURPOSE, "sha256"))


def tokens(text: str) -> list[str]:
    """The tokens of a file: one a line; empty lines and those that begin with ``#`` say nothing.

    Raises:
        ValueError: one line that names the line's number, never the token.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        token = line.strip()
        if not token or token.startswith("#"):
            continue
        if not SHORTEST <= len(token) <= LONGEST:
            raise ValueError(
                f"line {number} has {len(token)} characters: expected a token of {SHORTEST} to {LONGEST}"
            )
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"line {number} is no token: expected letters, digits and ._~+/- without spaces")
        found.append(token)
    return found


def bearer(header: str) -> str | None:
    """The token of an ``Authorization`` header; ``None`` where it is of another scheme."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _signature(key: bytes, until: int) -> str:
    return urlsafe_b64encode(hmac.digest(key, str(until).encode(), "sha256")).rstrip(b"=").decode()
