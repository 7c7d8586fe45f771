"""Kept channels to other nodes, and gRPC's errors turned into ours."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import grpc

from minga_node import tracing
from minga_node.errors import Busy, Conflict, MingaError, NotFound, PeerMisbehaved, PeerUnreachable
from minga_node.pclient.credentials import ChannelCredentials

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""Largest message either end accepts; every sender keeps its own, lower, bound."""

OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A peer that comes back is found at once, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # No proxy stands between peers, whatever the environment says.
    ("grpc.enable_http_proxy", 0),
]

_ERRORS: dict[grpc.StatusCode, type[MingaError]] = {
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: Conflict,
    grpc.StatusCode.FAILED_PRECONDITION: Conflict,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Busy,
    grpc.StatusCode.UNAVAILABLE: PeerUnreachable,
    # It does not take this node for a peer, which is no proof against it.
    grpc.StatusCode.UNAUTHENTICATED: PeerUnreachable,
    grpc.StatusCode.DEADLINE_EXCEEDED: PeerUnreachable,
    grpc.StatusCode.CANCELLED: PeerUnreachable,
}


@contextmanager
def grpc_errors(target: str) -> Iterator[None]:
    """Turns a failed call into PeerUnreachable, NotFound, Conflict, Busy or PeerMisbehaved."""
    try:
        yield
    except grpc.RpcError as error:
        # Every RpcError that a call raises is a grpc.Call as well, which the stubs cannot say.
        call = cast("grpc.Call", error)
        code, detail = call.code(), call.details()
        kind = _ERRORS.get(code, PeerMisbehaved)
        raise kind(f"{target}: {detail or code.name}") from error
    except ValueError as error:
        # A call on a channel that was closed meanwhile.
        raise PeerUnreachable(f"{target}: {error}") from error


class Channels:
    """One channel a target, made when first needed; the least recently used go when there are too many.

    Channels of an earlier certificate are used no more: what runs on one goes on to its end.
    """

    def __init__(self, credentials: ChannelCredentials | None = None, limit: int = 256) -> None:
        self.credentials = credentials or ChannelCredentials(None)
        self._limit, self._version = limit, 0
        self._lock = threading.Lock()
        self._channels: OrderedDict[str, grpc.Channel] = OrderedDict()

    def channel(self, target: str) -> grpc.Channel:
        """The channel to ``host:port``; it connects by itself, and again when it broke."""
        version = self.credentials.version
        with self._lock:
            if version != self._version:
                self._version = version
                # Not closed, which would cancel what runs on them: each goes with its last call.
                self._channels.clear()
            channel = self._channels.pop(target, None)
            if channel is None:
                channel = tracing.grpc_channel(self.credentials.channel(target, OPTIONS))
            self._channels[target] = channel
            dropped = self._channels.popitem(last=False)[1] if len(self._channels) > self._limit else None
        if dropped is not None:
            dropped.close()
        return channel

    def forget(self, target: str) -> None:
        """Closes the channel to a peer that is gone."""
        with self._lock:
            channel = self._channels.pop(target, None)
        if channel is not None:
            channel.close()

    def close(self) -> None:
        with self._lock:
            channels = list(self._channels.values())
            self._channels.clear()
        for channel in channels:
            channel.close()
