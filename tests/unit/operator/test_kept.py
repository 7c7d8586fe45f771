"""What is known of objects, for every order in which watch, lists, answers and deletions can tell of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from typing import Any

import pytest

from minga_operator.cache import Cache
from minga_operator.kept import Kept
from minga_operator.kinds import SECRET
from minga_operator.workqueue import Key

NETWORK: Key = ("shelf", "library")
NAME = "library-tokens"


def secret(uid: str, version: int, *, ending: bool = False, name: str = NAME) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "shelf",
        "uid": uid,
        "resourceVersion": str(version),
        "labels": {"app.kubernetes.io/instance": "library"},
    }
    return {"kind": "Secret", "metadata": metadata | ({"deletionTimestamp": "now"} if ending else {})}


@dataclass(frozen=True)
class Moment:
    """What the API server has from one version on."""

    version: int
    state: dict[str, Any] | None
    told: tuple[str, dict[str, Any]]
    """The watch's event."""
    ours: str = ""
    """"write" where we are answered with the state, "delete" where we deleted what was there."""


def history(*moments: tuple[str, str]) -> list[Moment]:
    """Moments of one name: (what, of which uid), at the versions 2, 4, 6 …; others have the odd ones."""
    found: list[Moment] = []
    for number, (what, uid) in enumerate(moments, start=1):
        version = number * 2
        match what:
            case "write" | "change":
                item = secret(uid, version)
                kind = "ADDED" if not found or found[-1].state is None else "MODIFIED"
                found.append(Moment(version, item, (kind, item), "write" if what == "write" else ""))
            case "delete" | "vanish":
                gone = secret(uid, version)
                found.append(Moment(version, None, ("DELETED", gone), "delete" if what == "delete" else ""))
            case "ending":
                item = secret(uid, version, ending=True)
                found.append(Moment(version, item, ("MODIFIED", item), "delete"))
    return found


HISTORIES = {
    "deleted by somebody": history(("write", "a"), ("vanish", "a")),
    "made, changed by us and deleted by somebody": history(("write", "a"), ("write", "a"), ("vanish", "a")),
    "apply, delete, apply": history(("write", "a"), ("vanish", "a"), ("write", "b")),
    "apply, delete, apply, delete": history(("write", "a"), ("vanish", "a"), ("write", "b"), ("vanish", "b")),
    "deleted by us": history(("write", "a"), ("delete", "a")),
    "deleted by us while somebody changes it": history(("write", "a"), ("change", "a"), ("delete", "a")),
    "deleted by us with somebody's finalizer": [
        *history(("write", "a"), ("ending", "a")),
        Moment(6, None, ("DELETED", secret("a", 6, ending=True))),
        Moment(8, secret("b", 8), ("ADDED", secret("b", 8)), "write"),
    ],
    "deleted and made anew by us": history(("change", "a"), ("delete", "a"), ("write", "b"), ("write", "b")),
}


def at(story: list[Moment], version: int) -> dict[str, Any] | None:
    """What there was at a version."""
    return next((moment.state for moment in reversed(story) if moment.version <= version), None)


Word = tuple[str, int]
"""("told", index of the moment) | ("listed", version) | ("answered", index) | ("deleted", index)."""


def channels(story: list[Moment]) -> Iterator[tuple[list[Word], list[Word]]]:
    """What the follower's thread says in its order, and what workers say in any order: all there can be.

    A list may be at the start, and a second one at any later version, whose watch goes on behind it; a list's
    words may be older than what a worker does meanwhile, as they are on their way.
    """
    ours: list[Word] = [
        ("answered" if moment.ours == "write" else "deleted", index)
        for index, moment in enumerate(story)
        if moment.ours
    ]
    versions = range(1, len(story) * 2 + 2)
    for first in versions:
        follower: list[Word] = [("listed", first)]
        follower += [("told", index) for index, moment in enumerate(story) if moment.version > first]
        yield follower, ours
        for place in range(1, len(follower) + 1):
            last = [story[index].version for what, index in follower[:place] if what == "told"]
            for second in versions:
                if second >= max([first, *last]):
                    rest: list[Word] = [
                        ("told", index) for index, moment in enumerate(story) if moment.version > second
                    ]
                    yield [*follower[:place], ("listed", second), *rest], ours


def possible(order: tuple[Word, ...], story: list[Moment]) -> bool:
    """Whether a worker could know that we deleted it only after it was there: the same thread does both."""
    return all(
        ("answered", earlier) not in order[place:]
        for place, (what, index) in enumerate(order)
        if what == "deleted"
        for earlier in range(index)
    ) and all(
        # Workers look at what there is before they make it anew.
        ("deleted", earlier) not in order[place:]
        for place, (what, index) in enumerate(order)
        if what == "answered"
        for earlier in range(index)
    )


def interleaved(one: list[Word], other: tuple[Word, ...]) -> Iterator[tuple[Word, ...]]:
    """All orders of both in which each keeps its own."""
    length = len(one) + len(other)
    for places in itertools.combinations(range(length), len(other)):
        mine, theirs = iter(one), iter(other)
        yield tuple(next(theirs) if place in places else next(mine) for place in range(length))


def orders(story: list[Moment]) -> set[tuple[Word, ...]]:
    return {
        order
        for follower, ours in channels(story)
        for workers in itertools.permutations(ours)
        if possible(workers, story)
        for order in interleaved(follower, workers)
    }


