"""Calls of gRPC as no library would make them: frames of HTTP/2 by hand (RFC 9113)."""

from __future__ import annotations

import socket
import struct

from tests.nodes import HOST

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS = 4, 1
END_HEADERS = 4
INITIAL_WINDOW_SIZE = 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def field(name: bytes, value: bytes) -> bytes:
    """Without the table (RFC 7541, 6.2.2)."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def begun(path: bytes, stream: int = 1) -> bytes:
    """A call that has begun, and whose request does not come."""
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"x"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
    return frame(HEADERS, END_HEADERS, stream, b"".join(field(*one) for one in fields))


def connect(port: int, window: int = 65535) -> socket.socket:
    """``window``: bytes of an answer that are taken before more are asked for."""
    sock = socket.create_connection((HOST, port), 10)
    settings = struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
    sock.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
    return sock
