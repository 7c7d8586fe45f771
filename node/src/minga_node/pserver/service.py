"""The gRPC server of a node: its own services, standard health and reflection, metrics for each call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from minga_node import tracing
from minga_node.errors import (
    BadRequest,
    Busy,
    Conflict,
    MingaError,
    NotFound,
    PeerMisbehaved,
    StorageFull,
)
from minga_node.metrics import GOSSIP_REFUSED, GRPC_REQUESTS, GRPC_SECONDS
from minga_node.pclient.channels import MAX_MESSAGE_BYTES
from minga_node.peer_tls import PeerTls
from minga_node.pserver import members

Register = Callable[[grpc.Server], None]
"""Adds one servicer to a server, as the generated ``add_…_to_server`` do."""

_CODES: tuple[tuple[type[MingaError], grpc.StatusCode], ...] = (
    (BadRequest, grpc.StatusCode.INVALID_ARGUMENT),
    (PeerMisbehaved, grpc.StatusCode.INVALID_ARGUMENT),
    (NotFound, grpc.StatusCode.NOT_FOUND),
    (Conflict, grpc.StatusCode.FAILED_PRECONDITION),
    (Busy, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (StorageFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
)


class GrpcServer:
    """Listens on ``ip:port`` (port 0 takes a free one) and serves what is registered.

    With ``or_any`` it takes a free port where that one is taken. With ``tls`` only peers are answered.

    Raises:
        OSError: the address is taken or not ours.
    """

    def __init__(
        self,
        ip: str,
        port: int,
        services: Iterable[tuple[str, Register]],
        *,
        or_any: bool = False,
        tls: PeerTls | None = None,
        max_workers: int = 128,
    ) -> None:
        self._credentials = members.credentials(tls) if tls else None
        self._pool = ThreadPoolExecutor(max_workers, thread_name_prefix="grpc")
        self._server = grpc.server(
            self._pool,
            interceptors=[*tracing.grpc_server(), _Observer(), *([members.MembersOnly(tls)] if tls else [])],
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                # Two nodes on one port would each get half of the calls.
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
                ("grpc.keepalive_permit_without_calls", 1),
                *(members.options() if tls else ()),
            ],
        )
        self._health = health.HealthServicer(experimental_non_blocking=True)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names = ["", *(name for name, _ in services)]
        for _, register in services:
            register(self._server)
        reflection.enable_server_reflection(
            [*self._names[1:], health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        try:
            self.port = self._listen(ip, port)
        except OSError:
            if not or_any:
                raise
            self.port = self._listen(ip, 0)

    def start(self) -> None:
        self._server.start()
        self._say(health_pb2.HealthCheckResponse.SERVING)

    def _listen(self, ip: str, port: int) -> int:
        address = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
        try:
            if self._credentials is None:
                found = self._server.add_insecure_port(address)
            else:
                found = self._server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}") from error
        if found == 0:
            raise OSError(f"cannot listen on {address}")
        return found

    def stop(self, grace: float) -> None:
        """Refuses new calls at once and gives running ones ``grace`` seconds."""
        self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._server.stop(grace).wait(grace + 1)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _say(self, status: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> None:
        for name in self._names:
            self._health.set(name, status)


class _Observer(grpc.ServerInterceptor):
    """Counts and times every call, and turns our errors into gRPC statuses."""

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = continuation(details)
        if handler is None:
            return None
        method = details.method
        deserialize = handler.request_deserializer
        if not handler.request_streaming:
            deserialize = _guarded(deserialize)
        if handler.response_streaming:
            make, inner = (
                (grpc.stream_stream_rpc_method_handler, handler.stream_stream)
                if handler.request_streaming
                else (grpc.unary_stream_rpc_method_handler, handler.unary_stream)
            )
            return make(_streaming(method, inner), deserialize, handler.response_serializer)
        make, inner = (
            (grpc.stream_unary_rpc_method_handler, handler.stream_unary)
            if handler.request_streaming
            else (grpc.unary_unary_rpc_method_handler, handler.unary_unary)
        )
        return make(_single(method, inner), deserialize, handler.response_serializer)


_GARBAGE = object()


def _guarded(deserialize: Any) -> Any:
    """Bytes that are no message are an answer of INVALID_ARGUMENT and a count, not a traceback in the log."""

    def guarded(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            GOSSIP_REFUSED.labels("garbage").inc()
            return _GARBAGE

    return guarded


def _single(method: str, inner: Any) -> Any:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        started = time.monotonic()
        try:
            if request is _GARBAGE:
                raise BadRequest("these bytes are no message of this service")
            return inner(request, context)
        except MingaError as error:
            context.abort(_code(error), str(error))
        finally:
            _observe(method, context, started)

    return call


def _streaming(method: str, inner: Any) -> Any:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        started = time.monotonic()
        try:
            if request is _GARBAGE:
                raise BadRequest("these bytes are no message of this service")
            yield from inner(request, context)
        except MingaError as error:
            context.abort(_code(error), str(error))
        finally:
            _observe(method, context, started)

    return call


def _code(error: MingaError) -> grpc.StatusCode:
    return next((code for kind, code in _CODES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def _observe(method: str, context: Any, started: float) -> None:
    # Only registered methods get here, so the label is bounded.
    code = context.code() or grpc.StatusCode.OK
    GRPC_REQUESTS.labels(method, code.name if isinstance(code, grpc.StatusCode) else str(code)).inc()
    GRPC_SECONDS.labels(method).observe(time.monotonic() - started)
