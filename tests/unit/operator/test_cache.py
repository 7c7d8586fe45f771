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
    found.put(pod("b"))
    found.put(pod("a"))
    found.put(pod("c", network="other"))
    assert names(found) == ["a", "b"]
    assert changed == [LIBRARY, LIBRARY, ("shelf", "other")]
    assert found.get(POD, LIBRARY, "a") == pod("a")
    assert found.get(STATEFUL_SET, LIBRARY, "a") is None


def test_what_is_older_than_what_is_known_is_no_news() -> None:
    found, changed = cache()
    found.put(pod("a", 7))
    found.put(pod("a", 7))
    found.put(pod("a", 5))
    assert len(changed) == 1
    found.put(pod("a", 10))
    assert len(changed) == 2


def test_the_end_of_an_earlier_object_does_not_hide_its_successor() -> None:
    found, _ = cache()
    found.put(pod("a", 1, uid="first"))
    found.put(pod("a", 9, uid="second"))
    found.drop(pod("a", 8, uid="first"))
    assert names(found) == ["a"]
    found.drop(pod("a", 10, uid="second"))
    assert names(found) == []


def test_what_a_new_list_does_not_have_is_gone() -> None:
    found, changed = cache()
    for name in ("a", "b"):
        found.put(pod(name))
    changed.clear()
    found.replace(POD, None, [pod("b"), pod("c", 3)])
    assert names(found) == ["b", "c"]
    assert changed == [LIBRARY, LIBRARY]
    found.replace(POD, "elsewhere", [])
    assert names(found) == ["b", "c"]
