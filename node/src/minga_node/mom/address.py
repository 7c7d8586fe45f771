"""Where the broker is, how its certificate is checked, and what its errors mean to people."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pika
from pika.exceptions import ProbableAccessDeniedError, ProbableAuthenticationError

from minga_node.errors import ConfigError

HEARTBEAT = 20
"""Seconds; a broker that is silent for twice as long is away."""
SOCKET_SECONDS = 5
BLOCKED_SECONDS = 60


class Address:
    """One AMQP address.

    Args:
        url: amqp or amqps; the latter verifies the broker's certificate and its name, always.
        ca_file: PEM file of the authorities to trust, read at every connection: it may be renewed meanwhile.
            Those of the system without one.
    """

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        parts = urlsplit(url)
        self._url, self._ca_file = url, ca_file
        self._host = parts.hostname or ""
        self._tls = parts.scheme == "amqps"
        port = parts.port or (5671 if self._tls else 5672)
        self._shown = f"{parts.scheme}://{self._host}:{port}"

    def __str__(self) -> str:
        """Without user and password."""
        return self._shown

    def parameters(self, name: str) -> pika.URLParameters:
        """How to connect; ``name`` is shown by the broker's tools.

        Raises:
            ConfigError: see :func:`trust`.
        """
        made = pika.URLParameters(self._url)
        made.heartbeat = HEARTBEAT
        made.socket_timeout = SOCKET_SECONDS
        made.blocked_connection_timeout = BLOCKED_SECONDS
        made.client_properties = {"connection_name": name}
        made.ssl_options = pika.SSLOptions(trust(self._ca_file), self._host) if self._tls else None
        return made


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Trusts the authorities in a PEM file; without one those of the system.

    Raises:
        ConfigError: it cannot be read, or has no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = (
            error.strerror if isinstance(error, FileNotFoundError | PermissionError) else "no certificate"
        )
        raise ConfigError(f"broker_ca_file is {ca_file}: expected a PEM file ({reason})") from error


def reason(error: BaseException) -> str:
    """What is wrong, in a few words, whatever pika has wrapped it in."""
    found = list(_unwrapped(error))
    for cause in found:
        match cause:
            case ssl.SSLCertVerificationError():
                return f"its certificate is refused: {cause.verify_message or cause.reason}"
            case ssl.SSLError():
                return f"TLS fails: {cause.reason or cause}"
            case socket.gaierror():
                return "its name is not known"
            case ProbableAuthenticationError():
                return "it refuses the user or the password"
            case ProbableAccessDeniedError():
                return "it refuses access to the virtual host"
            case ConnectionRefusedError() | TimeoutError() | ConnectionResetError():
                return (cause.strerror or type(cause).__name__).lower()
    last = found[-1]
    return str(last) or type(last).__name__


def _unwrapped(error: BaseException) -> Iterator[BaseException]:
    """An error and, depth first, those that it stands for."""
    yield error
    wrapped = [getattr(error, "exception", None), *getattr(error, "exceptions", ())]
    for each in (*wrapped, error.__cause__, *error.args):
        if isinstance(each, BaseException):
            yield from _unwrapped(each)
