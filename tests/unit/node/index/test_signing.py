"""What is signed of a log: the same for the same set, and for nothing else."""

from __future__ import annotations

import random
from typing import Any

import pytest

from minga_node.index import Entry
from minga_node.index.log.signing import (
    MASK,
    Signer,
    from_bytes,
    log_statement,
    set_hash,
    statement,
    to_bytes,
    verified,
)  # fmt: skip

ENTRY = Entry(7, "a/b.txt", bytes(range(32)), 10, "text/plain", -5, True)
OTHERS = [Entry(n, f"name {n}", n.to_bytes(32, "big"), n, "x/y", n) for n in range(8, 30)]


def test_it_is_a_set_whose_order_does_not_count() -> None:
    shuffled = [ENTRY, *OTHERS]
    random.Random(1).shuffle(shuffled)
    assert set_hash(shuffled) == set_hash([ENTRY, *OTHERS]) != set_hash(OTHERS)


def test_what_goes_is_as_if_it_had_never_been() -> None:
    assert (set_hash([ENTRY, *OTHERS]) - set_hash([ENTRY])) & MASK == set_hash(OTHERS)
    assert (set_hash(OTHERS) - set_hash(OTHERS)) & MASK == set_hash([]) == 0


def test_tombstones_count_for_nothing() -> None:
    assert set_hash([ENTRY, Entry(8, "gone", None)]) == set_hash([ENTRY])


@pytest.mark.parametrize("change", [
    {"version": 8}, {"name": "a/b.txt2"}, {"content": bytes(32)}, {"size": 11}, {"media_type": "text/html"},
    {"modified_ms": 5}, {"complete": False},
    # The same bytes one after the other, cut elsewhere.
    {"name": "a/b.txtt", "media_type": "ext/plain"},
], ids=str)  # fmt: skip
def test_every_field_of_an_entry_counts(change: dict[str, Any]) -> None:
    assert set_hash([ENTRY._replace(**change)]) != set_hash([ENTRY])


def test_an_entry_twice_is_not_an_entry_once() -> None:
    assert set_hash([ENTRY, ENTRY]) not in {set_hash([ENTRY]), 0}


def test_a_row_of_the_database_is_the_entry_that_it_came_from() -> None:
    row = (7, "a/b.txt", bytes(range(32)), 10, "text/plain", -5, 1)
    assert set_hash([row]) == set_hash([ENTRY])


def test_a_hash_is_kept_as_it_is() -> None:
    total = set_hash(OTHERS)
    assert from_bytes(to_bytes(total)) == total


def test_a_signature_is_of_one_network_node_epoch_version_and_set() -> None:
    signer = Signer(Signer.make_secret())
    said = ("net", "node", 5, 9, set_hash(OTHERS))
    signature = signer.sign(log_statement(*said))
    assert verified(signer.key, signature, log_statement(*said))
    for other in [("Net", *said[1:]), ("net", "nodes", *said[2:]), (*said[:2], 6, *said[3:]),
                  (*said[:3], 10, said[4]), (*said[:4], set_hash([ENTRY]))]:  # fmt: skip
        assert not verified(signer.key, signature, log_statement(*other))
    assert not verified(Signer(Signer.make_secret()).key, signature, log_statement(*said))
    assert not verified(signer.key, b"short", log_statement(*said))
    assert not verified(b"no key", signature, log_statement(*said))


def test_parts_that_are_cut_elsewhere_are_another_statement() -> None:
    assert statement(b"x", "ab", "c") != statement(b"x", "a", "bc") != statement(b"xa", "bc")


def test_the_same_secret_is_the_same_key() -> None:
    secret = Signer.make_secret()
    assert Signer(secret).key == Signer(secret).key != Signer(Signer.make_secret()).key
