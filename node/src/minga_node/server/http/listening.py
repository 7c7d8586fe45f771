"""The socket that takes connections, and who shares what one address may take."""

from __future__ import annotations

import ipaddress
import socket


def listen(ip: str, port: int) -> socket.socket:
    """A listener that does not block.

    Raises:
        OSError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    listener = socket.create_server((ip, port), family=family, backlog=1024)
    listener.setblocking(False)
    # What is accepted inherits these. Without the first, the second write of an answer waits for the
    # client's delayed acknowledgement of the one before: 40 ms. Without the others a client that lost its
    # power is never missed.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    return listener


def party(ip: str) -> str:
    """Who shares what one address may take: an IPv6 host has 2⁶⁴ of them."""
    if ":" not in ip:
        return ip
    address = ipaddress.IPv6Address(ip.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
