"""The host by which others reach this node: as connections to them show it, and looked at again and again.

A node that starts before its network is up, or whose address changes, must not go on telling an address that
is wrong. So nothing is resolved, and nothing is decided for good: the address is the one that this machine's
routes give to connections with those that it has met.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Sequence

log = logging.getLogger(__name__)

NOWHERE = "192.0.2.1"
"""An address that nobody has (RFC 5737): the way to it is the default route."""
LOOPBACK = "127.0.0.1"
MOST_WAYS = 8
"""Others whose ways are looked at."""


def source_towards(target: str) -> str | None:
    """The address that this machine would use towards another one; nothing is sent."""
    try:
        address = ipaddress.ip_address(target.partition("%")[0])
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            return str(probe.getsockname()[0])
    except (OSError, ValueError):
        return None


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def choose(current: str, found: Sequence[str]) -> str:
    """The address to tell, where connections go out from ``found``: the one of now if it is among them."""
    outside = [host for host in found if not is_loopback(host)]
    if current in outside or not found:
        return current
    return outside[0] if outside else found[0]


class OwnAddress:
    """The host that this node tells others to reach it at. Any thread may ask.

    Args:
        fixed: the configured host; None where the node finds it by itself.
    """

    def __init__(
        self, fixed: str | None = None, source: Callable[[str], str | None] = source_towards
    ) -> None:
        self._fixed, self._source = fixed, source
        self._lock = threading.Lock()
        self._seeds: list[str] = []
        self._elsewhere = False
        self.host: str = fixed or source(NOWHERE) or LOOPBACK

    def met(self, remote: str) -> None:
        """A connection to this address of a seed was made."""
        with self._lock:
            if remote not in self._seeds:
                self._seeds = [remote, *self._seeds[: MOST_WAYS - 1]]

    def renew(self, hosts: Iterable[str]) -> bool:
        """Looks again, with the hosts of the nodes that live now; whether another address is told now."""
        with self._lock:
            return self._renew(hosts)

    def _renew(self, hosts: Iterable[str]) -> bool:
        others = [*self._seeds, *hosts]
        self._elsewhere = any(not is_loopback(host) for host in others)
        if self._fixed is not None:
            return False
        found = [host for target in others[: 2 * MOST_WAYS] if (host := self._source(target)) is not None]
        if not found and is_loopback(self.host) and (default := self._source(NOWHERE)):
            found = [default]
        before, self.host = self.host, choose(self.host, found)
        if self.host != before:
            log.warning("others are told to reach this node at %s from now on, not at %s", self.host, before)
        return self.host != before

    @property
    def problem(self) -> str | None:
        """Why others cannot reach this node."""
        if not self._elsewhere or not is_loopback(self.host):
            return None
        return (
            f"others are told to reach this node at {self.host}, which only this machine can: "
            "set advertise, and ip if it is a loopback address"
        )
