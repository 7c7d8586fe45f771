"""An API server that ends in the middle of an answer: a real server on loopback that does so."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes import client

from minga_operator.cache import Cache
from minga_operator.errors import Unavailable
from minga_operator.follower import Follower
from minga_operator.kinds import POD
from minga_operator.kube import Kube
from minga_operator.workqueue import Key
from tests.waiting import wait_for

PODS = {
    "items": [
        {"metadata": {"name": "a", "namespace": "shelf", "resourceVersion": "6",
                      "uid": "u", "labels": {"app.kubernetes.io/instance": "library"}}},
    ],
    "metadata": {"resourceVersion": "7"},
}  # fmt: skip


def answer(body: bytes, status: str = "200 OK", size: int | None = None) -> bytes:
    """An answer whose head says ``size``, which is the body's unless said otherwise."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if size is None else size}\r\n\r\n"
    return head.encode() + body


WHOLE = answer(json.dumps(PODS).encode())
CUT = WHOLE[:-20]


@contextmanager
def api_server(*answers: bytes) -> Iterator[Kube]:
    """Gives each connection the next of those answers, the last one for ever, and ends the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            number = 0
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answers[min(number, len(answers) - 1)])
                number += 1

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{listening.getsockname()[1]}"
        yield Kube(configuration)
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize(
    "broken",
    [
        CUT,
        answer(b'{"items": ['),
        answer(b'{"message": "why"}', "403 Forbidden", 100),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{}",
        b"HTTP/1.1 200 OK\r\n",
        b"",
    ],
    ids=["body", "json", "refusal", "chunk", "head", "nothing"],
)
def test_an_answer_that_breaks_off_is_to_be_asked_for_again(broken: bytes) -> None:
    with api_server(broken) as kube, pytest.raises(Unavailable):
        kube.request("GET", POD.path())


def wrong(_: Key) -> None:
    raise ValueError("a defect of ours")


@pytest.mark.parametrize("first", [CUT, WHOLE], ids=["a cut list", "a defect"])
def test_a_kind_is_followed_whatever_went_wrong_once(first: bytes) -> None:
    changed: list[Key] = []
    tell: list[Callable[[Key], Any]] = [wrong] if first == WHOLE else []

    def told(key: Key) -> None:
        if tell:
            tell.pop()(key)
        changed.append(key)

    cache = Cache(told)
    with api_server(first, WHOLE) as kube:
        follower = Follower(kube, cache, POD, None)
        follower.start()
        try:
            wait_for(follower.settled.is_set, "a list, the second time", 20)
            assert [item["metadata"]["name"] for item in cache.of(POD, ("shelf", "library"))] == ["a"]
        finally:
            follower.stop()
