"""CloudEvents 1.0 in JSON (structured mode, ``application/cloudevents+json``)."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from minga_node.errors import BadRequest
from minga_node.events.types import PREFIX, TYPES, Field, Kind

CONTENT_TYPE = "application/cloudevents+json"
LARGEST_EVENT_BYTES = 64 * 1024
MOST_TEXT_CHARACTERS = 4096
MOST_ATTRIBUTE_CHARACTERS = 256
SOURCE = re.compile(r"/networks/[^/\s]{1,128}/peers/[^/\s]{1,128}")
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Value = str | int | bool


@dataclass(frozen=True, slots=True)
class Event:
    """``id`` is unique with ``source``; the same event may come more than once, always with the same id."""

    id: str
    type: str
    source: str
    """``/networks/NAME/peers/ID``"""
    time: str
    """RFC 3339."""
    subject: str
    data: Mapping[str, Value]
    traceparent: str = ""
    """CloudEvents' extension for distributed tracing: the span that made it, as W3C writes it."""

    @property
    def routing_key(self) -> str:
        return self.type.removeprefix(PREFIX)

    def text(self, key: str) -> str:
        return str(self.data.get(key, ""))

    def number(self, key: str) -> int:
        return int(self.data[key])

    def encode(self) -> bytes:
        return json.dumps(
            {
                "specversion": "1.0",
                "id": self.id,
                "type": self.type,
                "source": self.source,
                "time": self.time,
                **({"subject": self.subject} if self.subject else {}),
                **({"traceparent": self.traceparent} if self.traceparent else {}),
                "datacontenttype": "application/json",
                "data": dict(self.data),
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()


def make(network: str, routing_key: str, subject: str = "", id_: str = "", /, **data: Value) -> Event:
    """A new event of the node ``data["peer"]``."""
    return Event(
        id_ or uuid.uuid4().hex,
        PREFIX + routing_key,
        f"/networks/{network}/peers/{data['peer']}",
        datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        subject,
        data,
    )


def decode(body: bytes) -> Event:
    """The event in a message, checked.

    Raises:
        BadRequest: not a CloudEvent, of a type nobody knows, or without what its type must have.
    """
    if len(body) > LARGEST_EVENT_BYTES:
        raise BadRequest(f"a message of {len(body)} bytes")
    try:
        found = json.loads(body)
        if b"\\u" in body:
            # Half a pair of surrogates is JSON but no text (RFC 8259, 8.2): nothing here can keep it.
            json.dumps(found, ensure_ascii=False).encode()
    except ValueError:
        raise BadRequest("not JSON") from None
    if not isinstance(found, dict) or found.get("specversion") != "1.0":
        raise BadRequest("not a CloudEvent 1.0")
    attributes = [found.get(name) for name in ("id", "type", "source")]
    if not all(isinstance(value, str) and value for value in attributes):
        raise BadRequest("id, type or source is missing")
    id_, type_, source = (str(value) for value in attributes)
    if len(id_) > MOST_ATTRIBUTE_CHARACTERS or not SOURCE.fullmatch(source):
        raise BadRequest("its id or source is not what it should be")
    known = TYPES.get(type_)
    if known is None:
        raise BadRequest("of an unknown type")
    data = found.get("data")
    if not isinstance(data, dict):
        raise BadRequest("without data")
    for field in known.fields:
        if field.name in data:
            _check(field, data[field.name])
        elif not field.optional:
            raise BadRequest(f"without {field.name}")
    return Event(
        id_,
        type_,
        source,
        str(found.get("time", "")),
        str(found.get("subject", "")),
        data,
        traceparent_of(found),
    )


def traceparent_of(message: Mapping[str, Any]) -> str:
    """A message's trace; empty when it has none, or none that can be followed (W3C says to go on without)."""
    value = message.get("traceparent")
    return value if isinstance(value, str) and TRACEPARENT.fullmatch(value) else ""


def _check(field: Field, value: Any) -> None:
    good = {
        Kind.TEXT: isinstance(value, str) and len(value) <= MOST_TEXT_CHARACTERS,
        Kind.BOOLEAN: isinstance(value, bool),
        Kind.INTEGER: isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63,
        Kind.ID: _is_hex(value, 64),
        Kind.SIGNATURE: _is_hex(value, 192),
    }
    if not good[field.kind]:
        raise BadRequest(f"{field.name} is not what it should be")


def _is_hex(value: Any, digits: int) -> bool:
    return isinstance(value, str) and len(value) == digits and not set(value) - set("0123456789abcdef")
