"""Answers that are given again while nothing has changed."""

from __future__ import annotations

from minga_node.server.remembered import LARGEST_ANSWER_BYTES, MOST_ANSWERS, MOST_PEERS, Remembered


class Index:
    def __init__(self) -> None:
        self.version = 1
        self.online = {"near": True, "far": False}

    def remembered(self) -> Remembered:
        return Remembered(lambda: self.version, lambda peer: self.online[peer])


def test_an_answer_is_given_again_while_nothing_has_changed() -> None:
    remembered = Index().remembered()
    assert remembered.get(b"q=a") is None
    remembered.put(b"q=a", 1, {"near": True, "far": False}, b"body")
    assert remembered.get(b"q=a") == b"body"
    assert remembered.get(b"q=b") is None


def test_any_change_makes_it_void() -> None:
    index = Index()
    remembered = index.remembered()
    remembered.put(b"", index.version, {}, b"body")
    index.version += 1
    assert remembered.get(b"") is None


def test_one_that_was_looked_for_before_a_change_is_never_given() -> None:
    index = Index()
    remembered = index.remembered()
    before = index.version
    index.version += 1
    remembered.put(b"", before, {}, b"body")
    assert remembered.get(b"") is None


def test_who_goes_and_who_comes_makes_it_void() -> None:
    for peer in ("near", "far"):
        index = Index()
        remembered = index.remembered()
        remembered.put(b"", 1, dict(index.online), b"body")
        index.online[peer] = not index.online[peer]
        assert remembered.get(b"") is None


def test_few_and_small_answers_are_kept() -> None:
    index = Index()
    index.online = {f"{number}": True for number in range(MOST_PEERS + 1)}
    remembered = index.remembered()
    remembered.put(b"many peers", 1, index.online, b"body")
    remembered.put(b"long", 1, {}, bytes(LARGEST_ANSWER_BYTES + 1))
    assert (remembered.get(b"many peers"), remembered.get(b"long")) == (None, None)
    remembered.put(b"first", 1, {}, b"body")
    for number in range(MOST_ANSWERS - 1):
        remembered.put(b"%d" % number, 1, {}, b"body")
    assert remembered.get(b"first") == b"body"
    remembered.put(b"one more", 1, {}, b"body")
    assert remembered.get(b"0") is None
    assert remembered.get(b"first") == b"body"
