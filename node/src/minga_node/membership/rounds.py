"""What a node does each second: it says that it lives, meets a few others, and looks who is silent."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from minga_node.errors import MingaError
from minga_node.membership.answering import Reachability
from minga_node.membership.gossip import Gossip
from minga_node.membership.joining import Joining
from minga_node.membership.known_members import GONE
from minga_node.membership.member_records import MemberRecords
from minga_node.membership.probing import Probing
from minga_node.membership.round_partners import RoundPartners
from minga_node.membership.states import States
from minga_node.membership.upkeep import MembershipUpkeep
from minga_node.membership.view import View
from minga_node.workers import Worker

log = logging.getLogger(__name__)

SAVE_SECONDS = 30.0
"""Time between two times that the members' records are saved."""


class Rounds:
    """Begins a round each second, by the worker ``membership``. A pool does what may wait for other nodes.

    Args:
        seconds: time between two rounds.
    """

    def __init__(
        self,
        gossip: Gossip,
        view: View,
        records: MemberRecords,
        joining: Joining,
        partners: RoundPartners,
        answering: Reachability,
        probing: Probing,
        upkeep: MembershipUpkeep,
        noticed: States,
        pool: ThreadPoolExecutor,
        seconds: float,
    ) -> None:
        self._gossip, self._view, self._records, self._joining = gossip, view, records, joining
        self._partners, self._answering, self._probing = partners, answering, probing
        self._upkeep, self._noticed, self._pool, self._seconds = upkeep, noticed, pool, seconds
        # Others take one that is silent for dead: trouble with its disk must not keep it from its rounds.
        self.worker = Worker("membership", self._step, longest_pause=seconds)
        self._number, self._next_save = 0, time.monotonic() + SAVE_SECONDS

    def _step(self) -> float:
        now = time.monotonic()
        if self._gossip.twins.due:
            self._submit(self._gossip.twins.settle)
        if not self._gossip.twins.aside:
            self._joining.try_again(now, self.worker.stopping.is_set)
            self._round(self._number)
        self._number += 1
        if now >= self._next_save:
            self._next_save = now + SAVE_SECONDS
            self.save()
        pause = self._seconds * random.uniform(0.9, 1.1)
        return pause if self._joining.joined else min(pause, self._joining.wait)

    def _round(self, number: int) -> None:
        with self._gossip.lock:
            self._view.beat(time.time_ns() // 1_000_000)
        if number % 5 == 0:
            self._upkeep.look_around(joined=self._joining.joined)
        self._partners.begin(number)
        self.settle_names()
        for id_ in self._answering.to_ask_about(time.monotonic()):
            if self._view.state(id_, time.monotonic()) in GONE:
                self._answering.answered(id_)
                continue
            self._submit(self._probing.ask_others, id_)
        if number % 10 == 0:
            self._gossip.compact()
            self._upkeep.forget_old()
        self.notice_states()

    def _submit(self, task: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):
            self._pool.submit(task, *arguments)

    def settle_names(self) -> None:
        if self._gossip.name_conflicts.contested:
            self._submit(self._gossip.name_conflicts.settle)

    def notice_states(self) -> None:
        now = time.monotonic()
        with self._gossip.lock:
            states = self._view.states(now)
        self._noticed.notice(states, lambda id_: self._view.status(id_, now))

    def save(self) -> None:
        with self._gossip.lock:
            known = list(self._view.known.values())
        try:
            self._records.save(known, time.monotonic())
        except MingaError as error:
            log.warning("members are not saved: %s", error)
