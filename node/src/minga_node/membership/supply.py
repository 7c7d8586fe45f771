"""What others lack, taken from the logs: as much as fits into a message, or all of it in a stream."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence

from minga_node.index import Delta
from minga_node.index.log import Logs, wire_bytes
from minga_node.membership.catch_up_slots import CatchUpSlots
from minga_node.membership.scuttlebutt import Need

MISFITS = 3
"""Logs that are read and do not fit into an empty message, before the rest is left to a stream."""


class Supply:
    """Logs are given in random order, so that none is always the last."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._random = random.Random()
        self._streams = CatchUpSlots()

    def some(self, needs: Sequence[Need], budget: int) -> tuple[tuple[Delta, ...], bool]:
        """About ``budget`` bytes of it, and whether there is more.

        Of a log that is signed all that is lacking or nothing: a part alone cannot be checked.
        """
        found: list[Delta] = []
        too_long = 0
        for lacking in self._shuffled(needs):
            if budget <= 0 or too_long == MISFITS:
                return tuple(found), True
            delta = self._logs.delta(lacking.id, lacking.from_version, budget, reset=lacking.reset)
            if delta is None:
                continue
            if not delta.signature and self._logs.signs(lacking.id):
                too_long += 1
                if found:
                    # The room that is left is not worth reading more logs in vain.
                    return tuple(found), True
                continue
            found.append(delta)
            budget -= wire_bytes(delta)
            state = self._logs.state(lacking.id)
            if state is not None and delta.to_version < state.version:
                return tuple(found), True
        return tuple(found), too_long > 0

    def all(
        self, needs: Sequence[Need], part_bytes: int, reader: str, cancel: Callable[[], object]
    ) -> Generator[Delta, None, None]:
        """All of it, in parts; see :meth:`.Streams.place`.

        Raises:
            Busy: enough others are being served.
        """
        with self._streams.place(reader, cancel) as pace:
            for lacking in self._shuffled(needs):
                known, reset = lacking.from_version, lacking.reset
                while (delta := self._logs.delta(lacking.id, known, part_bytes, reset=reset)) is not None:
                    pace.wait()
                    yield delta
                    pace.went_on(wire_bytes(delta))
                    if delta.signature:
                        break
                    known, reset = delta.to_version, False

    def _shuffled(self, needs: Sequence[Need]) -> list[Need]:
        return self._random.sample(needs, len(needs))
