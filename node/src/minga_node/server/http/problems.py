"""Problem documents (RFC 9457) as bytes."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

TYPE_PREFIX = "urn:minga:problem:"


def phrase(status: int) -> str:
    """The reason phrase of a status."""
    return HTTPStatus(status).phrase


def document(
    kind: str, status: int, detail: str, title: str = "", extra: dict[str, Any] | None = None
) -> bytes:
    """One problem document; ``title`` is the status's phrase unless it is given."""
    body = {
        "type": TYPE_PREFIX + kind,
        "title": title or phrase(status),
        "status": status,
        "detail": detail,
        **(extra or {}),
    }
    return (json.dumps(body, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
