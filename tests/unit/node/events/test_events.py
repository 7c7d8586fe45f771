"""Events: what is written is what the schema says, and what is not an event is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from minga_node.errors import BadRequest
from minga_node.events import decode
from minga_node.events.files import Runs, event_of
from minga_node.events.schema import schema, text
from minga_node.index import Entry

ENTRIES = [
    Entry(1, "Información.pdf", bytes(32), 3, "application/pdf", 5, True),
    Entry(2, "b", bytes(32), 3, "x/y", 5, False),
    Entry(3, "b", None),
]


def test_the_schema_in_the_documentation_is_the_codes() -> None:
    assert (Path(__file__).parents[4] / "docs" / "events.schema.json").read_text() == text()


def test_events_of_entries_keep_to_the_schema_and_become_the_same_entries() -> None:
    events = [event_of("test", "a", 7, entry) for entry in ENTRIES]
    for event in events:
        jsonschema.validate(json.loads(event.encode()), schema())
    (delta,) = Runs().take(decode(event.encode()) for event in events)
    assert (delta.peer_id, delta.epoch, delta.from_version, delta.to_version) == ("a", 7, 0, 3)
    assert list(delta.entries) == [ENTRIES[0], ENTRIES[2]], "of one name the last word counts"


def test_events_with_a_gap_or_twice_become_deltas_of_their_own_or_none() -> None:
    events = [event_of("test", "a", 7, Entry(version, f"n{version}", bytes(32))) for version in (1, 1, 2, 5)]
    spans = [(delta.from_version, delta.to_version) for delta in Runs().take(events)]
    assert spans == [(0, 2), (4, 5)]


GOOD = json.loads(event_of("test", "a", 7, ENTRIES[0]).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\x00", b"[]", b"{}", b"x" * 100_000,
        json.dumps({**GOOD, "specversion": "0.3"}).encode(),
        json.dumps({**GOOD, "type": "dev.minga.unknown"}).encode(),
        json.dumps({**GOOD, "id": ""}).encode(),
        json.dumps({**GOOD, "data": {**GOOD["data"], "version": "1"}}).encode(),
        json.dumps({**GOOD, "data": {**GOOD["data"], "version": True}}).encode(),
        json.dumps({**GOOD, "data": {**GOOD["data"], "id": "ZZ" * 32}}).encode(),
        json.dumps({**GOOD, "data": {"peer": "a"}}).encode(),
        json.dumps({**GOOD, "data": {**GOOD["data"], "name": "\ud800"}}).encode(),
        json.dumps({**GOOD, "data": {**GOOD["data"], "name": "x" * 5000}}).encode(),
        json.dumps({**GOOD, "id": "x" * 300}).encode(),
        json.dumps({**GOOD, "id": "\ud800"}).encode(),
        json.dumps({**GOOD, "source": "somewhere"}).encode(),
    ],
)  # fmt: skip
def test_what_is_not_an_event_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode(body)


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_an_event_carries_the_trace_it_belongs_to() -> None:
    event = replace(event_of("test", "a", 7, ENTRIES[0]), traceparent=TRACE)
    jsonschema.validate(json.loads(event.encode()), schema())
    assert decode(event.encode()).traceparent == TRACE
    assert b"traceparent" not in event_of("test", "a", 7, ENTRIES[0]).encode()


@pytest.mark.parametrize("value", [7, None, "", "00-x-y-01", TRACE + "-more", TRACE.upper()])
def test_a_trace_that_cannot_be_followed_is_no_reason_to_refuse_an_event(value: object) -> None:
    assert decode(json.dumps({**GOOD, "traceparent": value}).encode()).traceparent == ""
