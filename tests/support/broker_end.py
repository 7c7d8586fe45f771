"""A node's end of the broker, and nothing else of a node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from minga_node.events import Event, Outbox, make
from minga_node.index import Index
from minga_node.mom import BrokerAddresses, Mom
from minga_node.store import Store
from tests.waiting import wait_for


class End:
    """Tells events that others handle, and hears theirs.

    Args:
        addresses: of the broker, or a URL of it.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        addresses: BrokerAddresses | str,
        handle: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        self.name = name
        self.heard: list[str] = []
        """Ids, in the order in which they had their effect."""
        self.lapses = 0
        self.store = Store(folder / f"{name}.sqlite3")
        self.index = Index(self.store, name)
        self.outbox = Outbox(self.store)
        self._handle = handle
        self.mom = Mom(
            BrokerAddresses([addresses]) if isinstance(addresses, str) else addresses,
            folder.name,
            self.index,
            self.store,
            self.outbox,
            {"peer.left": self._hear},
            work=lambda _event: None,
            on_lapse=self._lapse,
        )

    def _hear(self, event: Event) -> None:
        self._handle(event)
        self.heard.append(event.id)

    def _lapse(self) -> None:
        self.lapses += 1

    def begin(self) -> End:
        self.mom.start()
        return self

    def start(self) -> End:
        """Until it is at the broker."""
        self.begin()
        self.connected()
        return self

    def connected(self, seconds: float = 60) -> None:
        wait_for(lambda: self.mom.connected, f"{self.name} is connected: {self.mom.state}", seconds)

    @property
    def problem(self) -> str:
        return self.mom.state.problem

    def says(self, words: str, seconds: float = 60) -> None:
        """Waits until that is what is wrong."""
        wait_for(lambda: words in self.problem, f"{self.name} says {words!r}, not {self.problem!r}", seconds)

    def tell(self, *numbers: int, padding: str = "") -> list[str]:
        """Events that others handle; their ids."""
        ids = [f"{self.name}-{number}" for number in numbers]
        for number, id_ in zip(numbers, ids, strict=True):
            left: dict[str, str | int | bool] = {"peer": self.name, "epoch": 1, "heartbeat": number}
            left |= {"padding": padding} if padding else {}
            self.outbox.add([make("test", "peer.left", self.name, id_, **left)])
        return ids

    def told(self, seconds: float = 60) -> None:
        wait_for(lambda: len(self.outbox) == 0, f"what {self.name} told is at the broker", seconds)

    def hears(self, ids: Sequence[str], seconds: float = 60) -> None:
        wait_for(
            lambda: set(ids) <= set(self.heard),
            f"{self.name} hears {len(ids)}; not {sorted(set(ids) - set(self.heard))[:5]}",
            seconds,
        )

    def stop(self) -> None:
        self.mom.stop()
        self.index.close()
        self.store.close()
