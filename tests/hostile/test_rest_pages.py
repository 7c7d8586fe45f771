"""Pages of other sites in a visitor's browser, against a node that the browser can reach."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import urllib3

from tests.nodes import HTTP, Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

BROWSER = {"User-Agent": "Mozilla/5.0", "Accept-Language": "en", "Accept": "*/*"}
NAVIGATION = {**BROWSER, "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
ACTS = (
    ("GET", "/api/v1/files"),
    ("GET", "/files/mine.txt"),
    ("GET", "/"),
    ("GET", "/metrics"),
    ("PUT", "/files/theirs.txt"),
    ("DELETE", "/files/mine.txt"),
    ("POST", "/api/v1/downloads"),
)


def ask(node: RunningNode, method: str, path: str, **headers: Any) -> urllib3.BaseHTTPResponse:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return HTTP.request(method, node.url + path, headers=named, body=b"{}" if method != "GET" else None)


def test_a_name_that_another_site_could_have_gives_a_browser_nothing(nodes: Nodes) -> None:
    """DNS rebinding: the page's own name has come to mean this node's address."""
    node = nodes.start("one", files={"mine.txt": b"secret"}, allowed_hosts="files.example.com,*.example.org")
    node.ready()
    wait_for(lambda: node.names() == {"mine.txt"}, "the file")
    evil = f"evil.example:{node.config['port']}"
    for method, path in ACTS:
        refused = ask(node, method, path, Host=evil, **BROWSER)
        assert refused.status == 421, (method, path)
        assert "allowed_hosts" in refused.json()["detail"]
        assert b"secret" not in refused.data
    page = ask(node, "GET", "/", Host=evil, **NAVIGATION)
    assert (page.status, page.headers["Content-Type"]) == (421, "text/html; charset=utf-8")
    assert b"allowed_hosts" in page.data
    assert node.names() == {"mine.txt"}
    for host in ("files.example.com", "a.example.org", "peer1", "nas.local", "10.0.0.7:5000", "localhost"):
        assert ask(node, "GET", "/api/v1/files", Host=host, **BROWSER).status == 200, host


def test_programs_are_answered_by_any_name(nodes: Nodes) -> None:
    node = nodes.start("one", files={"mine.txt": b"x"}).ready()
    wait_for(lambda: node.names() == {"mine.txt"}, "the file")
    curl = {"User-Agent": "curl/8.5.0", "Accept": "*/*"}
    assert ask(node, "GET", "/files/mine.txt", Host="peer2.example.com", **curl).data == b"x"
    assert ask(node, "PUT", "/files/new.txt", Host="peer2.example.com", **curl).status == 201
    assert ask(node, "GET", "/api/v1/node", Host="peer2.example.com").status == 200


def test_another_sites_picture_makes_the_node_fetch_nothing(nodes: Nodes) -> None:
    far = nodes.start("far", files={"a <b>.bin": os.urandom(100_000)}).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: near.names() == {"a <b>.bin"}, "near knows it")
    path = "/files/a%20%3Cb%3E.bin"
    for headers in (
        {**BROWSER, "Sec-Fetch-Site": "cross-site"},
        {**BROWSER, "Referer": "http://evil.example/"},
        BROWSER,
    ):
        assert ask(near, "GET", path, **headers).status == 403
        assert ask(near, "GET", "/api/v1/archive?q=*", **headers).status == 403
    assert near.get("/api/v1/downloads") == {"downloads": []}
    # Whoever typed the address may wish it, by a link of ours.
    page = ask(near, "GET", path, **NAVIGATION)
    assert (page.status, page.headers["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert f'href="{path}"'.encode() in page.data
    assert b"<b>" not in page.data
    own = {**NAVIGATION, "Referer": near.url + path}
    assert ask(near, "GET", path, **own).data == (far.directory / "a <b>.bin").read_bytes()
    # What is here is no act any more.
    wait_for(lambda: ask(near, "GET", path, **BROWSER).status == 200, "it is here")


def test_a_wrong_name_in_the_configuration_is_refused(nodes: Nodes) -> None:
    node = nodes.start("one", allowed_hosts=["http://files.example.com"])
    assert node.process.wait(60) == 2
    assert "allowed_hosts" in node.log
    assert json.loads((node.home / "peer_config.json").read_text())["allowed_hosts"]
