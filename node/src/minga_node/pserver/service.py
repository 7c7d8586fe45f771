"""The gRPC server of a node: its own services, standard health, reflection where it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection

from minga_node import descriptors
from minga_node.pclient.channels import MAX_MESSAGE_BYTES
from minga_node.pclient.streams import shared_loop
from minga_node.peer_tls import PeerTls
from minga_node.pserver import members
from minga_node.pserver.answering import CallRunner
from minga_node.pserver.core import Core
from minga_node.pserver.health import HealthService

Register = Callable[[grpc.Server], None]
"""Adds one servicer to a server, as the generated ``add_…_to_server`` do."""
T = TypeVar("T")

DESCRIPTORS_FRACTION = 4
"""Connections take a quarter of the descriptors at most."""
CONNECTIONS = 4096
OLDEST, GRACE = 3_600_000, 600_000
"""Milliseconds for which calls begin on a connection, and then go on; where peers speak TLS it is less."""
CONCURRENT = 128
"""Calls at once on one connection."""
START_SECONDS = 10.0


def _options(tls: PeerTls | None) -> list[tuple[str, int]]:
    most = max(16, min(CONNECTIONS, descriptors.limit() // DESCRIPTORS_FRACTION))
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.absolute_max_metadata_size", 16 * 1024),
        ("grpc.max_concurrent_streams", CONCURRENT),
        ("grpc.max_allowed_incoming_connections", most),
        # Two nodes on one port would each get half of the calls.
        ("grpc.so_reuseport", 0),
        # Who has gone without a word, who says nothing at all, and who has nothing to ask.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.max_connection_idle_ms", 300_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        *(
            members.options()
            if tls
            else [("grpc.max_connection_age_ms", OLDEST), ("grpc.max_connection_age_grace_ms", GRACE)]
        ),
    ]


class GrpcServer:
    """Listens on ``ip:port`` (port 0 takes a free one) and serves what is registered.

    With ``or_any`` it takes a free port where that one is taken. With ``tls`` only peers are answered.
    ``network`` is looked at in requests that name one. ``reflects``: it tells everybody what its services
    are.

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
        network: str | None = None,
        reflects: bool = False,
        max_workers: int = 32,
    ) -> None:
        self._loop = shared_loop()
        self._pool = ThreadPoolExecutor(max_workers, thread_name_prefix="grpc")
        self._tls, self._network, self._reflects = tls, network, reflects
        self._credentials = members.credentials(tls) if tls else None
        self._started = self._stopping = False
        self._run(self._build(list(services)))
        try:
            self.port = self._listen(ip, port)
        except OSError:
            if not or_any:
                raise
            self.port = self._listen(ip, 0)

    def _run(self, work: Coroutine[Any, Any, T], timeout: float = START_SECONDS) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    async def _build(self, services: list[tuple[str, Register]]) -> None:
        names = [name for name, _ in services]
        self._health = HealthService(names)
        found = _Collected()
        for register in (self._health.register, *(register for _, register in services)):
            register(cast(grpc.Server, found))
        if self._reflects:
            reflection.enable_server_reflection(
                [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], cast(grpc.Server, found)
            )
        answering = CallRunner(self._pool, self._network, members.Members(self._tls) if self._tls else None)
        handlers = {method: answering.handler(method, one) for method, one in found.handlers.items()}
        self._core = Core(handlers, _options(self._tls))

    def start(self) -> None:
        async def start() -> None:
            await self._core.start()
            self._health.say(health_pb2.HealthCheckResponse.SERVING)

        self._started = True
        self._run(start())

    def _listen(self, ip: str, port: int) -> int:
        address = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"

        async def listen() -> int:
            if self._credentials is None:
                return int(self._core.add_insecure_port(address.encode()))
            return int(self._core.add_secure_port(address.encode(), self._credentials))

        try:
            found = self._run(listen())
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}") from error
        if found == 0:
            raise OSError(f"cannot listen on {address}")
        return found

    def problem(self) -> str | None:
        """Why no node can call this one, in words; None while they can."""
        if not self._started or self._stopping or self._core.is_running():
            return None
        return "the gRPC server has ended"

    def stop(self, grace: float) -> None:
        """Refuses new calls at once and gives running ones ``grace`` seconds."""

        async def stop() -> None:
            self._health.say(health_pb2.HealthCheckResponse.NOT_SERVING)
            await self._core.shutdown(grace)

        self._stopping = True
        try:
            self._run(stop(), grace + 3)
        except TimeoutError:
            pass
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Collected:
    """Takes the place of a server while services register: their handlers, by method."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """The same handlers, by a name that has to be asked for."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        self.handlers.update({f"/{service}/{method}": handler for method, handler in handlers.items()})
