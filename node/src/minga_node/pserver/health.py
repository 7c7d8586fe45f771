"""Standard health checking (grpc.health.v1), whose watchers hold no thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from minga_node.errors import NotFound
from minga_node.pserver.context import Context


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """All services have the same status. Changed and watched on the server's loop."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = {"", *services}
        self._status: int = HealthCheckResponse.NOT_SERVING
        self._changed = asyncio.Event()

    def register(self, server: grpc.Server) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self, server)

    def say(self, status: int) -> None:
        self._status = status
        self._changed.set()
        self._changed = asyncio.Event()

    def Check(self, request: HealthCheckRequest, _context: Context) -> HealthCheckResponse:  # noqa: N802
        if request.service not in self._services:
            raise NotFound("there is no such service")
        return HealthCheckResponse(status=self._status)

    async def Watch(  # noqa: N802
        self, request: HealthCheckRequest, _context: Context
    ) -> AsyncIterator[HealthCheckResponse]:
        if request.service not in self._services:
            yield HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN)
            await asyncio.Event().wait()
        while True:
            changed, status = self._changed, self._status
            yield HealthCheckResponse(status=status)
            await changed.wait()
