"""The directory with the tokens that REST takes: read at the start, and again whenever it changes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from minga_node.access import MOST_TOKENS, AccessSession, EndedSessions, KnownToken, KnownTokens, known_token
from minga_node.errors import ConfigError
from minga_node.grants import Grant, Scope
from minga_node.token_files import GRANTS_FILE, noted_grants, tokens
from minga_node.versions import LOOK_SECONDS, Versions, versions

log = logging.getLogger(__name__)

LARGEST_FILE_BYTES = 4 << 20
"""Bytes of a file."""


class TokenDirectory:
    """The files ``read``, ``write`` and ``grants`` of a directory; some of the three may be missing.

    A change counts from the next look on, without a restart: mounted Secrets change in place. A change that
    cannot be used is logged, and what was good before stays good.

    Raises:
        ConfigError: one line that names the file, and never a token.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._ended = EndedSessions()
        self._seen = self._versions()
        self._known = self._read()
        self._next = time.monotonic() + LOOK_SECONDS

    def known(self) -> KnownTokens:
        """What is good now."""
        if time.monotonic() >= self._next:
            self._look()
        return self._known

    def session(self, cookie: str, now: float) -> AccessSession | None:
        """The session that a cookie stands for; ``None`` when it is over or was signed out of here."""
        found = self.known().session(cookie, now)
        with self._lock:
            return None if found is None or self._ended.has(cookie) else found

    def sign_out(self, cookie: str, now: float) -> None:
        """Ends a session at this node, also for whoever has a copy of its cookie."""
        found = self.known().session(cookie, now)
        if found is not None:
            with self._lock:
                self._ended.end(cookie, found, now)

    def _look(self) -> None:
        with self._lock:
            if time.monotonic() < self._next:
                return
            seen = self._versions()
            if seen != self._seen:
                self._seen = seen
                try:
                    self._known = self._read()
                    log.info("tokens were read again: %d", len(self._known))
                except ConfigError as error:
                    log.error("%s; the tokens known before stay good", error)
            self._next = time.monotonic() + LOOK_SECONDS

    def _versions(self) -> Versions:
        return versions(self._directory / name for name in (*Scope, GRANTS_FILE))

    def _read(self) -> KnownTokens:
        found: list[KnownToken] = []
        for scope in Scope:
            found += (
                self._parsed(
                    scope,
                    lambda text, scope=scope: [  # type: ignore[misc]
                        known_token(token, Grant(scope)) for token in tokens(text)
                    ],
                )
                or []
            )
        granted = self._parsed(GRANTS_FILE, lambda text: [known for known, _ in noted_grants(text)])
        found += granted or []
        # A file of grants that is empty says that all of them were revoked.
        if not found and granted is None:
            raise ConfigError(
                f"tokens_directory is {self._directory}:"
                " expected tokens in its files read and write, one a line, or in grants"
            )
        if len(found) > MOST_TOKENS:
            raise ConfigError(
                f"tokens_directory is {self._directory}: {len(found)} tokens, expected {MOST_TOKENS} at most"
            )
        return KnownTokens(found)

    def _parsed(self, name: str, parse: Callable[[str], list[KnownToken]]) -> list[KnownToken] | None:
        """What a file of the directory holds; ``None`` where there is none."""
        path = self._directory / name
        try:
            with path.open("rb") as stream:
                text = stream.read(LARGEST_FILE_BYTES + 1)
            if len(text) > LARGEST_FILE_BYTES:
                raise ValueError(f"it has more than {LARGEST_FILE_BYTES >> 20} MiB")
            return parse(text.decode())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"tokens_directory: cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"tokens_directory: {path} is not UTF-8 text") from None
        except ValueError as error:
            raise ConfigError(f"tokens_directory: {path}: {error}") from None
