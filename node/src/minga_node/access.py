"""Who a caller is: bearer tokens (RFC 6750) and the sessions of the page. Pure.

A token never stays in memory: a node keeps its SHA-256, which recognises it, and the public half of a key
pair that is derived from it (Ed25519, RFC 8032). A session is the end of its time, signed by the private
half when the browser signs in. So every node that knows the token accepts the session, also after a restart,
no node does once the token is gone, and whoever reads what a node keeps can make neither.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from minga_node.grants import Grant, Scope

MOST_TOKENS = 4096
"""Tokens that a node knows, at most."""
SESSION_SECONDS = 12 * 3600
MOST_ENDED = 10_000
"""Sessions that a node remembers to have been signed out, at most; the oldest is forgotten first."""

_SESSION = re.compile(r"2\.([0-9]{10})\.([0-9a-f]{16})\.([0-9a-f]{16})\.([A-Za-z0-9_-]{86})")
_PURPOSE = b"minga session 2"


@dataclass(frozen=True, slots=True)
class KnownToken:
    """One token, as far as a node keeps it.

    Args:
        digest: SHA-256 of the token, 32 bytes.
        session_key: public key of its sessions, 32 bytes.
    """

    grant: Grant
    digest: bytes
    session_key: bytes

    @property
    def key_id(self) -> str:
        """By which a session names its key: 16 hex digits."""
        return hashlib.sha256(self.session_key).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class AccessSession:
    """What a signed-in browser may do, and until when (seconds since 1970)."""

    grant: Grant
    until: int

    @property
    def scope(self) -> Scope:
        return self.grant.scope


class KnownTokens:
    """All tokens that are good now. A wrong token's time tells nothing of a good one."""

    def __init__(self, known: Iterable[KnownToken]) -> None:
        self._by_digest: dict[bytes, KnownToken] = {}
        for token in known:
            other = self._by_digest.get(token.digest)
            # One token in both files: the wider grant counts.
            if other is None or _width(token.grant) > _width(other.grant):
                self._by_digest[token.digest] = token
        self._by_key = {token.key_id: token for token in self._by_digest.values()}

    def __len__(self) -> int:
        return len(self._by_digest)

    def grant(self, token: str, now: float) -> Grant | None:
        """What a token is good for at a time (seconds since 1970); ``None``: for nothing."""
        # What is looked up is a hash, so how far the lookup goes says nothing of the tokens themselves.
        found = self._by_digest.get(digest_of(token))
        return found.grant if found is not None and found.grant.is_good(now) else None

    def sign_in(self, token: str, now: float, chance: bytes) -> tuple[AccessSession, str] | None:
        """A session for the bearer of a token, and the cookie that stands for it; ``None`` for a wrong token.

        Args:
            now: seconds since 1970.
            chance: 8 random bytes, which tell two sessions of one second apart.
        """
        found = self._by_digest.get(digest_of(token))
        if found is None or not found.grant.is_good(now):
            return None
        until = int(now) + SESSION_SECONDS
        if found.grant.expires is not None:
            until = min(until, found.grant.expires)
        signature = _private_key(token).sign(_said(until, chance.hex()))
        text = urlsafe_b64encode(signature).rstrip(b"=").decode()
        return AccessSession(found.grant, until), f"2.{until}.{found.key_id}.{chance.hex()}.{text}"

    def session(self, cookie: str, now: float) -> AccessSession | None:
        """The session that a cookie stands for; ``None`` when it is over or not of a token known here."""
        parts = _SESSION.fullmatch(cookie)
        if parts is None or not now < int(parts[1]) <= now + SESSION_SECONDS:
            return None
        until, found = int(parts[1]), self._by_key.get(parts[2])
        if found is None or not found.grant.is_good(now):
            return None
        try:
            signature = urlsafe_b64decode(parts[4] + "==")
            Ed25519PublicKey.from_public_bytes(found.session_key).verify(signature, _said(until, parts[3]))
        except (InvalidSignature, ValueError):
            return None
        return AccessSession(found.grant, until)


class EndedSessions:
    """Sessions that somebody signed out of at this node, until their time is over. Not thread-safe."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}

    def end(self, cookie: str, session: AccessSession, now: float) -> None:
        if len(self._until) >= MOST_ENDED:
            self._until = {each: until for each, until in self._until.items() if until > now}
        while len(self._until) >= MOST_ENDED:
            del self._until[next(iter(self._until))]
        self._until[cookie] = session.until

    def has(self, cookie: str) -> bool:
        return cookie in self._until


def known_token(token: str, grant: Grant) -> KnownToken:
    """What a node keeps of a token."""
    return KnownToken(grant, digest_of(token), _private_key(token).public_key().public_bytes_raw())


def bearer(header: str) -> str | None:
    """The token of an ``Authorization`` header; ``None`` where it is of another scheme."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def digest_of(token: str) -> bytes:
    """SHA-256: tokens have 120 bits or more, so nothing slower is needed."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _width(grant: Grant) -> tuple[bool, bool, float]:
    expires = float("inf") if grant.expires is None else grant.expires
    return not grant.is_limited, grant.scope is Scope.WRITE, expires


def _private_key(token: str) -> Ed25519PrivateKey:
    seed = hmac.digest(token.encode(errors="replace"), _PURPOSE, "sha256")
    return Ed25519PrivateKey.from_private_bytes(seed)


def _said(until: int, chance: str) -> bytes:
    return b"%s %s until %d" % (_PURPOSE, chance.encode(), until)
