"""What is kept of the API server's objects."""

from __future__ import annotations

from typing import Any

from minga_operator.cache import Cache
from minga_operator.kinds import POD, STATEFUL_SET
from minga_operator.workqueue import Key

LIBRARY = ("shelf", "library")


def pod(name: str, version: int = 1, *, uid: str = "u", network: str = "library") -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shelf",
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {"app.kubernetes.io/instance": network},
        },
    }


def cache() -> tuple[Cache, list[Key]]:
    changed: list[Key] = []
    return Cache(changed.append), changed


def names(found: Cache) -> list[str]:
    return [item["metadata"]["name"] for item in found.of(POD, LIBRARY)]


def test_objects_are_kept_by_network_and_a_change_tells_it() -> None:
    found, changed = cache()
    found.told(POD, None, pod("b", 2))
    found.told(POD, None, pod("a", 3))
    found.told(POD, None, pod("c", 4, network="other"))
    assert names(found) == ["a", "b"]
    assert changed == [LIBRARY, LIBRARY, ("shelf", "other")]
    assert found.get(POD, LIBRARY, "a") == pod("a", 3)
    assert found.get(STATEFUL_SET, LIBRARY, "a") is None


def test_what_is_older_than_what_is_known_is_no_news() -> None:
    found, changed = cache()
    found.told(POD, None, pod("a", 7))
    found.told(POD, None, pod("a", 7))
    found.put(pod("a", 5))
    assert len(changed) == 1
    found.put(pod("a", 10))
    assert len(changed) == 2
    found.told(POD, None, pod("a", 10))
    assert len(changed) == 2


def test_an_object_that_becomes_another_networks_is_told_to_both() -> None:
    found, changed = cache()
    found.told(POD, None, pod("a", 2))
    found.told(POD, None, pod("a", 3, network="other"))
    assert names(found) == []
    assert [item["metadata"]["name"] for item in found.of(POD, ("shelf", "other"))] == ["a"]
    assert set(changed[1:]) == {LIBRARY, ("shelf", "other")}


def test_what_a_new_list_does_not_have_is_gone() -> None:
    found, changed = cache()
    found.listed(POD, None, [pod("a", 1), pod("b", 1)], 2)
    changed.clear()
    found.listed(POD, None, [pod("b"), pod("c", 3)], 4)
    assert names(found) == ["b", "c"]
    assert changed == [LIBRARY, LIBRARY]
    found.listed(POD, "elsewhere", [], 5)
    assert names(found) == ["b", "c"]


def test_what_may_not_be_watched_is_unseen_there_and_is_not_taken_for_absent() -> None:
    found, _ = cache()
    assert found.unseen([POD], "shelf") == {"Pod": ""}
    found.listed(POD, "shelf", [pod("a", 1)], 2)
    assert found.unseen([POD], "shelf") == {}
    assert found.unseen([POD], "other") == {"Pod": ""}
    found.unfollow(POD, "shelf", "pods is forbidden")
    assert found.unseen([POD], "shelf") == {"Pod": "pods is forbidden"}
    assert names(found) == []
    found.listed(POD, "shelf", [pod("a", 1)], 5)
    assert found.unseen([POD], "shelf") == {}
    assert names(found) == ["a"]
