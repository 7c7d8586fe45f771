"""A leader whose API server hangs: a real one on loopback that accepts, reads and does not answer."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack

import pytest
from kubernetes import client

from minga_operator.errors import Unavailable
from minga_operator.kinds import SECRET
from minga_operator.kube import Kube
from minga_operator.leader import Election, Times
from tests.unit.operator.lease_server import Leases
from tests.waiting import PATIENCE, wait_for

TIMES = Times(lease=9, renew=4.0, retry=0.2, answer=1.0)
"""Seconds; others wait twice as long as the leader goes on, so a busy machine breaks nothing."""


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
