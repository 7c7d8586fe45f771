"""Where the broker is, how its certificate is checked, and what its errors mean to people."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pika
from pika.exceptions import (
    AMQPHeartbeatTimeout,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    StreamLostError,
)

from minga_node.errors import BrokerUnavailable, ConfigError

HEARTBEAT_SECONDS = 10
"""Seconds; a broker that is silent for twice as long is away."""
SOCKET_SECONDS = 3
"""To reach it; a lost SYN is sent again after one second (RFC 6298)."""
EXPECTED = "an AMQP address such as amqp://user:password@host:5672/vhost"


class BrokerAddress:
    """One AMQP address.

    Args:
        url: amqp or amqps; the latter verifies the broker's certificate and its name, always.
        ca_file: PEM file of the authorities to trust, read at every connection: it may be renewed meanwhile.
            Those of the system without one.

    Raises:
        ConfigError: it is none. What is said does not repeat it, for a password may be in it.
    """

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
            pika.URLParameters(url)
        except (ValueError, TypeError, IndexError) as error:
            raise ConfigError(f"expected {EXPECTED}") from error
        if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
            raise ConfigError(f"expected {EXPECTED}")
        self._url, self._ca_file = url, ca_file
        self._host = parts.hostname
        self._tls = parts.scheme == "amqps"
        self._shown = f"{parts.scheme}://{self._host}:{port or (5671 if self._tls else 5672)}"
        self._place = self._shown, parts.path, parts.query

    def __str__(self) -> str:
        """The address without user and password."""
        return self._shown

    def same_place(self, other: BrokerAddress) -> bool:
        """Whether it is the same virtual host of the same broker, perhaps for another user or password."""
        return self._place == other._place

    def parameters(self, name: str) -> pika.URLParameters:
        """How to connect; ``name`` is shown by the broker's tools.

        Raises:
            ConfigError: see :func:`trust`.
        """
        made = pika.URLParameters(self._url)
        made.heartbeat = HEARTBEAT_SECONDS
        made.socket_timeout = SOCKET_SECONDS
        # A broker may be out of memory for hours; it is still there, and says when that is over.
        made.blocked_connection_timeout = None
        made.client_properties = {"connection_name": name}
        made.ssl_options = pika.SSLOptions(trust(self._ca_file), self._host) if self._tls else None
        return made


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Trusts the authorities in a PEM file, or the authorities of the system where there is no file.

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
            case BrokerUnavailable():
                return str(cause)
            case ssl.SSLCertVerificationError():
                return f"its certificate is refused: {cause.verify_message or cause.reason}"
            case ssl.SSLError():
                return f"TLS fails: {cause.reason or cause}"
            case socket.gaierror():
                return "its name is not known"
            case ProbableAuthenticationError():
                return "it refuses the user or the password"
            case ProbableAccessDeniedError():
                return f"it refuses the virtual host{_said(cause)}"
            case IncompatibleProtocolError():
                return "what listens there does not speak AMQP 0-9-1"
            case AMQPHeartbeatTimeout():
                return "it fell silent"
            case ConnectionClosedByBroker() | ChannelClosedByBroker():
                return f"it said: {cause.reply_text}"
            case ConnectionRefusedError() | ConnectionResetError() | BrokenPipeError():
                return (cause.strerror or type(cause).__name__).lower()
            case TimeoutError():
                return "it does not answer"
    for cause in found:
        if isinstance(cause, StreamLostError):
            return "the connection was lost"
        if type(cause).__name__.endswith("Timeout"):  # pika has no public name for those of its connector
            return "it does not answer"
    last = found[-1]
    return str(last) or type(last).__name__


def refused(error: BaseException) -> bool:
    """Whether the broker knows us and does not want us: somebody has to change something first."""
    return any(
        isinstance(cause, ProbableAuthenticationError | ProbableAccessDeniedError | ssl.SSLError)
        for cause in _unwrapped(error)
    )


def _said(error: BaseException) -> str:
    """The broker's words in an error of pika that has them as a text only."""
    match = re.search(r"[A-Z_]{6,} - (.*?)[\"']?$", str(error.args[0] if error.args else ""))
    return ": " + match[1].replace("\\'", "'") if match else ""


def _unwrapped(error: BaseException) -> Iterator[BaseException]:
    """An error and, depth first, those that it stands for."""
    yield error
    wrapped = [getattr(error, "exception", None), *getattr(error, "exceptions", ())]
    for each in (*wrapped, error.__cause__, *error.args):
        if isinstance(each, BaseException):
            yield from _unwrapped(each)
