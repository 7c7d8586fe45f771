"""The lines of token files: read, written, and refused."""

from __future__ import annotations

import json

import pytest

from minga_node.access import KnownTokens
from minga_node.grants import Grant, Scope
from minga_node.token_files import grant_line, new_id, new_token, noted_grants, prefixes, tokens

READ = "r" * 20
WRITE = "write-token-0123456789_~+/=="
NOW = 1_700_000_000


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
    "grant",
    [
        Grant(Scope.READ, id="0123abcd"),
        Grant(Scope.WRITE, ("team-a/", "año/"), NOW + 1, "0123abcd"),
    ],
)
def test_a_grant_comes_back_as_it_was_written_and_without_its_token(grant: Grant) -> None:
    token = new_token()
    line = grant_line(token, grant, "for the build")
    assert token not in line
    ((known, note),) = noted_grants(f"# ours\n\n{line}\n")
    assert (known.grant, note) == (grant, "for the build")
    assert KnownTokens([known]).grant(token, NOW) == grant


GOOD = json.loads(grant_line(new_token(), Grant(Scope.READ, id="0123abcd")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scope": "admin"}, "line 2: scope: expected"),
        ({"scope": None}, "line 2: scope: expected"),
        ({"id": "x"}, "line 2: id: expected"),
        ({"sha256": "0" * 63}, "line 2: sha256: expected"),
        ({"session": 5}, "line 2: session: expected"),
        ({"only_on_mondays": True}, "line 2: unknown key 'only_on_mondays'"),
        ({"expires": "soon"}, "line 2: expires: expected a time of RFC 3339"),
        ({"expires": "2030-01-01T00:00:00"}, "line 2: expires: expected a time of RFC 3339"),
        ({"expires": 1}, "line 2: expires: expected a time of RFC 3339"),
        ({"prefixes": "team-a/"}, "line 2: prefixes: expected a list"),
        ({"prefixes": [""]}, "line 2: prefixes: expected how names begin"),
        ({"prefixes": ["a"] * 17}, "line 2: prefixes: expected a list of at most 16"),
        ({"prefixes": ["/etc/"]}, "line 2: prefixes: no name begins with '/etc/'"),
        ({"prefixes": ["a/../b"]}, "line 2: prefixes: no name begins with"),
        ({"note": "x" * 201}, "line 2: note: expected at most 200"),
    ],
)
def test_a_line_that_is_not_understood_is_refused_whole(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        noted_grants("# ours\n" + json.dumps({**GOOD, **change}))
    assert message in str(caught.value)
    assert GOOD["sha256"] not in str(caught.value)


@pytest.mark.parametrize("line", ["[]", "no json", "[" * 100_000, READ])
def test_what_is_no_object_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line 1: "):
        noted_grants(line)


def test_two_grants_of_one_id_are_refused() -> None:
    line = json.dumps(GOOD)
    with pytest.raises(ValueError, match="line 2: another line has the id 0123abcd"):
        noted_grants(f"{line}\n{line}")


def test_ids_and_tokens_are_new_each_time_and_fit_the_files() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert tokens("\n".join(made))
    assert len({new_id() for _ in range(100)}) > 95


def test_prefixes_are_kept_once_each_in_their_order() -> None:
    assert prefixes(["b/", "a/", "b/"]) == ("b/", "a/")
