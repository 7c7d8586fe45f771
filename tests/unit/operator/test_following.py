"""An API server that ends each watch at once: it is asked again, less and less often."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

import pytest
from kubernetes import client

from minga_operator.cache import Cache
from minga_operator.follower import Follower
from minga_operator.kinds import POD
from minga_operator.kube import Kube
from tests.support.quiet_handler import QuietHandler
from tests.waiting import wait_for

LIST = json.dumps({"items": [], "metadata": {"resourceVersion": "7"}}).encode()


TOO_OLD = json.dumps({"type": "ERROR", "object": {"code": 410, "message": "too old"}}).encode() + b"\n"


@contextmanager
def api_server(watch: bytes) -> Iterator[tuple[Kube, list[float]]]:
    """Answers every list alike and every watch with ``watch``; tells when it was asked for a list."""
    lists: list[float] = []

    class Handler(QuietHandler):
        def body(self) -> bytes:
            if "watch=true" not in self.path:
                lists.append(time.monotonic())
            return watch if "watch=true" in self.path else LIST

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{server.server_port}"
        try:
            yield Kube(configuration), lists
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("watch", [TOO_OLD, b""], ids=["an error", "nothing"])
def test_a_watch_that_ends_at_once_is_not_begun_again_at_once(watch: bytes) -> None:
    with api_server(watch) as (kube, lists):
        follower = Follower(kube, Cache(lambda _: None), POD, None)
        follower.start()
        try:
            wait_for(lambda: len(lists) >= 3, "three lists", 20)
        finally:
            follower.stop()
    first, second, third = lists[:3]
    assert second - first > 0.9
    assert third - second > 1.8
