"""Many long streams of messages on one thread.

gRPC's blocking streams take a thread each, which wakes ten times a second to look around; with a few dozen
swarm neighbours that costs more than the messages themselves. So these streams run on one asyncio loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from minga_node.pclient.channels import OPTIONS
from minga_protos.v1 import content_pb2, content_pb2_grpc

log = logging.getLogger(__name__)


class Stream:
    """One running stream; close it from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.task: asyncio.Task[None] | None = None
        self._closed = False

    def attach(self, task: asyncio.Task[None]) -> None:
        self.task = task
        if self._closed:
            task.cancel()

    def close(self) -> None:
        self._closed = True
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()


class Streams:
    """Starts streams; the thread and its loop begin with the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._channels: dict[str, tuple[grpc.aio.Channel, int]] = {}
        self._closed = False

    def start(
        self,
        target: str,
        request: content_pb2.FollowRequest,
        hear: Callable[[content_pb2.FollowResponse], None],
        end: Callable[[], None],
    ) -> Stream:
        """Follows; ``hear`` and ``end`` are called on the loop's thread and must not block for long."""
        loop = self._running_loop()
        stream = Stream(loop)
        loop.call_soon_threadsafe(
            lambda: stream.attach(loop.create_task(self._follow(target, request, hear, end)))
        )
        return stream

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="streams", daemon=True)
                self._thread.start()
            return self._loop

    async def _follow(
        self,
        target: str,
        request: content_pb2.FollowRequest,
        hear: Callable[[content_pb2.FollowResponse], None],
        end: Callable[[], None],
    ) -> None:
        channel, users = self._channels.get(target) or (_channel(target), 0)
        self._channels[target] = channel, users + 1
        try:
            # The stubs know only blocking channels.
            stub: Any = content_pb2_grpc.ContentStub(channel)
            async for message in stub.Follow(request):
                hear(message)
        except grpc.RpcError as error:
            log.debug("the stream from %s ended: %s", target, error)
        except asyncio.CancelledError:
            pass
        except Exception:
            log.exception("the stream from %s failed", target)
        finally:
            users = self._channels[target][1] - 1
            if users:
                self._channels[target] = channel, users
            else:
                del self._channels[target]
                await channel.close()
            end()

    def close(self) -> None:
        """Ends all streams and the thread."""
        with self._lock:
            loop, thread = self._loop, self._thread
        if loop is None or thread is None or loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def _channel(target: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(target, options=OPTIONS)


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