def say(cache: Cache, story: list[Moment], word: Word) -> None:
    what, index = word
    match what:
        case "listed":
            state = at(story, index)
            cache.listed(SECRET, None, [] if state is None else [state], index)
        case "told":
            event, item = story[index].told
            (cache.ended if event == "DELETED" else cache.told)(SECRET, None, item)
        case "answered":
            state = story[index].state
            assert state is not None
            cache.put(state)
        case "deleted":
            before = story[index - 1].state
            assert before is not None
            cache.drop(before)


def wrong(story: list[Moment], order: tuple[Word, ...]) -> str:
    """What the cache had wrong in the course of that order; empty when nothing."""
    cache = Cache(lambda _: None)
    followed = latest = 0
    deleted: set[str] = set()
    for number, word in enumerate(order):
        say(cache, story, word)
        what, index = word
        followed = followed or what == "listed"
        version = index if what == "listed" else story[index].version
        if followed and what != "deleted":
            latest = max(latest, version)
        if what == "deleted" and followed:
            deleted.add(story[index - 1].told[1]["metadata"]["uid"])
        has = cache.get(SECRET, NETWORK, NAME)
        truth = at(story, latest)
        if has == truth:
            continue
        # What we deleted ourselves is not there, though nobody has told of its end yet.
        if has is None and truth is not None and truth["metadata"]["uid"] in deleted:
            continue
        return f"after {order[: number + 1]}: {has}, and not {truth}"
    return ""


@pytest.mark.parametrize("name", HISTORIES)
def test_in_every_order_what_is_known_is_the_newest_that_anybody_said(name: str) -> None:
    story = HISTORIES[name]
    tried = orders(story)
    assert len(tried) > 10
    assert [found for order in sorted(tried) if (found := wrong(story, order))][:3] == []


def unordered(story: list[Moment]) -> dict[str, Callable[[Kept], object]]:
    """What kopf's tasks and our writes say of a network, as calls."""
    found: dict[str, Callable[[Kept], object]] = {}
    for moment in story:
        event, item = moment.told
        say = Kept.ended if event == "DELETED" else Kept.told
        found[f"{event} {moment.version}"] = partial(_call, say, item)
        if moment.ours == "write":
            found[f"answer {moment.version}"] = methodcaller("answered", item)
    return found


def _call(say: Callable[[Kept, None, dict[str, Any]], object], item: dict[str, Any], kept: Kept) -> object:
    return say(kept, None, item)


@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("listed", [None, 1, 3, 5], ids=lambda at: f"list at {at}")
def test_news_without_any_order_end_in_what_there_is(name: str, listed: int | None) -> None:
    story = HISTORIES[name]
    words = unordered(story)
    if listed is not None:
        state = at(story, listed)
        items = [] if state is None else [state]
        words[f"list at {listed}"] = methodcaller("listed", None, items, listed)
    for order in itertools.permutations(words):
        kept = Kept(in_order=False)
        kept.listed(None, [], 0)
        for word in order:
            words[word](kept)
        assert kept.get(("shelf", NAME)) == story[-1].state, order


def test_an_answer_that_comes_after_the_end_does_not_bring_the_object_back() -> None:
    cache = Cache(lambda _: None)
    cache.listed(SECRET, None, [], 1)
    cache.told(SECRET, None, secret("a", 2))
    cache.ended(SECRET, None, secret("a", 4))
    cache.put(secret("a", 3))
    assert cache.get(SECRET, NETWORK, NAME) is None


def test_a_bookmark_says_that_there_is_nothing_older() -> None:
    cache = Cache(lambda _: None)
    cache.listed(SECRET, None, [], 1)
    cache.passed(SECRET, None, 7)
    cache.put(secret("a", 5))
    assert cache.get(SECRET, NETWORK, NAME) is None
    cache.put(secret("b", 9))
    assert cache.get(SECRET, NETWORK, NAME) == secret("b", 9)


def test_what_nobody_follows_is_not_kept() -> None:
    cache = Cache(lambda _: None)
    cache.put(secret("a", 5))
    assert cache.get(SECRET, NETWORK, NAME) is None
    cache.listed(SECRET, "elsewhere", [], 1)
    cache.put(secret("a", 5))
    assert cache.get(SECRET, NETWORK, NAME) is None
    cache.listed(SECRET, "shelf", [], 1)
    cache.put(secret("a", 5))
    assert cache.get(SECRET, NETWORK, NAME) == secret("a", 5)
    cache.unfollow(SECRET, "shelf")
    assert cache.get(SECRET, NETWORK, NAME) is None


def test_versions_that_went_back_begin_a_new_count() -> None:
    cache = Cache(lambda _: None)
    cache.listed(SECRET, None, [secret("a", 900)], 1000)
    cache.listed(SECRET, None, [secret("a", 80)], 100)
    assert cache.get(SECRET, NETWORK, NAME) == secret("a", 80)
    cache.told(SECRET, None, secret("a", 101))
    assert cache.get(SECRET, NETWORK, NAME) == secret("a", 101)


def test_an_object_that_was_taken_for_deleted_is_believed_to_a_second_list() -> None:
    cache = Cache(lambda _: None)
    cache.listed(SECRET, None, [secret("a", 2)], 3)
    cache.drop(secret("a", 2))
    cache.listed(SECRET, None, [secret("a", 2)], 4)
    assert cache.get(SECRET, NETWORK, NAME) is None
    cache.listed(SECRET, None, [secret("a", 2)], 5)
    assert cache.get(SECRET, NETWORK, NAME) == secret("a", 2)
