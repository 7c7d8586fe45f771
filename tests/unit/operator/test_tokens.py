"""Which token of a Secret others are told."""

from __future__ import annotations

import pytest

from minga_node.token_files import tokens
from minga_operator.resources.common import base64
from minga_operator.tokens import _first, _new

TOKEN = "a-token-of-somebody-else"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TOKEN, TOKEN),
        (f"\n# old until Friday\n  {TOKEN}  \r\nanother-token-of-theirs\n", TOKEN),
        ("x" * 20, "x" * 20),
        ("x" * 512, "x" * 512),
        ("x" * 19, ""),
        ("x" * 513, ""),
        ("two words are not a token", ""),
        (f"{TOKEN}ñ", ""),
        ("# nothing but words\n", ""),
        ("", ""),
    ],
)
def test_it_is_the_first_that_a_node_would_take(text: str, expected: str) -> None:
    assert _first({"data": {"read": base64(text)}}, "read") == expected
    if expected:
        assert tokens(text)[0] == expected


def test_a_secret_without_the_key_has_none() -> None:
    assert _first({}, "read") == _first({"data": None}, "read") == _first({"data": {}}, "read") == ""


def test_what_is_made_is_a_token_and_never_the_same() -> None:
    made = {_new() for _ in range(100)}
    assert len(made) == 100
    assert all(tokens(token) == [token] for token in made)
