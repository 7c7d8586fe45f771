"""Reading a file by REST while the node is still fetching it."""

from __future__ import annotations

import http.client
import os
import time

import pytest

from tests.nodes import HOST, Nodes
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

MIB = 1024 * 1024


def test_the_first_byte_is_early_and_the_rest_comes_as_fast_as_the_download(nodes: Nodes) -> None:
    body = os.urandom(16 * MIB)
    far = nodes.start("far", files={"film.mp4": body}, upload_limit=2 * MIB).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: "film.mp4" in near.names(), "near knows it")
    connection = http.client.HTTPConnection(HOST, near.config["port"], timeout=60)
    began = time.monotonic()
    connection.request("GET", "/files/film.mp4")
    response = connection.getresponse()
    read = response.read(1)
    first = time.monotonic() - began
    (download,) = near.get("/api/v1/downloads")["downloads"]
    assert download["state"] == "running"
    assert download["verified"] < len(body) / 2
    read += response.read()
    last = time.monotonic() - began
    connection.close()
    assert read == body
    # The link alone takes 8 s.
    assert first < last / 4
    (download,) = near.get("/api/v1/downloads")["downloads"]
    wait_for(
        lambda: near.get("/api/v1/downloads")["downloads"][0]["state"] == "complete", "it is in the library"
    )
    assert last < 1.3 * near.get("/api/v1/downloads")["downloads"][0]["seconds"]


def test_a_seek_is_answered_before_what_lies_between_has_come(nodes: Nodes) -> None:
    body = os.urandom(16 * MIB)
    far = nodes.start("far", files={"film.mp4": body}, upload_limit=2 * MIB).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: "film.mp4" in near.names(), "near knows it")
    start = 12 * MIB + 12345
    response = near.request("GET", "/files/film.mp4", headers={"Range": f"bytes={start}-{start + 99_999}"})
    assert (response.status, response.data) == (206, body[start : start + 100_000])
    (download,) = near.get("/api/v1/downloads")["downloads"]
    assert download["verified"] < len(body) / 2
