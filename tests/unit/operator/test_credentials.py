"""A password that changes locks nobody out, and a cookie never changes under members that run."""

from __future__ import annotations

from typing import Any

import pytest

from minga_operator.credentials import Login, cookie, own, values
from minga_operator.resources.broker import runs

HOST = "library-broker.shelf.svc:5672"
FIRST = values(HOST, {}, Login("minga", "first"))


def test_the_first_ones() -> None:
    assert {
        "username": "minga",
        "password": "first",
        "uri": f"amqp://minga:first@{HOST}/",
        "uris": f"amqp://minga:first@{HOST}/\n",
        "retired": "",
    } == FIRST


def test_nothing_changes_where_nothing_is_to() -> None:
    assert values(HOST, FIRST, own(FIRST, "new", rotate=False)) == FIRST
    second = values(HOST, FIRST, Login("minga", "second"))
    assert values(HOST, second, own(second, "new", rotate=False)) == second


def test_nodes_are_told_both_passwords_the_new_one_first() -> None:
    second = values(HOST, FIRST, own(FIRST, "second", rotate=True))
    assert second["uris"].split() == [f"amqp://minga:second@{HOST}/", f"amqp://minga:first@{HOST}/"]
    assert second["uri"] == f"amqp://minga:second@{HOST}/"
    third = values(HOST, second, own(second, "third", rotate=True))
    assert third["uris"].split() == [f"amqp://minga:third@{HOST}/", f"amqp://minga:second@{HOST}/"]
    # The same user: there is nobody to remove.
    assert third["retired"] == ""


def test_a_password_that_a_person_put_into_the_secret_is_taken() -> None:
    edited = FIRST | {"password": "by-hand"}
    found = values(HOST, edited, own(edited, "new", rotate=False))
    assert found["uris"].split() == [f"amqp://minga:by-hand@{HOST}/", f"amqp://minga:first@{HOST}/"]


def test_an_emptied_password_is_made_anew() -> None:
    emptied = FIRST | {"password": ""}
    assert own(emptied, "new", rotate=False) == Login("minga", "new")


def test_another_user_takes_the_place_of_the_former_which_is_removed() -> None:
    theirs = values(HOST, FIRST, Login("team", "p@ss/word"))
    assert theirs["uris"].split() == [f"amqp://team:p%40ss%2Fword@{HOST}/", f"amqp://minga:first@{HOST}/"]
    assert theirs["retired"] == "minga\n"
    back = values(HOST, theirs, Login("minga", "second"))
    assert back["retired"] == "team\n"


def test_what_an_operator_before_made_is_completed() -> None:
    old = {"username": "minga", "password": "first", "cookie": "c", "uri": FIRST["uri"]}
    assert values(HOST, old, own(old, "new", rotate=False)) == FIRST


@pytest.mark.parametrize(
    ("found", "copies", "running", "expected"),
    [
        ("", ("", ""), False, "new"),
        ("", ("", ""), True, None),
        ("mine", ("copy", "older"), True, "mine"),
        ("mine", ("copy", "older"), False, "mine"),
        ("", ("copy", "older"), True, "copy"),
        ("", ("", "older"), True, "older"),
        ("", ("", "older"), False, "older"),
    ],
)
def test_a_cookie_is_never_remade_while_members_run(
    found: str, copies: tuple[str, ...], running: bool, expected: str | None
) -> None:
    assert cookie(found, copies, "new", running=running) == expected


def test_no_password_is_in_what_is_logged() -> None:
    assert "first" not in repr(Login("minga", "first"))


def member(name: str = "rabbitmq", *, component: str = "broker", **metadata: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": component}
    states = [{"name": name, "state": {"running": {}}}]
    return {"metadata": {"labels": labels, **metadata}, "status": {"containerStatuses": states}}


def test_a_member_that_ends_is_none_that_another_cookie_would_part() -> None:
    """As when a network goes to another broker and back while the first one is still ending."""
    assert runs(member())
    assert not runs(member(deletionTimestamp="2026-01-02T03:04:05Z"))
    assert not runs(member("definitions"))
    assert not runs(member(component="peer"))
    assert not runs({"metadata": {"labels": {"app.kubernetes.io/component": "broker"}}})
