"""gRPC's asyncio server, made to survive a request for a method whose name is no UTF-8.

grpc.aio decodes the path of a call that it knows no handler for, and ends the whole server where it cannot
(seen with grpcio 1.85). There is no public way around it, so the one place where calls of unknown methods are
taken in is replaced here; ``tests/hostile/test_grpc_port.py`` fails where that does not work any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]

Options = Sequence[tuple[str, int]]


class Core(cygrpc.AioServer):  # type: ignore[misc]
    """A server whose calls are handled by coroutines. To be made and used on its loop alone."""

    def __init__(self, handlers: dict[str, Any], options: Options) -> None:
        super().__init__(asyncio.get_running_loop(), None, (), (), tuple(options), None)
        self.add_registered_method_handlers(handlers)
        self._refusing: set[asyncio.Task[None]] = set()

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[Any]:
        """The next call of a method; None stands for all that there are not."""
        if method is not None:
            return super()._make_request_call_future(method)  # type: ignore[no-any-return]
        return asyncio.get_running_loop().create_task(self._refuse_unknown())

    async def _refuse_unknown(self) -> None:
        while True:
            call = await super()._make_request_call_future(None)
            task = asyncio.get_running_loop().create_task(_refuse(call))
            self._refusing.add(task)
            task.add_done_callback(self._refusing.discard)


async def _refuse(call: Any) -> None:
    context = cygrpc._ServicerContext(call, None, None, asyncio.get_running_loop())
    with suppress(Exception):  # grpc's way to end a call
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "there is no such method")
