"""Which brokers there are: given once, or in a file that may change while the node runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from minga_node.errors import ConfigError
from minga_node.mom.address import BrokerAddress

log = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024
"""Bytes of a file of addresses, at most."""


class BrokerAddresses:
    """The addresses of brokers that are members of one cluster, in the order in which they are tried.

    Args:
        urls: the addresses; none where a file has them.
        file: has one address a line. It is read at every attempt to connect: a password in it may change.
        ca_file: see :class:`BrokerAddress`.

    Raises:
        ConfigError: one of ``urls`` is no address.
    """

    def __init__(
        self, urls: Sequence[str] = (), *, file: Path | None = None, ca_file: Path | None = None
    ) -> None:
        self._file, self._ca_file = file, ca_file
        try:
            self._given = tuple(BrokerAddress(url, ca_file) for url in urls)
        except ConfigError as error:
            raise ConfigError(f"broker_url is set: {error}") from error
        self._seen: bytes | None = None
        """Of the file, when it was read last,"""
        self._looked: bytes | None = None
        """and when it was looked at last."""

    def read(self) -> tuple[BrokerAddress, ...]:
        """The addresses as they are now; at least one.

        Raises:
            ConfigError: the file cannot be read, or has something else in it. Its content is not repeated.
        """
        if self._file is None:
            return self._given
        self._seen = self._looked = self._content()
        return self._parsed(self._seen)

    def changed(self) -> bool:
        """Whether the file has something else in it than when it was read last."""
        return self._file is not None and self._content() != self._seen

    def moved(self, current: BrokerAddress) -> bool:
        """Whether the file names brokers now, and not the one that this node is connected to.

        Another user or password for it is no reason to leave: the next connection will take those.
        """
        content = self._content()
        if self._file is None or content == self._looked:
            return False
        self._looked = content
        try:
            return not any(address.same_place(current) for address in self._parsed(content))
        except ConfigError as error:
            log.warning("%s; the connection stays", error)
            return False

    def _parsed(self, content: bytes | None) -> tuple[BrokerAddress, ...]:
        if content is None:
            raise ConfigError(f"broker_url_file {self._file} cannot be read")
        try:
            lines = content.decode().replace(",", "\n").splitlines()
            found = tuple(BrokerAddress(line.strip(), self._ca_file) for line in lines if line.strip())
        except ConfigError as error:
            raise ConfigError(f"broker_url_file {self._file}: {error}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"broker_url_file {self._file} is not UTF-8 text") from error
        if not found:
            raise ConfigError(f"broker_url_file {self._file} is empty")
        return found

    def _content(self) -> bytes | None:
        if self._file is None:
            return None
        try:
            with self._file.open("rb") as stream:
                return stream.read(MOST_BYTES)
        except OSError:
            return None
