"""Mutual TLS among peers: this node's certificate, read again when it is renewed, and whom it is shown to."""

from __future__ import annotations

import datetime
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minga_node import certificates
from minga_node.certificates import FILES, Certificates, named, shared_name
from minga_node.errors import ConfigError
from minga_node.metrics import CERTIFICATE_END
from minga_node.refusals import Refusals, objection
from minga_node.versions import LOOK_SECONDS, Versions, versions

log = logging.getLogger(__name__)

LARGEST_FILE_BYTES = 1 << 20
EXPLAIN_SECONDS = 3.0


class PeerTls:
    """The files of a directory as what both ends of a connection among peers need. Threads may share it.

    A change counts from the next connection on, without a restart: mounted Secrets change in place. A change
    that cannot be used is logged, and what was good before stays good.

    Args:
        network: whose name the certificates of all its peers are for.

    Raises:
        ConfigError: one line that names the file, and never what is in it.
    """

    def __init__(self, directory: Path, network: str) -> None:
        self._directory = directory
        self.name = shared_name(network)
        self.refusals = Refusals()
        self._lock = threading.Lock()
        self._seen = self._versions()
        self._take(self._read())
        self.version = 1
        """Rises with every change that was taken."""
        self._next = time.monotonic() + LOOK_SECONDS

    def current(self) -> tuple[int, Certificates]:
        """What is good now, and its version."""
        with self._lock:
            self._look()
            return self.version, self._certificates

    def server(self) -> ssl.SSLContext:
        """The context for a connection that a peer made."""
        with self._lock:
            self._look()
            return self._server

    def client(self) -> ssl.SSLContext:
        """The context for a connection to a peer."""
        with self._lock:
            self._look()
            return self._client

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether a verified certificate, as ``SSLSocket.getpeercert`` gives it, is a peer's."""
        pairs = (certificate or {}).get("subjectAltName", ())
        return named((value for kind, value in pairs if kind == "DNS"), self.name)

    def explain(self, host: str, port: int) -> str | None:
        """Why a peer's port that should be protected cannot be used, in words; None when TLS is not why.

        gRPC does not tell, and as a server it ends the connection without a word.
        """
        try:
            with (
                socket.create_connection((host, port), EXPLAIN_SECONDS) as plain,
                self.client().wrap_socket(plain) as connection,
            ):
                if not self.admits(connection.getpeercert()):
                    return f"its certificate is not for {self.name}"
                # In TLS 1.3 the other side's verdict comes after what is a whole handshake here.
                if connection.recv(1):
                    return None
        except TimeoutError:
            return None
        except OSError as error:
            return objection(error)
        ended = self.current()[1].until <= datetime.datetime.now(datetime.UTC)
        return "this node's certificate has expired" if ended else "it does not take this node's certificate"

    def _look(self) -> None:
        if time.monotonic() < self._next:
            return
        seen = self._versions()
        if seen != self._seen:
            self._seen = seen
            try:
                self._take(self._read())
            except ConfigError as error:
                log.error("%s; the certificate known before stays", error)
            else:
                self.version += 1
        self._next = time.monotonic() + LOOK_SECONDS

    def _take(self, found: Certificates) -> None:
        server, client = _context(ssl.PROTOCOL_TLS_SERVER, found), _context(ssl.PROTOCOL_TLS_CLIENT, found)
        # A ticket would let in, later, who has no good certificate any more.
        server.num_tickets = 0
        self._certificates, self._server, self._client = found, server, client
        CERTIFICATE_END.set(found.until.timestamp())
        if found.until <= datetime.datetime.now(datetime.UTC):
            log.error("%s ended on %s: peers refuse this node", self._path(FILES[0]), found.until.isoformat())
        else:
            log.info("peers are met by TLS as %s, until %s", self.name, found.until.isoformat())

    def _path(self, file: str) -> Path:
        return self._directory / file

    def _versions(self) -> Versions:
        return versions(self._path(file) for file in FILES)

    def _read(self) -> Certificates:
        contents = []
        for file in FILES:
            path = self._path(file)
            try:
                with path.open("rb") as stream:
                    contents.append(stream.read(LARGEST_FILE_BYTES))
            except OSError as error:
                raise ConfigError(f"peer_tls_directory: cannot read {path}: {error.strerror}") from None
        try:
            return certificates.read(contents, self.name)
        except ValueError as error:
            raise ConfigError(f"peer_tls_directory is {self._directory}: {error}") from None


def _context(protocol: ssl._SSLMethod, found: Certificates) -> ssl.SSLContext:
    """Of TLS 1.3 alone, and for both ends the same: the other must show a certificate of the authority.

    Its name is asked for after the handshake: addresses of peers are not what their certificates say.
    """
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=found.authorities.decode("ascii", "replace"))
    # Python reads a certificate and its key from a path alone, and the files may change meanwhile.
    descriptor = os.memfd_create("peer-tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, found.key + b"\n" + found.certificate)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context
