"""How calls are answered: on one loop, so that nobody who sends, waits or reads slowly holds a thread.

A request is read with a deadline, looked at before it is parsed, and only then handed to a thread. Messages
of a stream are made one at a time, and the next one once the caller has taken the last.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from minga_node import tracing
from minga_node.errors import BadRequest, Busy, Conflict, MingaError, NotFound, PeerMisbehaved, StorageFull
from minga_node.metrics import GOSSIP_REFUSED, GRPC_REQUESTS, GRPC_SECONDS
from minga_node.pserver import networks
from minga_node.pserver.calls import Calls, caller
from minga_node.pserver.context import Context
from minga_node.pserver.members import Members

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5.0
"""Time in which the whole request must have come."""
ANSWER_SECONDS = 180.0
"""Time in which a caller must take a message of its answer. No thread is held meanwhile, and a slow link is
served as long as nobody else wants its place."""
CALLS, CALLS_OF_ONE = 1024, 256
STREAMS, STREAMS_OF_ONE = 512, 128
"""Answers that last until somebody ends them, at a time."""
SMALL_BYTES = 64 * 1024
"""Bytes of a request up to which many are looked at together; of bigger ones it is one after the other."""
MOST_REASON_CHARACTERS = 500

_CODES: tuple[tuple[type[MingaError], grpc.StatusCode], ...] = (
    (BadRequest, grpc.StatusCode.INVALID_ARGUMENT),
    (PeerMisbehaved, grpc.StatusCode.INVALID_ARGUMENT),
    (NotFound, grpc.StatusCode.NOT_FOUND),
    (Conflict, grpc.StatusCode.FAILED_PRECONDITION),
    (Busy, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (StorageFull, grpc.StatusCode.RESOURCE_EXHAUSTED),
)
_END = object()


class _Refused(Exception):
    """The call ends with this status."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class CallRunner:
    """Runs the calls of one server, on its loop.

    Args:
        pool: threads for what may block.
        network: whose members are answered where a request names a network; None: it is not looked at.
        members: who may call at all.
    """

    def __init__(self, pool: ThreadPoolExecutor, network: str | None, members: Members | None) -> None:
        self._pool, self._network, self._members = pool, network, members
        self._calls, self._streams = Calls(CALLS, CALLS_OF_ONE), Calls(STREAMS, STREAMS_OF_ONE)
        self._big = asyncio.Lock()

    def handler(self, method: str, handler: Any) -> Any:
        """What answers the calls of a method in place of a service's own handler.

        For gRPC requests are a stream, of raw messages: so it is here that they are waited for.
        """

        async def answer(_requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
            started = time.monotonic()
            code = grpc.StatusCode.CANCELLED
            try:
                await self._answer(method, handler, context)
                code = grpc.StatusCode.OK
            except _Refused as error:
                code = error.code
                await context.abort(code, str(error)[:MOST_REASON_CHARACTERS])
            finally:
                # Only registered methods get here, so the label is bounded.
                GRPC_REQUESTS.labels(method, code.name).inc()
                GRPC_SECONDS.labels(method).observe(time.monotonic() - started)

        return grpc.stream_stream_rpc_method_handler(answer, None, None)

    async def _answer(
        self, method: str, handler: Any, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        who = caller(context.peer())
        lasts = handler.request_streaming or inspect.isasyncgenfunction(handler.unary_stream)
        calls = self._streams if lasts else self._calls
        span = tracing.NOTHING
        ended: list[_Refused] = []

        def end(error: _Refused) -> None:
            ended.append(error)
            task.cancel()

        try:
            with calls.place(who, lambda: end(_Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "makes room"))):
                if self._members is not None:
                    self._admit(self._members, context)
                if handler.request_streaming:
                    await self._converse(handler, context)
                    return
                raw = await self._read(context)
                span = _span(method, context)
                around = Context(
                    lambda: end(_Refused(grpc.StatusCode.CANCELLED, "ended here")), self._pool, who
                )
                if len(raw) <= SMALL_BYTES:
                    await self._handle(handler, raw, context, around)
                else:
                    async with self._big:
                        await self._handle(handler, raw, context, around)
        except MingaError as error:
            span.fail(str(error))
            code = next((code for kind, code in _CODES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)
            raise _Refused(code, str(error)) from error
        except asyncio.CancelledError:
            if ended:
                # By this node: the other side has to be told.
                raise ended[0] from None
            raise
        except (_Refused, grpc.aio.AbortError, grpc.aio.BaseError):
            raise
        except Exception as error:
            log.exception("%s failed", method)
            span.fail(str(error))
            raise _Refused(grpc.StatusCode.UNKNOWN, "this call failed here") from error
        finally:
            span.end()

    def _admit(self, members: Members, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        refusal = members.refuse(context.auth_context(), context.peer())
        if refusal is not None:
            raise _Refused(grpc.StatusCode.UNAUTHENTICATED, refusal)

    async def _read(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            raw = await asyncio.wait_for(context.read(), REQUEST_SECONDS)
        except TimeoutError:
            raise _Refused(
                grpc.StatusCode.DEADLINE_EXCEEDED, f"no request within {REQUEST_SECONDS:g} s"
            ) from None
        if not isinstance(raw, bytes):
            raise _Refused(grpc.StatusCode.UNIMPLEMENTED, "a request is exactly one message")
        return raw

    async def _handle(
        self,
        handler: Any,
        raw: bytes,
        context: grpc.aio.ServicerContext[bytes, bytes],
        around: Context,
    ) -> None:
        networks.check(raw, handler.request_deserializer, self._network)
        encode: Callable[[Any], bytes] = handler.response_serializer
        if not handler.response_streaming:
            parse, inner = handler.request_deserializer, handler.unary_unary
            answer = await around.blocking(lambda: encode(inner(_parsed(parse, raw), around)))
            await self._write(context, answer)
            return
        request = await around.blocking(lambda: _parsed(handler.request_deserializer, raw))
        made = handler.unary_stream(request, around)
        messages: AsyncGenerator[Any, None]
        messages = made if inspect.isasyncgen(made) else _stepped(made, around)  # type: ignore[assignment]
        try:
            async for message in messages:
                await self._write(context, encode(message))
        finally:
            await messages.aclose()

    async def _converse(self, handler: Any, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """Answers each of a stream of small requests, none of which may be long in coming."""
        while True:
            try:
                request = _parsed(handler.request_deserializer, await self._read(context))
            except _Refused as error:
                if error.code is grpc.StatusCode.UNIMPLEMENTED:
                    return
                raise
            for answer in handler.stream_stream(iter([request]), None):
                await self._write(context, handler.response_serializer(answer))

    async def _write(self, context: grpc.aio.ServicerContext[bytes, bytes], message: bytes) -> None:
        try:
            await asyncio.wait_for(context.write(message), ANSWER_SECONDS)
        except TimeoutError:
            raise _Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "the answer is not read") from None


def _parsed(parse: Callable[[bytes], Any], raw: bytes) -> Any:
    try:
        return parse(raw)
    except DecodeError:
        GOSSIP_REFUSED.labels("garbage").inc()
        raise BadRequest("these bytes are no message of this service") from None


async def _stepped(messages: Iterator[Any], around: Context) -> AsyncGenerator[Any, None]:
    """A blocking generator's messages, each made by a thread that does nothing else for it."""

    def close() -> None:
        messages.close()  # type: ignore[attr-defined]

    try:
        while (message := await around.blocking(lambda: next(messages, _END), lambda _: close())) is not _END:
            yield message
    except GeneratorExit:
        close()
        raise


def _span(method: str, context: grpc.aio.ServicerContext[bytes, bytes]) -> tracing.Span:
    """The span of a call that belongs to a trace. Gossip, every second with everybody, belongs to none."""
    if not tracing.on():
        return tracing.NOTHING
    parent = dict(context.invocation_metadata() or ()).get(tracing.TRACEPARENT)
    if not isinstance(parent, str):
        return tracing.NOTHING
    service, _, name = method.strip("/").partition("/")
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
    return tracing.span(method.strip("/"), "server", attributes, parent=parent)
