"""What becomes of each message of a batch, whatever its effect meets here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from minga_node.errors import NotFound, StorageFailed
from minga_node.events import Event, Outbox, make
from minga_node.index import Index
from minga_node.mom.own import Delivery
from minga_node.mom.taking import EventConsumer
from minga_node.store import Store


class Scene:
    """Takes events that a handler may fail at."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "minga.sqlite3")
        self.index = Index(self.store, "me")
        self.settled: list[tuple[int, str]] = []
        self.effects: list[str] = []
        self.tapped: list[str] = []
        self.fails: dict[str, Callable[[], Exception]] = {}
        self.taking = EventConsumer(
            self.index,
            self.store,
            Outbox(self.store),
            {"peer.left": self._handle},
            on_gap=lambda _peer: None,
            tap=lambda event: self.tapped.append(event.id),
            settle=lambda delivery, how: self.settled.append((delivery.tag, how)),
        )

    def _handle(self, event: Event) -> None:
        if event.id in self.fails:
            raise self.fails[event.id]()
        self.effects.append(event.id)

    def take(self, *ids: str) -> list[tuple[int, str]]:
        """What becomes of them; the broker's tags are 1 and so on."""
        self.settled.clear()
        self.taking.take([delivery(number, id_) for number, id_ in enumerate(ids, 1)])
        return sorted(self.settled)


def delivery(tag: int, id_: str) -> Delivery:
    body = b"nonsense"
    if id_:
        body = make("n", "peer.left", "other", id_, peer="other", epoch=1, heartbeat=tag).encode()
    return Delivery(cast(Any, None), tag, body, 0)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.index.close()
    made.store.close()


def test_each_is_acknowledged_after_its_effect_and_nonsense_is_rejected(scene: Scene) -> None:
    assert scene.take("a", "", "b") == [(1, "ack"), (2, "reject"), (3, "ack")]
    assert scene.effects == scene.tapped == ["a", "b"]


def test_what_cannot_be_stored_now_goes_back_with_all_after_it_and_has_its_effect_once(scene: Scene) -> None:
    scene.fails["b"] = lambda: StorageFailed("the disk is full")
    with pytest.raises(StorageFailed):
        scene.take("a", "b", "c")
    assert sorted(scene.settled) == [(1, "ack"), (2, "retry"), (3, "retry")]
    del scene.fails["b"]
    assert scene.take("b", "c", "a") == [(1, "ack"), (2, "ack"), (3, "ack")]
    assert scene.effects == ["a", "b", "c"]
    assert scene.tapped == ["a", "b", "c", "a"]


@pytest.mark.parametrize("error", [AttributeError, ZeroDivisionError, UnicodeDecodeError])
def test_what_no_check_foresaw_is_a_dead_letter_and_those_after_it_have_their_effect(
    scene: Scene, error: type[Exception]
) -> None:
    arguments = ("utf-8", b"\xff", 0, 1, "no") if error is UnicodeDecodeError else ("no",)
    scene.fails["a"] = lambda: error(*arguments)
    assert scene.take("a", "b") == [(1, "reject"), (2, "ack")]
    assert scene.effects == ["b"]


def test_what_has_nothing_to_be_done_here_is_acknowledged(scene: Scene) -> None:
    scene.fails["a"] = lambda: NotFound("nothing here")
    assert scene.take("a", "b") == [(1, "ack"), (2, "ack")]


def test_whatever_else_is_raised_nothing_stays_unsettled(scene: Scene) -> None:
    scene.fails["a"] = lambda: RuntimeError("unforeseen")
    with pytest.raises(RuntimeError):
        scene.take("a", "b")
    assert sorted(scene.settled) == [(1, "retry"), (2, "retry")]
