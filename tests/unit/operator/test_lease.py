"""A leader whose API server hangs: a real one on loopback that accepts, reads and does not answer."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubernetes import client

from minga_operator.errors import Unavailable
from minga_operator.kinds import SECRET
from minga_operator.kube import Kube
from minga_operator.leader import Election, Times
from tests.waiting import PATIENCE, wait_for

TIMES = Times(lease=9, renew=4.0, retry=0.2, answer=1.0)
"""Seconds; others wait twice as long as the leader goes on, so a busy machine breaks nothing."""


class Leases:
    """One Lease, as the API server keeps it, behind as many servers as there are candidates."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.renewed = 0.0
        """When it was written last, by the clock of this process."""

    def holder(self) -> str:
        with self.lock:
            return str(self.lease["spec"]["holderIdentity"]) if self.lease else ""

    def write(self, lease: dict[str, Any], *, new: bool) -> bool:
        with self.lock:
            known = None if self.lease is None else self.lease["metadata"]["resourceVersion"]
            if new is not (self.lease is None) or (not new and lease["metadata"]["resourceVersion"] != known):
                return False
            self.version += 1
            lease["metadata"]["resourceVersion"] = str(self.version)
            self.lease, self.renewed = lease, time.monotonic()
            return True

    @contextmanager
    def server(self) -> Iterator[tuple[Kube, Callable[[str], None]]]:
        """A server of one candidate, and what makes it hang: "silent" or "dripping"."""
        leases, mode, over = self, ["well"], threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status: int, content: Any) -> None:
                body = json.dumps(content).encode()
                self.wfile.write(
                    f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
                )

            def handle_any(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                if mode[0] == "silent":
                    over.wait()
                if mode[0] == "dripping":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Much: ")
                    # Of a head that does not end: each byte comes in time.
                    while not over.wait(0.1):
                        self.wfile.write(b"x")
                if over.is_set():
                    self.close_connection = True
                    return
                if self.command == "GET":
                    with leases.lock:
                        lease = leases.lease
                    self.answer(200 if lease else 404, lease or {"message": "not found"})
                elif body is not None and leases.write(body, new=self.command == "POST"):
                    self.answer(200, body)
                else:
                    self.answer(409, {"message": "conflict"})

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that gave up is no news."""

        with Server(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            configuration = client.Configuration()
            configuration.host = f"http://127.0.0.1:{server.server_port}"
            try:
                yield Kube(configuration), lambda how: mode.__setitem__(0, how)
            finally:
                over.set()
                server.shutdown()
                thread.join()


@pytest.mark.parametrize("how", ["silent", "dripping"])
def test_a_leader_that_gets_no_answer_ends_before_another_begins(how: str) -> None:
    leases, stop = Leases(), threading.Event()
    lost: list[float] = []
    with ExitStack() as stack:
        one, make_it = stack.enter_context(leases.server())
        two, _ = stack.enter_context(leases.server())
        first = Election(one, "shelf", "minga", "first", TIMES)
        second = Election(two, "shelf", "minga", "second", TIMES)
        assert first.wait(stop)
        first.keep(lambda: lost.append(time.monotonic()))
        wait_for(lambda: leases.version > 3, "renewals")
        assert first.leads()
        make_it(how)
        taken: list[float] = []

        def try_to_lead() -> None:
            if second.wait(stop):
                taken.append(time.monotonic())

        thread = threading.Thread(target=try_to_lead)
        thread.start()
        try:
            wait_for(lambda: lost, "the end of the first")
            assert leases.holder() == "first"
            assert not first.leads()
            wait_for(lambda: taken, "the second")
        finally:
            stop.set()
            thread.join(PATIENCE)
        assert lost[0] < taken[0]
        assert leases.holder() == "second"
        assert len(lost) == 1


def test_one_answer_that_does_not_come_costs_nobody_the_lease() -> None:
    leases, lost = Leases(), threading.Event()
    with leases.server() as (kube, make_it):
        election = Election(kube, "shelf", "minga", "first", TIMES)
        assert election.wait(threading.Event())
        election.keep(lost.set)
        wait_for(lambda: leases.version > 2, "renewals")
        make_it("silent")
        # As long as one try: the next has a connection of its own.
        assert not lost.wait(TIMES.answer)
        make_it("well")
        version = leases.version
        wait_for(lambda: leases.version > version + 2, "further renewals")
        assert not lost.is_set()
        election.release()
        assert leases.holder() == ""
        assert not lost.wait(TIMES.renew + 1)


def test_who_does_not_lead_writes_nothing() -> None:
    now = 0.0
    leases = Leases()
    with leases.server() as (own, _), leases.server() as (kube, _):
        election = Election(own, "shelf", "minga", "first", TIMES, lambda: now)
        kube.may_write = election.leads
        secret = {"metadata": {"namespace": "shelf", "name": "s"}}
        with pytest.raises(Unavailable, match="the lease is over"):
            kube.create(SECRET, secret)
        assert election.wait(threading.Event())
        now = TIMES.renew - 0.1
        assert kube.may_write()
        # A process that was stopped for a while finds its clock further on.
        now = TIMES.renew + 0.1
        with pytest.raises(Unavailable, match="the lease is over"):
            kube.delete(SECRET, secret | {"metadata": secret["metadata"] | {"uid": "u"}})


def test_another_that_leads_is_told_and_a_candidate_can_be_told_to_stop() -> None:
    leases, stop = Leases(), threading.Event()
    with leases.server() as (kube, _):
        assert Election(kube, "shelf", "minga", "first", TIMES).wait(stop)
        waiting = Election(kube, "shelf", "minga", "second", TIMES)
        assert waiting.wait(stop, stop.set) is False
        assert leases.holder() == "first"


def test_an_api_server_that_is_not_there_is_no_lease() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{closed.getsockname()[1]}"
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    assert Election(Kube(configuration), "shelf", "minga", "first", TIMES).wait(stop) is False
