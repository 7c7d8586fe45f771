"""gRPC service ``minga.v1.Content``: manifests, and the availability of pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

import grpc

from minga_node.downloads.exchange import REPEAT, Put, Subscription
from minga_node.downloads.model import Availability
from minga_node.errors import BadRequest, NotFound
from minga_node.manifest import Manifest
from minga_node.model import NODE_NAME
from minga_node.pserver.context import Context
from minga_node.wire import piece_set as sets
from minga_protos.v1 import content_pb2, content_pb2_grpc

NAME = "minga.v1.Content"
PART_BYTES = 256 * 1024


class Subscribe(Protocol):
    def __call__(self, content_id: str, peer: str, put: Put) -> Subscription: ...


class ContentService(content_pb2_grpc.ContentServicer):
    """Answers for the manifests and the swarms of this node."""

    def __init__(
        self,
        manifest: Callable[[str], Manifest | None],
        subscribe: Subscribe,
        keeps: Callable[[str], bool] = lambda _content_id: False,
    ) -> None:
        self._manifest, self._subscribe, self._keeps = manifest, subscribe, keeps

    def register(self, server: grpc.Server) -> None:
        content_pb2_grpc.add_ContentServicer_to_server(self, server)

    def GetManifest(  # noqa: N802
        self, request: content_pb2.GetManifestRequest, _context: grpc.ServicerContext
    ) -> Iterator[content_pb2.GetManifestResponse]:
        manifest = self._manifest(content_id(request.content_id))
        if manifest is None:
            raise NotFound("this manifest is not known here")
        encoded = manifest.encode()
        for start in range(0, len(encoded), PART_BYTES):
            yield content_pb2.GetManifestResponse(part=encoded[start : start + PART_BYTES])

    async def Follow(  # type: ignore[override]  # noqa: N802
        self, request: content_pb2.FollowRequest, context: Context
    ) -> AsyncIterator[content_pb2.FollowResponse]:
        """On the server's loop, as it lasts for as long as a download does."""
        if not NODE_NAME.fullmatch(request.follower):
            raise BadRequest("who follows?")
        identity, loop = content_id(request.content_id), asyncio.get_running_loop()
        news: asyncio.Queue[Availability | None] = asyncio.Queue()

        def put(message: Availability | None) -> None:
            loop.call_soon_threadsafe(news.put_nowait, message)

        subscribed = await context.blocking(
            lambda: self._subscribe(identity, request.follower, put), Subscription.close
        )
        try:
            yield _message(subscribed.first)
            repeat = loop.time() + REPEAT
            while subscribed.goes_on:
                try:
                    message = await asyncio.wait_for(news.get(), max(0.0, repeat - loop.time()))
                except TimeoutError:
                    message = await context.blocking(subscribed.again)
                    repeat = loop.time() + REPEAT
                if message is None:
                    return
                yield _message(message)
        finally:
            subscribed.close()

    def Keeps(  # noqa: N802
        self, request: content_pb2.KeepsRequest, _context: grpc.ServicerContext
    ) -> content_pb2.KeepsResponse:
        return content_pb2.KeepsResponse(keeps=self._keeps(content_id(request.content_id)))


def _message(news: Availability) -> content_pb2.FollowResponse:
    message = content_pb2.FollowResponse(complete=news.complete, others=news.others)
    if news.everything and not news.complete:
        message.bitmap = sets.to_bytes(news.pieces, news.pieces.bit_length())
    elif not news.everything:
        message.have.extend(sets.each(news.pieces))
    return message


def content_id(raw: bytes) -> str:
    """An id out of a message.

    Raises:
        BadRequest
    """
    if len(raw) != 32:
        raise BadRequest(f"a content id has 32 bytes, not {len(raw)}")
    return raw.hex()
