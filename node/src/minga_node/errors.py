"""The few errors of a node. Libraries' own errors are turned into these where they enter.

Each has a stable ``type`` slug and an HTTP status, which REST shows as problem+json (RFC 9457)
and the command line as one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


class MingaError(Exception):
    """Anything that a node tells its user or its peers about."""

    type: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong"
    status: ClassVar[int] = 500
    permanent: ClassVar[bool] = False
    """Whether the same would fail in the same way however often it is tried."""

    def details(self) -> dict[str, Any]:
        """Extension members of the problem document, JSON-ready."""
        return {}


class ConfigError(MingaError):
    """A wrong configuration; names the key, the value and what was expected."""

    type = "config"
    title = "The configuration is wrong"


class BadRequest(MingaError):
    type = "bad-request"
    title = "The request is wrong"
    status = 400
    permanent = True


class InvalidName(BadRequest):
    type = "invalid-name"
    title = "Not a usable file name"


class NotFound(MingaError):
    type = "not-found"
    title = "There is no such thing here"
    status = 404


class NoHolders(MingaError):
    """The content is known but nobody who has it is online."""

    type = "no-holders"
    title = "Nobody who has this file is online"
    status = 503


class Gone(MingaError):
    """Everybody who had the content says that they have it no more."""

    type = "gone"
    title = "Nobody shares this any more"
    status = 410
    permanent = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several contents that share a name."""

    id: str
    size: int
    holders: tuple[str, ...]


class AmbiguousName(MingaError):
    """Several different contents have this name; name an id or a peer."""

    type = "ambiguous-name"
    title = "Several different files have this name"
    status = 409

    def __init__(self, message: str, choices: Sequence[Choice]) -> None:
        super().__init__(message)
        self.choices = tuple(choices)

    def details(self) -> dict[str, Any]:
        return {"choices": [{"id": c.id, "size": c.size, "holders": list(c.holders)} for c in self.choices]}


class Conflict(MingaError):
    type = "conflict"
    title = "That does not go with what is here"
    status = 409


class PreconditionFailed(MingaError):
    """What is here is not what the caller said it must be."""

    type = "precondition-failed"
    title = "The file here is another one"
    status = 412


class RangeNotSatisfiable(MingaError):
    type = "range-not-satisfiable"
    title = "The file has no such range"
    status = 416

    def __init__(self, message: str, size: int) -> None:
        super().__init__(message)
        self.size = size


class Busy(MingaError):
    """All slots are taken; come back after ``retry_after`` seconds."""

    type = "busy"
    title = "Too much at once"
    status = 503

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StorageFull(MingaError):
    type = "storage-full"
    title = "The disk is full"
    status = 507


class DirectoryAway(MingaError):
    """The shared directory, or a volume in it, is not mounted or was moved; it goes on when that is back."""

    type = "directory-away"
    title = "The shared directory is away"
    status = 503


class ReadOnly(MingaError):
    """The directory may be read but not changed."""

    type = "read-only"
    title = "This library can only be read"
    status = 403
    permanent = True


class Forbidden(MingaError):
    type = "forbidden"
    title = "That is not for you to do"
    status = 403


class ForeignHost(MingaError):
    """A browser asks by a name that another site could have."""

    type = "foreign-host"
    title = "This node does not go by that name"
    status = 421


class FromElsewhere(Forbidden):
    """A page of another site would make the node do something."""

    type = "from-elsewhere"
    title = "Another page asks for this"


class TokenNeeded(MingaError):
    """REST takes tokens here, and none came."""

    type = "token-needed"
    title = "This needs a token"
    status = 401


class InvalidToken(MingaError):
    """The token is none of those that are good here."""

    type = "invalid-token"
    title = "This token is not good here"
    status = 401


class InsufficientScope(MingaError):
    """The token is good, but not for this."""

    type = "insufficient-scope"
    title = "This token may not do that"
    status = 403


class StorageFailed(MingaError):
    type = "storage"
    title = "The disk does not do what it should"
    status = 500


class VerificationFailed(MingaError):
    """Bytes that do not have the digest they should have."""

    type = "verification"
    title = "The content is not what its id says"
    status = 502


class PeerUnreachable(MingaError):
    """Another node does not answer, or not in time."""

    type = "peer-unreachable"
    title = "A peer does not answer"
    status = 502


class OtherTls(PeerUnreachable):
    """A node that meets peers by TLS and one that does not cannot meet."""


class PeerMisbehaved(MingaError):
    """Another node answered with something that breaks the protocol."""

    type = "peer-misbehaved"
    title = "A peer breaks the protocol"
    status = 502


class Forged(PeerMisbehaved):
    """It passes something for the word of a third node that this node never said.

    Args:
        writer: whose log it is, where it is entries; the writer itself may have brought them.
    """

    def __init__(self, message: str, writer: str = "") -> None:
        super().__init__(message)
        self.writer = writer


class BrokerUnavailable(MingaError):
    type = "broker-unavailable"
    title = "The message broker is away"
    status = 503
