"""The contents that the piece listener has open: opened together, and kept for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from minga_node.errors import Busy, MingaError
from minga_node.uploads import open_contents as module
from minga_node.uploads.connection import Contents, OpenContent, Opener, Served
from minga_node.uploads.open_contents import AT_ONCE, OpenContents
from minga_node.wire.piece_set import Pieces


class Content:
    available: Pieces | None = None

    def __init__(self, data: bytes | None) -> None:
        self.data, self.size, self.closed = data, 10, False

    def fileno(self) -> int:
        raise AssertionError

    def close(self) -> None:
        self.closed = True


class Library(Contents):
    """Even numbers are in memory, 13 is a fault, 14 is not here."""

    def __init__(self) -> None:
        self.looks: list[list[str]] = []
        self.opened: dict[str, Content] = {}

    def open(self, content_id: str) -> OpenContent | None:
        self.looks[-1].append(content_id)
        if content_id == "13":
            raise ValueError
        if content_id == "14":
            return None
        content = self.opened[content_id] = Content(b"x" * 10 if int(content_id) % 2 == 0 else None)
        return content

    @contextmanager
    def several(self) -> Iterator[Opener]:
        self.looks.append([])
        yield self.open


class Now:
    """In place of other threads: what is asked is done when the test says so."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], Any], Callable[[Future[Any]], None] | None]] = []

    def run(self, work: Callable[[], Any], then: Callable[[Future[Any]], None] | None = None) -> None:
        self._waiting.append((work, then))

    def deliver(self) -> None:
        waiting, self._waiting = self._waiting, []
        for work, then in waiting:
            future: Future[Any] = Future()
            future.set_result(work())
            if then is not None:
                then(future)


def made() -> tuple[OpenContents, Library, Now]:
    library, now = Library(), Now()
    return OpenContents(library, now), library, now  # type: ignore[arg-type]


def test_what_is_asked_for_next_is_opened_with_it_by_one_look() -> None:
    shelf, library, now = made()
    found: list[Served | MingaError | None] = []
    shelf.open("0", found.append, map(str, range(1, 100)))
    now.deliver()
    assert library.looks == [[str(number) for number in range(AT_ONCE)]]
    assert isinstance(found[0], Served)
    assert found[0].id == "0"
    assert shelf.get("5") is not None
    assert (shelf.get("13"), shelf.get("14")) == (None, None)


def test_what_is_open_or_on_its_way_is_not_opened_again() -> None:
    shelf, library, now = made()
    shelf.ahead(["0", "1"])
    shelf.ahead(["1", "2"])
    shelf.ahead(["0", "1", "2"])
    now.deliver()
    assert library.looks == [["0", "1"], ["2"]]


def test_a_fault_is_that_of_the_one_content_and_can_be_tried_again() -> None:
    shelf, _, now = made()
    found: list[Served | MingaError | None] = []
    shelf.open("13", found.append, ["1"])
    shelf.open("14", found.append)
    now.deliver()
    assert isinstance(found[0], Busy)
    assert found[1] is None
    assert shelf.get("1") is not None


def test_only_what_has_a_descriptor_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, library, now = made()
    monkeypatch.setattr(module, "MOST_KEPT_OPEN", 2)
    shelf.ahead(map(str, range(6)))
    now.deliver()
    shelf.sweep(0.0)
    now.deliver()
    assert len(shelf) == 2
    assert [number for number, content in library.opened.items() if content.closed] == ["1", "3"]
