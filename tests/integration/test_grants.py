"""Tokens that are for some names alone: what they do not cover does not exist for their bearers."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minga_node.grants import Grant, Scope
from minga_node.local.broker import PrivateBroker, private
from minga_node.token_files import grant_line, new_token
from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

ALL, A_WRITES, A_READS, BOTH = (new_token() for _ in range(4))
OURS, SHARED = os.urandom(200_000), os.urandom(5_000)
THEIRS = os.urandom(200_000)
SECRET = "team-b/takeover-plan.bin"

Headers = dict[str, str]


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def write_grants(directory: Path, *grants: tuple[str, Grant]) -> None:
    fresh = directory / ".grants"
    fresh.write_text("".join(grant_line(token, grant) + "\n" for token, grant in grants))
    fresh.replace(directory / "grants")


GRANTS = (
    (A_WRITES, Grant(Scope.WRITE, ("team-a/",), id="aaaaaaa1")),
    (A_READS, Grant(Scope.READ, ("team-a/",), id="aaaaaaa2")),
    (BOTH, Grant(Scope.WRITE, ("team-a/", "team-b/"), id="abababab")),
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    with private(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, broker: PrivateBroker
) -> Iterator[tuple[RunningNode, RunningNode]]:
    """One node that is asked, and another that has files, too."""
    base = tmp_path_factory.mktemp("grants")
    config = {"tokens_directory": str(base / "tokens"), "broker_url": broker.url}
    tokens = base / "tokens"
    tokens.mkdir()
    (tokens / "write").write_text(ALL)
    write_grants(tokens, *GRANTS)
    nodes = Nodes(base)
    files = {"team-a/ours.bin": OURS, "team-a/alias.bin": SHARED, SECRET: THEIRS, "team-b/orig.bin": SHARED}
    one = nodes.start("one", files={"team-b/here.bin": b"here"}, **config).ready()
    nodes.start("two", one, files=files, **config).ready()
    wait_for(lambda: len(rows(one, ALL)) == 5, "both nodes' files")
    wait_for(lambda: one.metric("minga_broker_connected") == 1, "the broker")
    yield one, nodes.all[1]
    nodes.stop()


@pytest.fixture
def node(pair: tuple[RunningNode, RunningNode]) -> RunningNode:
    return pair[0]


@pytest.fixture(scope="module")
def ids(pair: tuple[RunningNode, RunningNode]) -> dict[str, str]:
    return {row["name"]: row["id"] for row in rows(pair[0], ALL)}


def rows(node: RunningNode, token: str, query: str = "") -> list[dict[str, Any]]:
    response = node.request("GET", f"/api/v1/files?{query}", headers=bearer(token))
    assert response.status == 200, response.data
    found: list[dict[str, Any]] = response.json()["files"]
    return found


def names(node: RunningNode, token: str, query: str = "") -> set[str]:
    return {row["name"] for row in rows(node, token, query)}


def status(node: RunningNode, token: str, method: str, path: str, **more: Any) -> int:
    response = node.request(method, path, headers=bearer(token), **more)
    return response.status


def test_searches_find_only_what_the_grant_covers(node: RunningNode) -> None:
    ours = {"team-a/ours.bin", "team-a/alias.bin"}
    assert names(node, A_READS) == ours
    assert names(node, A_READS, "q=bin") == ours
    assert names(node, A_READS, "q=*.bin&sort=-size") == ours
    assert names(node, A_READS, "q=team-b") == set()
    assert names(node, A_READS, "scope=local") == set()
    assert names(node, A_READS, f"name={SECRET}") == set()
    assert names(node, BOTH) == names(node, ALL)
    # The answer to one caller is not remembered for another.
    assert names(node, ALL, "q=bin") > ours
    assert names(node, A_READS, "q=bin") == ours


def test_pages_of_a_search_go_on_within_the_grant(node: RunningNode) -> None:
    found, cursor = [], ""
    while True:
        answer = node.request("GET", f"/api/v1/files?limit=1{cursor}", headers=bearer(A_READS)).json()
        found += [row["name"] for row in answer["files"]]
        if answer["next_cursor"] is None:
            break
        cursor = f"&cursor={answer['next_cursor']}"
    assert found == ["team-a/alias.bin", "team-a/ours.bin"]


@pytest.mark.parametrize("token", [A_READS, A_WRITES], ids=["reader", "writer"])
def test_no_route_tells_of_a_name_that_the_grant_does_not_cover(
    node: RunningNode, ids: dict[str, str], token: str
) -> None:
    """Every route of the document, with the name and the id of what the caller may not know of."""
    # Something to tell of in every list: a download, a want, a request for copies.
    for path, body in (
        ("downloads", {"name": SECRET}),
        ("wants", {"name": "team-b/wanted.bin"}),
        ("replications", {"id": ids[SECRET], "copies": 2}),
    ):
        assert node.request("POST", f"/api/v1/{path}", json=body, headers=bearer(ALL)).status in {201, 202}
    document = node.request("GET", "/api/v1/openapi.json").json()
    told, open_ = [], set()
    for path, methods in document["paths"].items():
        for method in methods:
            for identity in (ids[SECRET], *listed_ids(node)):
                url = re.sub(r"{(\w+)}", lambda m, i=identity: SECRET if m[1] == "name" else i, path)  # type: ignore[misc]
                response = node.request(method.upper(), url, headers=bearer(token), preload_content=False)
                data = b"" if response.headers["Content-Type"] == "text/event-stream" else response.read()
                response.close()
                if response.status < 400:
                    open_.add(path)
                problem = response.headers["Content-Type"] == "application/problem+json"
                asked = problem and response.status in {400, 403, 404, 405}
                leaks = [word for word in ("takeover", "wanted", ids[SECRET]) if word.encode() in data]
                if (leaks and not asked) or (data and data in THEIRS):
                    told.append((method, url, response.status, leaks))
    assert told == []
    assert {"/api/v1/files", "/api/v1/downloads", "/api/v1/wants", "/api/v1/replications"} <= open_
    assert node.request("GET", f"/files/{SECRET}", headers=bearer(ALL)).data == THEIRS


def listed_ids(node: RunningNode) -> list[str]:
    """Of everything that this node remembers, as somebody sees who may see it all."""
    return [
        each["id"]
        for path in ("downloads", "wants", "replications", "jobs")
        for each in node.request("GET", f"/api/v1/{path}", headers=bearer(ALL)).json()[path]
    ]


def test_what_may_not_be_known_is_answered_as_what_is_not_there(
    node: RunningNode, ids: dict[str, str]
) -> None:
    """To the letter, but for the name that was asked for itself."""
    for there, nothing in (
        (f"/files/{SECRET}", "/files/team-b/no-such.bin"),
        ("/files/team-b/here.bin", "/files/team-b/no-such.bin"),
        (f"/pieces/{ids[SECRET]}", f"/pieces/{'0' * 64}"),
    ):
        answers = [node.request("GET", path, headers=bearer(A_READS)) for path in (there, nothing)]
        texts = [
            re.sub(r"team-b/[a-z.-]+|[0-9a-f]{64}", "X", answer.data.decode()).replace(" ", "")
            for answer in answers
        ]
        assert [answer.status for answer in answers] == [404, 404]
        assert texts[0] == texts[1]


def test_one_content_under_two_names_is_read_by_the_one_that_may_be_known(
    node: RunningNode, ids: dict[str, str]
) -> None:
    identity = ids["team-a/alias.bin"]
    assert identity == ids["team-b/orig.bin"]
    got = node.request("GET", "/files/team-a/alias.bin", headers=bearer(A_READS))
    assert (got.status, got.data) == (200, SHARED)
    wait_for(lambda: status(node, A_READS, "GET", f"/pieces/{identity}") == 200, "the copy here")
    assert status(node, A_READS, "GET", f"/files/team-b/orig.bin?id={identity}") == 404
    assert status(node, A_WRITES, "POST", "/api/v1/replications", json={"id": identity, "copies": 2}) == 403
    assert status(node, A_WRITES, "DELETE", f"/api/v1/copies/{identity}?keep=1") == 403


def test_writing_is_for_the_names_of_the_grant(node: RunningNode, ids: dict[str, str]) -> None:
    assert status(node, A_WRITES, "PUT", "/files/team-a/new.txt", body=b"new") == 201
    for method in ("PUT", "DELETE"):
        assert status(node, A_WRITES, method, "/files/team-b/here.bin", body=b"mine") == 403
        assert status(node, A_WRITES, method, "/files/team-a.txt", body=b"mine") == 403
        assert status(node, A_READS, method, "/files/team-a/new.txt", body=b"mine") == 403
    assert node.request("GET", "/files/team-b/here.bin", headers=bearer(ALL)).data == b"here"
    assert status(node, A_WRITES, "DELETE", "/files/team-a/new.txt") == 204


def test_a_download_gives_a_content_no_name_outside_of_the_grant(
    node: RunningNode, ids: dict[str, str]
) -> None:
    identity = ids["team-a/ours.bin"]
    stolen = {"id": ids[SECRET], "name": "team-a/mine-now.bin"}
    assert status(node, A_WRITES, "POST", "/api/v1/downloads", json=stolen) == 404
    batch = {"files": [{**stolen, "size": 50_000}]}
    assert status(node, A_WRITES, "POST", "/api/v1/downloads", json=batch) == 404
    abroad = {"id": identity, "name": "team-b/planted.bin"}
    assert status(node, A_WRITES, "POST", "/api/v1/downloads", json=abroad) == 403
    assert (
        status(node, A_READS, "POST", "/api/v1/downloads", json={"id": identity, "name": "team-a/x"}) == 403
    )
    made = node.request(
        "POST", "/api/v1/downloads", json={"id": identity, "name": "team-a/x"}, headers=bearer(A_WRITES)
    )
    assert made.status == 202
    where = made.headers["Location"]
    assert status(node, A_READS, "GET", where) == 200
    ended = lambda: node.request("GET", where, headers=bearer(ALL)).json()["state"] == "complete"  # noqa: E731
    wait_for(ended, "the download")


def test_archives_hold_what_the_grant_covers_and_take_no_other_name(node: RunningNode) -> None:
    answer = node.request("GET", "/api/v1/archive?q=*", headers=bearer(A_READS))
    with tarfile.open(fileobj=io.BytesIO(answer.data)) as tar:
        assert {name.split("/")[0] for name in tar.getnames()} == {"team-a"}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("team-a/packed.txt", "team-b/packed.txt"):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    taken = node.request("POST", "/api/v1/archive", body=packed.getvalue(), headers=bearer(A_WRITES)).json()
    assert [file["name"] for file in taken["files"]] == ["team-a/packed.txt"]
    assert taken["refused"] == [{"name": "team-b/packed.txt", "reason": "the token may not write this name"}]


def test_a_batch_is_known_to_those_who_may_know_all_of_it(node: RunningNode, ids: dict[str, str]) -> None:
    def batch(*files: str) -> dict[str, Any]:
        return {"files": [{"name": name, "id": ids[name], "size": 5_000} for name in files]}

    mixed = node.request(
        "POST",
        "/api/v1/downloads",
        json=batch("team-a/alias.bin", "team-b/orig.bin"),
        headers=bearer(BOTH),
    )
    ours = node.request("POST", "/api/v1/downloads", json=batch("team-a/alias.bin"), headers=bearer(A_READS))
    assert (mixed.status, ours.status) == (202, 202)
    where = mixed.headers["Location"]
    assert status(node, A_READS, "GET", ours.headers["Location"]) == 200
    assert status(node, BOTH, "GET", where) == 200
    for path in (where, f"{where}/events", f"{where}/archive"):
        assert status(node, A_READS, "GET", path) == 404
    listed = node.request("GET", "/api/v1/downloads", headers=bearer(A_READS)).json()["downloads"]
    assert where.rpartition("/")[2] not in {each["id"] for each in listed}


def test_wants_are_by_name_within_the_grant(node: RunningNode, ids: dict[str, str]) -> None:
    assert status(node, A_WRITES, "POST", "/api/v1/wants", json={"id": ids[SECRET]}) == 403
    assert status(node, A_WRITES, "POST", "/api/v1/wants", json={"name": "team-b/x"}) == 403
    assert status(node, A_READS, "POST", "/api/v1/wants", json={"name": "team-a/x"}) == 403
    assert status(node, A_WRITES, "POST", "/api/v1/wants", json={"name": "team-a/some-day"}) == 201
    wants = node.request("GET", "/api/v1/wants", headers=bearer(A_READS)).json()["wants"]
    assert {want["name"] for want in wants} == {"team-a/some-day"}


@contextlib.contextmanager
def events(node: RunningNode, headers: Headers) -> Iterator[Iterator[bytes]]:
    """The lines of the stream of events."""
    response = node.request("GET", "/api/v1/events", headers=headers, preload_content=False)
    assert response.status == 200
    stream = response.stream(1)
    try:
        yield (line for line in _lines(stream))
    finally:
        response.close()


def _lines(stream: Iterator[bytes]) -> Iterator[bytes]:
    kept = b""
    for byte in stream:
        kept += byte
        if byte == b"\n":
            yield kept
            kept = b""


def test_events_tell_of_files_that_the_grant_covers(node: RunningNode) -> None:
    with events(node, bearer(A_READS)) as lines:
        assert next(lines).startswith(b": following")
        assert status(node, ALL, "PUT", "/files/team-b/news.txt", body=b"theirs") == 201
        assert status(node, ALL, "PUT", "/files/team-a/news.txt", body=b"ours") == 201
        seen = b""
        for line in lines:
            seen += line
            if b"team-a/news.txt" in line:
                break
    assert b"team-b" not in seen


def test_what_is_about_the_whole_node_needs_a_grant_for_all_names(node: RunningNode) -> None:
    for method, path in (
        ("POST", "/api/v1/drain"),
        ("GET", "/api/v1/drain"),
        ("DELETE", "/api/v1/peers/two"),
        ("GET", "/api/v1/dead-letters"),
    ):
        assert status(node, A_WRITES, method, path) == 403, path
    assert status(node, A_WRITES, "GET", "/api/v1/peers") == 200


def test_the_caller_is_told_what_the_grant_covers(node: RunningNode) -> None:
    about = node.request("GET", "/api/v1/session", headers=bearer(A_READS)).json()
    assert about == {
        "needed": True,
        "scope": "read",
        "until": None,
        "prefixes": ["team-a/"],
        "expires": None,
    }


def signed_in(node: RunningNode, token: str) -> Headers:
    response = node.request("POST", "/api/v1/session", headers=bearer(token))
    assert response.status == 200
    return {"Cookie": response.headers["Set-Cookie"].split(";")[0]}


def test_a_session_covers_what_its_token_does(node: RunningNode) -> None:
    cookie = signed_in(node, A_READS)
    found = node.request("GET", "/api/v1/files", headers=cookie).json()["files"]
    assert {row["name"].split("/")[0] for row in found} == {"team-a"}
    assert node.request("GET", f"/files/{SECRET}", headers=cookie).status == 404


def test_signing_out_ends_the_session_also_for_a_copy_of_its_cookie(node: RunningNode) -> None:
    cookie, other = signed_in(node, A_READS), signed_in(node, A_READS)
    assert node.request("GET", "/api/v1/files", headers=cookie).status == 200
    assert node.request("DELETE", "/api/v1/session", headers=cookie).status == 204
    assert node.request("GET", "/api/v1/files", headers=cookie).status == 401
    assert node.request("GET", "/api/v1/files", headers=other).status == 200


def test_a_grant_ends_when_it_is_revoked_and_when_it_expires(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tokens / "write").write_text(ALL)
    short, long = new_token(), new_token()
    ends = int(time.time()) + 6
    granted = [
        (short, Grant(Scope.READ, expires=ends, id="ffffffff")),
        (long, Grant(Scope.READ, id="eeeeeeee")),
    ]
    write_grants(tokens, *granted)
    nodes = Nodes(tmp_path)
    try:
        node = nodes.start("alone", tokens_directory=str(tokens)).ready()
        cookie = signed_in(node, long)
        with events(node, bearer(long)) as following, events(node, bearer(short)) as expiring:
            assert next(following).startswith(b": following")
            assert next(expiring).startswith(b": following")
            wait_for(lambda: status(node, short, "GET", "/api/v1/files") == 401, "the token expires", 15)
            assert time.time() >= ends
            write_grants(tokens)
            wait_for(lambda: status(node, long, "GET", "/api/v1/files") == 401, "the token is revoked", 5)
            assert node.request("GET", "/api/v1/files", headers=cookie).status == 401
            # With the next event, or the next sign of life, the streams end, too.
            assert status(node, ALL, "PUT", "/files/news.txt", body=b"news") == 201
            for lines in (following, expiring):
                assert b"news.txt" not in b"".join(lines)
    finally:
        nodes.stop()
