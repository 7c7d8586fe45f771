"""The lines of a node's token files, read and written. Pure.

``read`` and ``write`` hold tokens, one a line. ``grants`` holds one JSON object a line for each token that
``minga token create`` made: its hash and what it is good for, never the token.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from minga_node.access import KnownToken, known_token
from minga_node.grants import MOST_PREFIXES, Grant, Scope
from minga_node.names import MAX_BYTES

LEAST_TOKEN_CHARACTERS = 20
"""Characters of a token: base64 says 6 bits with each, hex 4."""
MOST_TOKEN_CHARACTERS = 512
"""Characters of a token."""
MOST_NOTE = 200
"""Characters of a grant's note."""
GRANTS_FILE = "grants"

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""``b64token`` of RFC 6750, 2.1."""
_ID = re.compile(r"[a-z0-9]{8}")
_HEX = re.compile(r"[0-9a-f]{64}")
_KEYS = frozenset({"id", "scope", "prefixes", "expires", "note", "sha256", "session"})


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that say something: not the empty ones, and not those that begin with ``#``."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.strip().startswith("#"):
            yield number, line.strip()


def tokens(text: str) -> list[str]:
    """The tokens of ``read`` or ``write``.

    Raises:
        ValueError: one line that names the line's number, never the token.
    """
    found = []
    for number, token in lines(text):
        if not LEAST_TOKEN_CHARACTERS <= len(token) <= MOST_TOKEN_CHARACTERS:
            raise ValueError(
                f"line {number} has {len(token)} characters: expected a token of "
                f"{LEAST_TOKEN_CHARACTERS} to {MOST_TOKEN_CHARACTERS}"
            )
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"line {number} is no token: expected letters, digits and ._~+/- without spaces")
        found.append(token)
    return found


def new_token() -> str:
    """A token of 256 bits."""
    return secrets.token_urlsafe(32)


def new_id() -> str:
    """The id of a grant: 8 hex digits."""
    return secrets.token_hex(4)


def grant_line(token: str, grant: Grant, note: str = "") -> str:
    """The line of ``grants`` for a token, without the line's end."""
    known = known_token(token, grant)
    said: dict[str, Any] = {"id": grant.id, "scope": str(grant.scope)}
    if grant.prefixes:
        said["prefixes"] = list(grant.prefixes)
    if grant.expires is not None:
        said["expires"] = datetime.fromtimestamp(grant.expires, UTC).isoformat().replace("+00:00", "Z")
    if note:
        said["note"] = note
    said |= {"sha256": known.digest.hex(), "session": known.session_key.hex()}
    return json.dumps(said, ensure_ascii=False)


def noted_grants(text: str) -> list[tuple[KnownToken, str]]:
    """The tokens of ``grants``, each with its note.

    A key that this release does not know may be a limit, so its line is refused rather than read without it.

    Raises:
        ValueError: one line that names the line's number and what is wrong with it.
    """
    found: dict[str, tuple[KnownToken, str]] = {}
    for number, line in lines(text):
        try:
            token, note = _read(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if token.grant.id in found:
            raise ValueError(f"line {number}: another line has the id {token.grant.id}")
        found[token.grant.id] = token, note
    return list(found.values())


def _read(line: str) -> tuple[KnownToken, str]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(said, dict):
        raise ValueError("expected a JSON object")
    if unknown := sorted(said.keys() - _KEYS):
        raise ValueError(f"unknown key {unknown[0]!r}")
    id_, scope = _text(said, "id", _ID), _text(said, "scope", re.compile("read|write"))
    note = said.get("note", "")
    if not isinstance(note, str) or len(note) > MOST_NOTE:
        raise ValueError(f"note: expected at most {MOST_NOTE} characters")
    grant = Grant(Scope(scope), prefixes(said.get("prefixes", [])), _expires(said.get("expires")), id_)
    digest, key = _text(said, "sha256", _HEX), _text(said, "session", _HEX)
    return KnownToken(grant, bytes.fromhex(digest), bytes.fromhex(key)), note


def prefixes(said: object) -> tuple[str, ...]:
    """Prefixes of names, checked.

    Raises:
        ValueError: what is wrong.
    """
    if not isinstance(said, list) or len(said) > MOST_PREFIXES:
        raise ValueError(f"prefixes: expected a list of at most {MOST_PREFIXES}")
    for prefix in said:
        if not isinstance(prefix, str) or not 1 <= len(prefix.encode(errors="replace")) <= MAX_BYTES:
            raise ValueError("prefixes: expected how names begin, such as team-a/")
        if prefix.startswith("/") or any(part in {".", ".."} for part in prefix.split("/")):
            raise ValueError(f"prefixes: no name begins with {prefix!r}")
    return tuple(dict.fromkeys(said))


def _expires(said: object) -> int | None:
    if said is None:
        return None
    try:
        at = datetime.fromisoformat(said if isinstance(said, str) else "")
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError("expires: expected a time of RFC 3339, such as 2030-01-31T00:00:00Z")
    return int(at.timestamp())


def _text(said: dict[str, Any], key: str, form: re.Pattern[str]) -> str:
    value = said.get(key)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ValueError(f"{key}: expected {form.pattern}")
    return value
