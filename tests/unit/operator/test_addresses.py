"""Where to go."""

from __future__ import annotations

from typing import Any

import pytest

from minga_operator.addresses import address, url
from tests.unit.operator.networks import network

BALANCED = {"service": {"type": "LoadBalancer"}}


def service(**given: str) -> dict[str, Any]:
    return {"status": {"loadBalancer": {"ingress": [given]}}}


@pytest.mark.parametrize(
    ("spec", "live", "expected", "where"),
    [
        ({}, None, "http://library.shelf.svc:5000", None),
        (BALANCED, None, "http://library.shelf.svc:5000", "pending"),
        (BALANCED, {"status": {"loadBalancer": {}}}, "http://library.shelf.svc:5000", "pending"),
        (BALANCED, service(ip="192.0.2.7"), "http://192.0.2.7:5000", "192.0.2.7"),
        (BALANCED, service(ip="2001:db8::7"), "http://[2001:db8::7]:5000", "2001:db8::7"),
        (BALANCED, service(hostname="lb.example.com", ip=""), "http://lb.example.com:5000", "lb.example.com"),
        ({"ingress": {"host": "a.example.com"}}, None, "http://a.example.com", None),
        ({"ingress": {"host": "a.example.com", "tlsSecretName": "t"}}, None, "https://a.example.com", None),
        ({"gateway": {"name": "g", "hostnames": ["b.example.com"]}}, None, "http://b.example.com", None),
        ({"gateway": {"name": "g"}}, None, "http://library.shelf.svc:5000", None),
    ],
)
def test_the_best_address_there_is(
    spec: dict[str, Any], live: dict[str, Any] | None, expected: str, where: str | None
) -> None:
    of = network(spec)
    assert (url(of, live), address(of, live)) == (expected, where)
