"""Who may do what, decided without any I/O."""

from __future__ import annotations

import dataclasses

import pytest

from minga_node.access import (
    MOST_ENDED,
    SESSION_SECONDS,
    AccessSession,
    EndedSessions,
    KnownTokens,
    bearer,
    known_token,
)
from minga_node.grants import Grant, Scope

READ = "r" * 20
WRITE = "write-token-0123456789_~+/=="
NOW = 1_700_000_000.5


CHANCE = bytes(range(8))
READING, WRITING = Grant(Scope.READ), Grant(Scope.WRITE)


@pytest.fixture
def known() -> KnownTokens:
    return KnownTokens([known_token(READ, READING), known_token(WRITE, WRITING)])


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
def test_only_a_known_token_is_good(known: KnownTokens, token: str, scope: Scope | None) -> None:
    found = known.grant(token, NOW)
    assert (found and found.scope) is scope


def test_write_includes_read_and_not_the_other_way_round() -> None:
    assert Scope.WRITE.covers(Scope.READ)
    assert Scope.WRITE.covers(Scope.WRITE)
    assert Scope.READ.covers(Scope.READ)
    assert not Scope.READ.covers(Scope.WRITE)


def test_a_token_of_both_files_may_write() -> None:
    for order in ((READING, WRITING), (WRITING, READING)):
        assert KnownTokens([known_token(READ, grant) for grant in order]).grant(READ, NOW) == WRITING


def test_no_token_stays_in_memory() -> None:
    kept = repr(dataclasses.asdict(known_token(WRITE, WRITING)))
    assert WRITE not in kept
    assert WRITE.encode().hex() not in kept


def test_a_session_lets_do_what_its_token_did_until_its_end(known: KnownTokens) -> None:
    for token, scope in ((READ, Scope.READ), (WRITE, Scope.WRITE)):
        signed = known.sign_in(token, NOW, CHANCE)
        assert signed is not None
        session, cookie = signed
        assert (session.scope, session.until) == (scope, int(NOW) + SESSION_SECONDS)
        assert token not in cookie
        assert known.session(cookie, NOW) == session
        assert known.session(cookie, session.until - 0.1) == session
        assert known.session(cookie, session.until) is None


def test_a_session_is_good_at_every_node_that_knows_the_token_and_nowhere_else(known: KnownTokens) -> None:
    signed = known.sign_in(READ, NOW, CHANCE)
    assert signed is not None
    cookie = signed[1]
    again = KnownTokens([known_token("x" * 20, WRITING), known_token(READ, READING)])
    assert again.session(cookie, NOW) == signed[0]
    assert KnownTokens([known_token(WRITE, WRITING)]).session(cookie, NOW) is None


def test_who_has_no_token_cannot_make_a_session_longer_or_stronger(known: KnownTokens) -> None:
    signed = known.sign_in(READ, NOW, CHANCE)
    assert signed is not None
    version, until, key, chance, signature = signed[1].split(".")
    other = known.sign_in(WRITE, NOW, CHANCE)
    assert other is not None
    assert known.sign_in("y" * 20, NOW, CHANCE) is None
    wrong = f"{signature[:-3]}{'AAA' if signature[-3:] != 'AAA' else 'BBB'}"
    for forged in (
        f"{version}.{int(until) + 1}.{key}.{chance}.{signature}",
        f"{version}.{until}.{other[1].split('.')[2]}.{chance}.{signature}",
        f"{version}.{until}.{key}.{'0' * 16}.{signature}",
        f"{version}.{until}.{key}.{chance}.{wrong}",
        f"1.{until}.{key}.{chance}.{signature}",
        f"{version}.{until}.{key}.{chance}.",
        f"{version}..{key}.{chance}.{signature}",
        f" {signed[1]}",
        f"{signed[1]}\n",
        "",
        READ,
    ):
        assert known.session(forged, NOW) is None, forged


def test_who_reads_what_a_node_keeps_can_make_no_session() -> None:
    """The private key is derived from the token alone: what is kept is its public half."""
    kept = known_token(READ, READING)
    forged = KnownTokens([kept]).sign_in(kept.digest.hex(), NOW, CHANCE)
    assert forged is None


def test_a_grant_that_expires_ends_its_token_and_its_session() -> None:
    until = int(NOW) + 60
    known = KnownTokens([known_token(READ, Grant(Scope.READ, expires=until))])
    signed = known.sign_in(READ, NOW, CHANCE)
    assert signed is not None
    assert signed[0].until == until
    assert known.grant(READ, until - 0.1) is not None
    assert known.grant(READ, until) is None
    assert known.session(signed[1], until - 0.1) is not None
    assert known.session(signed[1], until) is None
    assert known.sign_in(READ, until, CHANCE) is None


def test_ended_sessions_are_bounded_and_what_is_over_anyway_goes_first() -> None:
    ended = EndedSessions()
    ended.end("long", AccessSession(READING, 200), 50)
    for number in range(MOST_ENDED - 1):
        ended.end(str(number), AccessSession(READING, 100), 50)
    assert ended.has("long")
    assert ended.has("0")
    ended.end("late", AccessSession(READING, 200), 100)
    assert [ended.has(each) for each in ("long", "0", "late")] == [True, False, True]
    for number in range(MOST_ENDED):
        ended.end(f"new {number}", AccessSession(READING, 200), 100)
    assert not ended.has("long")
    assert ended.has(f"new {MOST_ENDED - 1}")


def test_a_session_from_far_in_the_future_is_not_ours(known: KnownTokens) -> None:
    signed = known.sign_in(READ, NOW + 10 * SESSION_SECONDS, CHANCE)
    assert signed is not None
    assert known.session(signed[1], NOW) is None


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
    many = KnownTokens(known_token(f"{number:020}", READING) for number in range(256))
    assert len(many) == 256
    assert all(many.grant(f"{number:020}", NOW) == READING for number in range(256))
    assert many.grant(f"{256:020}", NOW) is None
