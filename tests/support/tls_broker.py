"""A private RabbitMQ that speaks TLS only, with a certificate of an authority of its own."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from minga_node.local.broker import HOST, PrivateBroker
from tests.cluster.certificates import Authority


class TlsBroker(PrivateBroker):
    """``names`` are those that its certificate is for, as openssl writes them: ``IP:127.0.0.1``."""

    def __init__(self, base: Path, authority: Authority, names: tuple[str, ...]) -> None:
        super().__init__(base)
        self._ca = authority.certificate
        self._certificate, self._key = authority.issue(f"broker-{self.port}", "/CN=broker", names)

    @property
    def url(self) -> str:
        return super().url.replace("amqp:", "amqps:", 1)

    def _listener(self) -> str:
        return (
            f"listeners.tcp = none\nlisteners.ssl.1 = {HOST}:{self.port}\n"
            f"ssl_options.cacertfile = {self._ca}\nssl_options.certfile = {self._certificate}\n"
            f"ssl_options.keyfile = {self._key}\nssl_options.verify = verify_none\n"
        )

    def _connect(self) -> socket.socket:
        context = ssl.create_default_context(cafile=self._ca)
        context.check_hostname = False
        return context.wrap_socket(super()._connect())
