"""Secrets that are made once: what was not read is not overwritten."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from minga_operator.cache import Cache
from minga_operator.children import Children
from minga_operator.errors import Unavailable
from minga_operator.kinds import SECRET
from minga_operator.resources import access
from tests.unit.operator.api_server import ApiServer, Item, api_server
from tests.unit.operator.networks import TOKENS, network

KEY = ("shelf", "library-tokens")


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as found:
        yield found


def changed(server: ApiServer, live: Item) -> None:
    server.write(SECRET.plural, live | {"data": {"write": "c29tZWJvZHk="}})


def replaced(server: ApiServer, live: Item) -> None:
    del server.objects[SECRET.plural, *KEY]
    server.write(SECRET.plural, live)


def deleted(server: ApiServer, live: Item) -> None:
    del server.objects[SECRET.plural, *KEY]


@pytest.mark.parametrize("meanwhile", [changed, replaced, deleted])
def test_what_changed_since_it_was_read_is_left_for_another_look(
    server: ApiServer, meanwhile: Callable[[ApiServer, Item], None]
) -> None:
    children = Children(server.kube, Cache(lambda _: None))
    made = children.save(SECRET, None, access.new_tokens(network(), TOKENS))
    meanwhile(server, made)
    now = server.get(SECRET, KEY)
    with pytest.raises(Unavailable, match="Secret library-tokens has just changed"):
        children.save(SECRET, made, access.new_tokens(network(), TOKENS))
    assert server.get(SECRET, KEY) == now


def test_what_somebody_made_first_is_left(server: ApiServer) -> None:
    children = Children(server.kube, Cache(lambda _: None))
    children.save(SECRET, None, access.new_tokens(network(), TOKENS))
    with pytest.raises(Unavailable, match="Secret library-tokens has just been made"):
        children.save(SECRET, None, access.new_tokens(network(), TOKENS))


def test_keys_of_others_stay(server: ApiServer) -> None:
    children = Children(server.kube, Cache(lambda _: None))
    made = children.save(SECRET, None, access.new_tokens(network(), TOKENS))
    wanted = access.new_tokens(network(), TOKENS)
    wanted["data"] = {"read": "YW5vdGhlcg=="}
    saved = children.save(SECRET, made, wanted)
    assert saved["data"] == made["data"] | {"read": "YW5vdGhlcg=="}
