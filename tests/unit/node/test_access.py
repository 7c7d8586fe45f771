"""Who may do what, decided without any I/O."""

from __future__ import annotations

import dataclasses

import pytest

from minga_node.access import MOST, SESSION_SECONDS, Grants, Scope, bearer, grant, tokens

READ = "r" * 20
WRITE = "write-token-0123456789_~+/=="
NOW = 1_700_000_000.5


@pytest.fixture
def grants() -> Grants:
    return Grants([grant(READ, Scope.READ), grant(WRITE, Scope.WRITE)])


@pytest.mark.parametrize(
    ("token", "scope"),
    [
        (READ, Scope.READ),
        (WRITE, Scope.WRITE),
        (READ + "r", None),
        (READ[:-1], None),
        (WRITE.upper(), None),
        ("", None),
        ("ñ" * 20, None),
        ("\udcff" * 20, None),
    ],
)
def test_only_a_known_token_is_good(grants: Grants, token: str, scope: Scope | None) -> None:
    assert grants.scope(token) is scope


def test_write_includes_read_and_not_the_other_way_round() -> None:
    assert Scope.WRITE.covers(Scope.READ)
    assert Scope.WRITE.covers(Scope.WRITE)
    assert Scope.READ.covers(Scope.READ)
    assert not Scope.READ.covers(Scope.WRITE)


def test_a_token_of_both_files_may_write() -> None:
    assert Grants([grant(READ, Scope.READ), grant(READ, Scope.WRITE)]).scope(READ) is Scope.WRITE


def test_no_token_stays_in_memory() -> None:
    kept = repr(dataclasses.asdict(grant(WRITE, Scope.WRITE)))
    assert WRITE not in kept
    assert WRITE.encode().hex() not in kept


def test_a_session_lets_do_what_its_token_did_until_its_end(grants: Grants) -> None:
    for token, scope in ((READ, Scope.READ), (WRITE, Scope.WRITE)):
        signed = grants.sign_in(token, NOW)
        assert signed is not None
        session, cookie = signed
        assert (session.scope, session.until) == (scope, int(NOW) + SESSION_SECONDS)
        assert token not in cookie
        assert grants.session(cookie, NOW) == session
        assert grants.session(cookie, session.until - 0.1) == session
        assert grants.session(cookie, session.until) is None


def test_a_session_is_good_at_every_node_that_knows_the_token_and_nowhere_else(grants: Grants) -> None:
    signed = grants.sign_in(READ, NOW)
    assert signed is not None
    cookie = signed[1]
    again = Grants([grant("x" * 20, Scope.WRITE), grant(READ, Scope.READ)])
    assert again.session(cookie, NOW) == signed[0]
    assert Grants([grant(WRITE, Scope.WRITE)]).session(cookie, NOW) is None


def test_who_has_no_token_cannot_make_a_session_longer_or_stronger(grants: Grants) -> None:
    signed = grants.sign_in(READ, NOW)
    assert signed is not None
    version, until, signature = signed[1].split(".")
    assert grants.sign_in("y" * 20, NOW) is None
    for forged in (
        f"{version}.{int(until) + 1}.{signature}",
        f"{version}.{until}.{signature[:-1]}A"
        if signature[-1] != "A"
        else f"{version}.{until}.{signature[:-1]}B",
        f"2.{until}.{signature}",
        f"{version}.{until}.",
        f"{version}..{signature}",
        f" {signed[1]}",
        f"{signed[1]}\n",
        "",
        READ,
    ):
        assert grants.session(forged, NOW) is None, forged


def test_a_session_from_far_in_the_future_is_not_ours(grants: Grants) -> None:
    signed = grants.sign_in(READ, NOW + 10 * SESSION_SECONDS)
    assert signed is not None
    assert grants.session(signed[1], NOW) is None


def test_a_file_has_a_token_a_line() -> None:
    text = f"# for the build\n{READ}\n\n   {WRITE}  \r\n#{WRITE}x\n"
    assert tokens(text) == [READ, WRITE]
    assert tokens("") == tokens("# nothing yet\n") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("short", "line 1 has 5 characters: expected a token of 20 to 512"),
        (f"{READ}\n{'x' * 513}", "line 2 has 513 characters"),
        (f"# x\n{'two words and more of them'}", "line 2 is no token"),
        ("ñandú" * 5, "line 1 is no token"),
        ("=" * 30, "line 1 is no token"),
        (f'{{"{READ}": "read"}}', "line 1 is no token"),
    ],
)
def test_a_wrong_file_is_named_by_its_line_and_never_quoted(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        tokens(text)
    assert message in str(caught.value)
    assert READ not in str(caught.value)
    assert "words" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer   abc ", "abc"),
        ("BEARER abc", "abc"),
        ("Bearer", ""),
        ("Basic abc", None),
        ("", None),
        ("abc", None),
    ],
)
def test_the_header_is_read_as_rfc_6750_says(header: str, token: str | None) -> None:
    assert bearer(header) == token


def test_each_of_many_tokens_is_known() -> None:
    many = Grants(grant(f"{number:020}", Scope.READ) for number in range(MOST))
    assert len(many) == MOST
    assert all(many.scope(f"{number:020}") is Scope.READ for number in range(MOST))
    assert many.scope(f"{MOST:020}") is None
