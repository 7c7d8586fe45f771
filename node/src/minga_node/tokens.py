"""The directory with the tokens that REST takes: read at the start, and again whenever it changes."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from minga_node.access import MOST, Grants, Scope, grant, tokens
from minga_node.errors import ConfigError
from minga_node.versions import LOOK_SECONDS, Versions, versions

log = logging.getLogger(__name__)

LARGEST = 1 << 20


class TokenDirectory:
    """The files ``read`` and ``write`` of a directory, a token a line; one of the two may be missing.

    A change counts from the next look on, without a restart: mounted Secrets change in place. A change that
    cannot be used is logged, and what was good before stays good.

    Raises:
        ConfigError: one line that names the file, and never a token.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._seen = self._versions()
        self._grants = self._read()
        self._next = time.monotonic() + LOOK_SECONDS

    def grants(self) -> Grants:
        """What is good now."""
        if time.monotonic() >= self._next:
            self._look()
        return self._grants

    def _look(self) -> None:
        with self._lock:
            if time.monotonic() < self._next:
                return
            seen = self._versions()
            if seen != self._seen:
                self._seen = seen
                try:
                    self._grants = self._read()
                    log.info("tokens were read again: %d", len(self._grants))
                except ConfigError as error:
                    log.error("%s; the tokens known before stay good", error)
            self._next = time.monotonic() + LOOK_SECONDS

    def _versions(self) -> Versions:
        return versions(self._directory / scope for scope in Scope)

    def _read(self) -> Grants:
        found = []
        for scope in Scope:
            path = self._directory / scope
            try:
                with path.open("rb") as stream:
                    text = stream.read(LARGEST).decode()
                found += [grant(token, scope) for token in tokens(text)]
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ConfigError(f"tokens_directory: cannot read {path}: {error.strerror}") from None
            except UnicodeDecodeError:
                raise ConfigError(f"tokens_directory: {path} is not UTF-8 text") from None
            except ValueError as error:
                raise ConfigError(f"tokens_directory: {path}: {error}") from None
        if not found:
            raise ConfigError(
                f"tokens_directory is {self._directory}:"
                " expected tokens in its files read and write, one a line"
            )
        if len(found) > MOST:
            raise ConfigError(
                f"tokens_directory is {self._directory}: {len(found)} tokens, expected {MOST} at most"
            )
        return Grants(found)
