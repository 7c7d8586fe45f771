"""Many long streams of messages on one thread.

gRPC's blocking streams take a thread each, which wakes ten times a second to look around; with a few dozen
swarm neighbours that costs more than the messages themselves. So these streams run on one asyncio loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from minga_node.pclient.channels import OPTIONS
from minga_node.pclient.credentials import ChannelCredentials
from minga_protos.v1 import content_pb2, content_pb2_grpc

log = logging.getLogger(__name__)


_starting = threading.Lock()
_shared: list[asyncio.AbstractEventLoop] = []


def shared_loop() -> asyncio.AbstractEventLoop:
    """The loop of all streams of the process; it begins with the first and never ends.

    gRPC's asyncio binds what it reads with to a loop and does not take the loop's end well.
    """
    with _starting:
        if not _shared:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="streams", daemon=True).start()
            _shared.append(loop)
        return _shared[0]


class CallStream:
    """One running stream; close it from any thread."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def attach(self, task: asyncio.Task[None]) -> None:
        """On the loop: what runs it."""
        self._task = task
        if self._closed:
            task.cancel()

    def close(self) -> None:
        self._closed = True
        shared_loop().call_soon_threadsafe(self.cancel)

    def cancel(self) -> None:
        """On the loop."""
        if self._task is not None:
            self._task.cancel()


class CallStreams:
    """Starts streams, and ends those it started."""

    def __init__(self, credentials: ChannelCredentials) -> None:
        self._credentials = credentials
        self._channels: dict[tuple[str, int], tuple[grpc.aio.Channel, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self,
        target: str,
        request: content_pb2.FollowRequest,
        hear: Callable[[content_pb2.FollowResponse], None],
        end: Callable[[], None],
    ) -> CallStream:
        """Follows; ``hear`` and ``end`` are called on the loop's thread and must not block for long."""
        loop = shared_loop()
        stream = CallStream()

        def begin() -> None:
            task = loop.create_task(self._follow(target, request, hear, end))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            stream.attach(task)

        loop.call_soon_threadsafe(begin)
        return stream

    async def _follow(
        self,
        target: str,
        request: content_pb2.FollowRequest,
        hear: Callable[[content_pb2.FollowResponse], None],
        end: Callable[[], None],
    ) -> None:
        # A renewed certificate does not end the streams of the one before, and they do not keep it in use.
        key = target, self._credentials.version
        channel, users = self._channels.get(key) or (self._credentials.aio_channel(target, OPTIONS), 0)
        self._channels[key] = channel, users + 1
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
            users = self._channels[key][1] - 1
            if users:
                self._channels[key] = channel, users
            else:
                del self._channels[key]
                await channel.close()
            end()

    def close(self) -> None:
        """Ends all that it started, within a few seconds."""
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._cancel(), shared_loop()).result(5)

    async def _cancel(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
