"""How the API server's answers become errors of ours."""

from __future__ import annotations

import json

import pytest

from minga_operator.errors import Refused, Unavailable, Waiting
from minga_operator.kinds import BY_NAME, NETWORK
from minga_operator.kube import Invalid, WriteConflict, error_of


def status(message: str, **details: object) -> bytes:
    return json.dumps({"kind": "Status", "message": message, "details": details}).encode()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (403, Refused),
        (404, Refused),
        (409, WriteConflict),
        (422, Invalid),
        (410, Unavailable),
        (429, Unavailable),
        (503, Unavailable),
    ],
)
def test_status_codes(code: int, kind: type[Exception]) -> None:
    found = error_of(code, status("why"))
    assert type(found) is kind
    assert "why" in str(found)


def test_a_namespace_that_ends_is_to_be_waited_for() -> None:
    found = error_of(403, status("no", causes=[{"reason": "NamespaceTerminating", "field": "x"}]))
    assert isinstance(found, Waiting)


@pytest.mark.parametrize("content", [b"", b"<html>bad gateway</html>", b"[]", b"null"])
def test_an_answer_that_is_no_status(content: bytes) -> None:
    assert isinstance(error_of(502, content), Unavailable)


def test_paths() -> None:
    assert BY_NAME["Pod"].path() == "/api/v1/pods"
    assert BY_NAME["Pod"].path("shelf", "a") == "/api/v1/namespaces/shelf/pods/a"
    assert NETWORK.path("shelf") == "/apis/minga.dev/v1alpha1/namespaces/shelf/p2pnetworks"
