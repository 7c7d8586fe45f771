"""Liveness tells a dead event loop, a reconcile that does not end and a worker that is gone."""

from __future__ import annotations

import asyncio
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from kubernetes import client

from minga_operator import health, main, runtime
from minga_operator.follower import Follower
from minga_operator.health import Health
from minga_operator.kinds import POD
from minga_operator.kube import Kube
from minga_operator.leader import Election
from minga_operator.planning import Settings
from minga_operator.runtime import Runtime
from minga_operator.serving import Serving
from tests.waiting import wait_for


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode().strip()


@pytest.fixture
def port() -> int:
    """A free one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop at work in a thread of its own."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join(10)
    made.close()


def test_a_loop_that_hangs_is_told_while_it_hangs(
    port: int, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_BEAT_SECONDS", 0.05)
    monkeypatch.setattr(health, "_DEAD_SECONDS", 3.0)
    found = Health(lambda: "")
    found.serve(port)
    assert ask(port, "/healthz") == (200, "ok")
    loop.call_soon_threadsafe(found.started, loop)
    wait_for(lambda: found._beats, "a beat")
    assert ask(port, "/healthz") == (200, "ok")
    over = threading.Event()
    loop.call_soon_threadsafe(over.wait, 60)
    try:
        wait_for(lambda: ask(port, "/healthz")[0] == 503, "an ailment", 30)
        assert ask(port, "/healthz")[1].startswith("the event loop has been silent for")
    finally:
        over.set()
    wait_for(lambda: ask(port, "/healthz") == (200, "ok"), "health again", 30)
    assert ask(port, "/elsewhere")[0] == 404


def test_a_replica_is_ready_when_it_stands_by_or_is_at_work(port: int) -> None:
    found = Health(lambda: "")
    found.serve(port)
    assert ask(port, "/readyz") == (503, "starting")
    found.at((True, "standing by"))
    assert ask(port, "/readyz") == (200, "standing by")
    found.at((False, "leading, and looking at what there is"))
    assert ask(port, "/readyz") == (503, "leading, and looking at what there is")


def test_a_loop_that_has_ended_is_not_taken_for_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_DEAD_SECONDS", 0.0)
    found = Health(lambda: "")

    async def begin() -> None:
        found.started(asyncio.get_running_loop())

    asyncio.run(begin())
    assert found.ailment() == ""


@pytest.fixture
def idle() -> Runtime:
    """A runtime that has not asked its API server anything yet."""
    return Runtime(Kube(client.Configuration()), Settings(node_image="node", broker_image="broker"), "me")


def test_a_reconcile_that_does_not_end_is_told(idle: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    idle.queue.add(("shelf", "library"))
    assert idle.queue.take() == ("shelf", "library")
    assert idle.problem() == ""
    monkeypatch.setattr(runtime, "_STUCK_SECONDS", 0.0)
    assert idle.problem().startswith("a reconcile has been running for")
    idle.queue.done(("shelf", "library"))
    assert idle.problem() == ""


def test_a_worker_that_is_gone_is_told(idle: Runtime) -> None:
    over = threading.Event()
    idle._spawn(over.wait, "worker-0")
    assert idle.problem() == ""
    over.set()
    wait_for(lambda: idle.problem() == "ended: worker-0", "the worker's name", 10)
    idle.stop()
    assert idle.problem() == ""


def ends(*_: object) -> None:
    """In place of what a thread should do for ever."""


def test_a_watch_that_is_gone_is_told(idle: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Follower, "_run", ends)
    monkeypatch.setattr(runtime, "WATCHED", [POD])
    idle._discover()
    wait_for(lambda: idle.problem() == "ended: watch-pods", "its name", 10)


def test_liveness_asks_who_serves_and_who_keeps_the_lease(
    idle: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, stop = Health(), threading.Event()
    monkeypatch.setattr(Serving, "_serve", ends)
    monkeypatch.setattr(Election, "_renew", ends)
    monkeypatch.setattr(Election, "_expire", ends)
    monkeypatch.setattr(main, "_await_definition", ends)
    monkeypatch.setattr(idle, "start", ends)
    served = Serving(idle, found, (None,), "me")
    kube = Kube(client.Configuration())
    main._keep(Election(kube, "shelf", "minga", "me"), kube, found)
    wait_for(lambda: found.ailment() == "ended: lease, lease-timer", "who keeps the lease", 10)
    thread = threading.Thread(target=main._lead, args=(kube, idle, found, served, stop))
    thread.start()
    try:
        wait_for(
            lambda: found.ailment() == "ended: lease, lease-timer; ended: networks-all", "who serves", 10
        )
    finally:
        stop.set()
        thread.join(10)
