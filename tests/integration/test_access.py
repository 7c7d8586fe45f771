"""REST with tokens: real nodes, every route, and what nodes need from each other."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.nodes import Nodes, RunningNode
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.integration

READ, WRITE = "read-token-0123456789", "write-token-0123456789"
WRONG = "wrong-token-0123456789"
NAME, CONTENT = "secret-plans.bin", os.urandom(300_000)

OPEN = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/node"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/session"),
    ("POST", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
}
"""What may be asked without a token. A route that is not here and answers is a hole: think before adding."""

FOR_READERS = {("POST", "/api/v1/downloads"), ("POST", "/api/v1/peers/probes")}
"""What readers may ask though it is no GET."""

Headers = dict[str, str]


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def write_tokens(directory: Path, **files: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        fresh = directory / f".{name}"
        fresh.write_text(text)
        fresh.replace(directory / name)
    return directory


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    base = tmp_path_factory.mktemp("access")
    tokens = write_tokens(base / "tokens", read=READ, write=f"# people\n{WRITE}\n")
    nodes = Nodes(base)
    yield nodes.start("one", files={NAME: CONTENT}, tokens_directory=str(tokens)).ready()
    nodes.stop()


def status(node: RunningNode, method: str, path: str, headers: Headers | None = None) -> int:
    """The status alone: some answers never end."""
    response = node.request(method, path, headers=headers, preload_content=False)
    response.close()
    return response.status


def problem(response: urllib3.BaseHTTPResponse) -> str:
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == response.status
    return str(response.json()["type"]).removeprefix("urn:minga:problem:")


def routes(node: RunningNode) -> list[tuple[str, str, str]]:
    """Method, path as the document has it, and one that can be asked, of everything that the node serves."""
    document = node.request("GET", "/api/v1/openapi.json").json()
    values = {"name": "no-such-file", "identity": "0" * 64}
    return [
        (method.upper(), path, re.sub(r"{(\w+)}", lambda match: values[match[1]], path))
        for path, methods in document["paths"].items()
        for method in methods
    ]


def test_every_route_needs_the_token_that_its_method_says(node: RunningNode) -> None:
    asked = routes(node)
    assert len(asked) > 25
    wrong = []
    for method, path, url in asked:
        found = {
            "none": status(node, method, url),
            "wrong": status(node, method, url, bearer(WRONG)),
            "read": status(node, method, url, bearer(READ)),
            "write": status(node, method, url, bearer(WRITE)),
        }
        if (method, path) in OPEN:
            # The session looks at a wrong token; nothing else does.
            ok = found["none"] in {200, 204} or (method, path) == ("POST", "/api/v1/session")
        else:
            ok = found["none"] == found["wrong"] == 401
            ok = ok and found["write"] not in {401, 403}
            may = found["read"] not in {401, 403}
            reading = method in {"GET", "HEAD"} or (method, path) in FOR_READERS
            ok = ok and (may if reading else found["read"] == 403)
        if not ok:
            wrong.append((method, path, found))
    assert wrong == []
    assert {(method, path) for method, path, _ in asked} >= OPEN


def test_the_openapi_document_says_so_too(node: RunningNode) -> None:
    document = node.request("GET", "/api/v1/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert schemes["token"] == {"type": "http", "scheme": "bearer"}
    assert schemes["session"] == {"type": "apiKey", "in": "cookie", "name": "minga-session-test"}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            reading = method in {"get", "head"} or (method.upper(), path) in FOR_READERS
            scope = "read" if reading else "write"
            wanted = [] if (method.upper(), path) in OPEN else [{"token": [scope]}, {"session": [scope]}]
            assert operation["security"] == wanted, (method, path)


@pytest.mark.parametrize("path", ["/", "/favicon.ico"])
def test_the_page_itself_is_for_everybody(node: RunningNode, path: str) -> None:
    assert node.request("GET", path).status == 200
    script = re.search(rb'src="(/?page/[^"]+)"', node.request("GET", "/").data)
    assert script is not None
    assert node.request("GET", f"/{script[1].decode().lstrip('/')}").status == 200


def test_what_is_open_tells_nothing_of_the_files(node: RunningNode) -> None:
    wait_for(lambda: listed(node), "the library")
    identity = listed(node)[0]["id"]
    for method, path in sorted(OPEN):
        body = node.request(method, path).data
        assert NAME.encode() not in body, path
        assert identity.encode() not in body, path


def listed(node: RunningNode, token: str = READ) -> list[dict[str, Any]]:
    response = node.request("GET", "/api/v1/files", headers=bearer(token))
    assert response.status == 200, response.data
    rows: list[dict[str, Any]] = response.json()["files"]
    return rows


@pytest.mark.parametrize(
    "request_line",
    [
        f"GET /files/{NAME}",
        f"HEAD /files/{NAME}",
        f"GET //files/{NAME}",
        f"GET /files//{NAME}",
        f"GET /files/./{NAME}",
        f"GET /page/../files/{NAME}",
        f"GET /%66iles/{NAME}",
        f"GET http://healthz/files/{NAME}",
        f"OPTIONS /files/{NAME}",
        f"TRACE /files/{NAME}",
        f"POST /files/{NAME}",
        "GET /no/such/route",
        "DELETE /healthz/x",
    ],
)
def test_no_way_of_writing_the_path_gets_around_it(node: RunningNode, request_line: str) -> None:
    with socket.create_connection(("127.0.0.1", node.config["port"]), 10) as connection:
        connection.sendall(f"{request_line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.split(b" ", 2)[1] == b"401", answer[:200]
    assert CONTENT[:1000] not in answer


def test_refusals_say_why_as_rfc_6750_wants(node: RunningNode) -> None:
    nothing = node.request("GET", "/api/v1/files")
    assert (nothing.status, problem(nothing)) == (401, "token-needed")
    assert nothing.headers["WWW-Authenticate"] == 'Bearer realm="minga"'
    wrong = node.request("GET", "/api/v1/files", headers=bearer(WRONG))
    assert (wrong.status, problem(wrong)) == (401, "invalid-token")
    assert wrong.headers["WWW-Authenticate"] == 'Bearer realm="minga", error="invalid_token"'
    weak = node.request("PUT", "/files/x.txt", body=b"x", headers=bearer(READ))
    assert (weak.status, problem(weak)) == (403, "insufficient-scope")
    assert (
        weak.headers["WWW-Authenticate"] == 'Bearer realm="minga", error="insufficient_scope", scope="write"'
    )
    assert not (node.directory / "x.txt").exists()
    basic = node.request("GET", "/api/v1/files", headers={"Authorization": "Basic eDp5"})
    assert (basic.status, problem(basic)) == (401, "token-needed")


def test_refusals_are_counted_by_reason(node: RunningNode) -> None:
    def count(reason: str) -> float:
        return node.metric("minga_rest_refused_total", reason=reason)

    before = {reason: count(reason) for reason in ("token-needed", "invalid-token", "insufficient-scope")}
    node.request("GET", "/api/v1/peers")
    node.request("POST", "/api/v1/session", headers=bearer(WRONG))
    node.request("DELETE", "/files/x", headers=bearer(READ))
    assert {reason: count(reason) - value for reason, value in before.items()} == dict.fromkeys(before, 1.0)


def test_with_the_right_tokens_all_is_as_without(node: RunningNode) -> None:
    made = node.request("PUT", "/files/made.txt", body=b"made", headers=bearer(WRITE))
    assert made.status == 201
    got = node.request("GET", "/files/made.txt", headers=bearer(READ))
    assert (got.status, got.data) == (200, b"made")
    assert "private" in got.headers["Cache-Control"]
    assert got.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    pieces = node.request("GET", f"/pieces/{made.json()['id']}", headers=bearer(READ))
    assert pieces.data == b"made"
    assert "public" not in pieces.headers["Cache-Control"]
    assert node.request("DELETE", "/files/made.txt", headers=bearer(WRITE)).status == 204


def test_no_token_is_ever_logged(node: RunningNode) -> None:
    for token in (READ, WRITE, WRONG):
        node.request("GET", "/api/v1/files", headers=bearer(token))
        node.request("POST", "/api/v1/session", headers=bearer(token))
        assert token not in node.log


def sign_in(node: RunningNode, token: str, **headers: str) -> tuple[Headers, str]:
    """The Cookie header of a session, and the whole Set-Cookie."""
    response = node.request("POST", "/api/v1/session", headers=bearer(token) | headers)
    assert response.status == 200, response.data
    said = response.headers["Set-Cookie"]
    return {"Cookie": said.split(";", 1)[0]}, said


def test_a_session_stands_for_its_token(node: RunningNode) -> None:
    cookie, said = sign_in(node, WRITE)
    assert {part.strip() for part in said.split(";")[1:]} >= {
        "HttpOnly",
        "SameSite=Strict",
        "Path=/",
        "Max-Age=43200",
    }
    assert "Secure" not in said
    assert WRITE not in said
    assert node.request("GET", f"/files/{NAME}", headers=cookie).data == CONTENT
    assert status(node, "GET", "/api/v1/events", cookie) == 200
    about = node.request("GET", "/api/v1/session", headers=cookie).json()
    assert (about["needed"], about["scope"]) == (True, "write")
    page = cookie | {"Origin": node.url}
    assert node.request("PUT", "/files/page.txt", body=b"p", headers=page).status == 201
    assert node.request("DELETE", "/files/page.txt", headers=page).status == 204


def test_a_session_changes_nothing_for_other_pages(node: RunningNode) -> None:
    cookie, _ = sign_in(node, WRITE)
    assert node.request("PUT", "/files/y.txt", body=b"y", headers=cookie).status == 401
    other = cookie | {"Origin": f"http://127.0.0.1:{node.config['port'] + 1}"}
    assert node.request("PUT", "/files/y.txt", body=b"y", headers=other).status == 403
    assert not (node.directory / "y.txt").exists()


def test_a_reader_s_session_only_reads(node: RunningNode) -> None:
    cookie, _ = sign_in(node, READ)
    assert node.request("GET", "/api/v1/files", headers=cookie).status == 200
    page = cookie | {"Origin": node.url}
    refused = node.request("POST", "/api/v1/wants", json={"name": "x"}, headers=page)
    assert (refused.status, problem(refused)) == (403, "insufficient-scope")
    assert node.request("GET", "/api/v1/session", headers=cookie).json()["scope"] == "read"


def test_a_wrong_token_wins_over_a_good_session(node: RunningNode) -> None:
    cookie, _ = sign_in(node, WRITE)
    assert node.request("GET", "/api/v1/files", headers=cookie | bearer(WRONG)).status == 401


@pytest.mark.parametrize("header", [{"X-Forwarded-Proto": "https"}, {"Origin": "https://127.0.0.1:{port}"}])
def test_behind_tls_the_cookie_is_for_tls_alone(node: RunningNode, header: Headers) -> None:
    headers = {key: value.format(port=node.config["port"]) for key, value in header.items()}
    assert "Secure" in sign_in(node, READ, **headers)[1].split("; ")


def test_signing_out_takes_the_cookie_away(node: RunningNode) -> None:
    response = node.request("DELETE", "/api/v1/session")
    assert response.status == 204
    assert response.headers["Set-Cookie"].startswith("minga-session-test=;")
    assert "Max-Age=0" in response.headers["Set-Cookie"]


@pytest.mark.parametrize("value", ["", "x", "1.9999999999." + "A" * 43, "1.1.A", READ])
def test_a_made_up_cookie_is_no_session(node: RunningNode, value: str) -> None:
    refused = node.request("GET", "/api/v1/files", headers={"Cookie": f"minga-session-test={value}"})
    assert (refused.status, problem(refused)) == (401, "token-needed")
    about = node.request("GET", "/api/v1/session").json()
    assert about == {"needed": True, "scope": None, "until": None, "prefixes": [], "expires": None}


def test_readers_fetch_what_there_is_and_give_no_new_names(nodes: Nodes, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", read=READ, write=WRITE)
    holder = nodes.start("holder", files={NAME: CONTENT, "a.txt": b"a"}).ready()
    node = nodes.start("near", holder, tokens_directory=str(tokens)).ready()
    wait_for(lambda: len(listed(node)) == 2, "the index")
    ids = {row["name"]: row["id"] for row in listed(node)}

    def ask(token: str, **body: Any) -> int:
        return node.request("POST", "/api/v1/downloads", json=body, headers=bearer(token)).status

    small = {"id": ids["a.txt"], "size": 1}
    assert ask(READ, id=ids[NAME], name="b.bin") == 403
    assert ask(READ, files=[small | {"name": "a.txt"}, small | {"name": "b.txt"}]) == 403
    assert ask(READ, files=[{"id": ids[NAME], "size": 1, "name": "a.txt"}]) == 403
    assert node.request("GET", "/api/v1/downloads", headers=bearer(READ)).json() == {"downloads": []}
    assert ask(READ, name=NAME) == 202
    assert ask(READ, files=[small | {"name": "a.txt"}]) == 202
    wait_for(lambda: (node.directory / NAME).exists() and (node.directory / "a.txt").exists(), "both files")
    assert ask(WRITE, id=ids[NAME], name="b.bin") == 202
    wait_for(lambda: (node.directory / "b.bin").exists(), "the new name")


def test_a_node_without_tokens_takes_everything(nodes: Nodes) -> None:
    node = nodes.start("open").ready()
    assert node.request("PUT", "/files/x.txt", body=b"x", headers=bearer(WRONG)).status == 201
    everything = {"needed": False, "scope": "write", "until": None, "prefixes": [], "expires": None}
    assert node.get("/api/v1/session") == everything
    assert node.request("POST", "/api/v1/session").json() == everything
    assert "public" in node.request("GET", f"/pieces/{node_id(node)}").headers["Cache-Control"]
    assert "REST is open" not in node.log


def node_id(node: RunningNode) -> str:
    return str(node.get("/api/v1/files?name=x.txt")["files"][0]["id"])


def test_an_open_node_that_others_reach_says_so(nodes: Nodes) -> None:
    node = nodes.start("wide", ip="0.0.0.0", advertise="127.0.0.1").ready()
    assert node.log.count("REST is open to everybody who reaches this node") == 1


def test_nodes_need_no_token_of_each_other(nodes: Nodes, tmp_path: Path) -> None:
    """Join, index, transfer, stream and drain of nodes that know different tokens."""
    first = write_tokens(tmp_path / "first", write=WRITE)
    second = write_tokens(tmp_path / "second", write=WRITE + "2")
    seed = nodes.start("seed", seed=True, tokens_directory=str(first)).ready()
    going = nodes.start("going", seed, files={NAME: CONTENT}, tokens_directory=str(second)).ready()
    wait_for(lambda: len(listed(seed, WRITE)) == 1, "the index")
    streamed = seed.request("GET", f"/files/{NAME}", headers=bearer(WRITE))
    assert streamed.data == CONTENT
    own = {"body": b"only here", "headers": bearer(WRITE + "2")}
    assert going.request("PUT", "/files/own.txt", **own).status == 201
    wait_for(lambda: len(listed(seed, WRITE)) == 2, "the index with the second file")
    assert going.request("POST", "/api/v1/drain", headers=bearer(WRITE + "2")).status == 202
    wait_for(lambda: (seed.directory / "own.txt").exists(), "the file that only one had")
    done = lambda: going.request("GET", "/api/v1/drain", headers=bearer(WRITE + "2")).json()["done"]  # noqa: E731
    wait_for(done, "the end of the drain")
    flows = seed.request("GET", "/api/v1/flows", headers=bearer(WRITE))
    assert flows.status == 200


def test_tokens_change_without_a_restart(nodes: Nodes, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", read=READ, write=WRITE)
    node = nodes.start("one", tokens_directory=str(tokens)).ready()
    other = nodes.start("two", node, tokens_directory=str(tokens)).ready()
    cookie, _ = sign_in(node, READ)
    assert other.request("GET", "/api/v1/files", headers=cookie).status == 200
    process = node.process.pid
    write_tokens(tokens, read=f"{READ}\n{READ}2", write=WRITE)
    wait_for(lambda: status(node, "GET", "/api/v1/files", bearer(READ + "2")) == 200, "the second token")
    assert status(node, "GET", "/api/v1/files", bearer(READ)) == 200
    write_tokens(tokens, read=f"{READ}2")
    wait_for(lambda: status(node, "GET", "/api/v1/files", bearer(READ)) == 401, "the end of the first token")
    assert status(node, "GET", "/api/v1/files", cookie) == 401
    write_tokens(tokens, read="short")

    def refused() -> bool:
        # It looks when it is asked.
        assert status(node, "GET", "/api/v1/files", bearer(READ + "2")) == 200
        return "the tokens known before stay good" in node.log

    wait_for(refused, "the refusal of a wrong file")
    assert status(node, "GET", "/api/v1/files", bearer(READ + "2")) == 200
    assert (node.process.pid, node.process.poll()) == (process, None)
    assert READ not in node.log


def test_metrics_can_be_protected(nodes: Nodes, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", read=READ)
    node = nodes.start("one", tokens_directory=str(tokens), protect_metrics=True).ready()
    assert status(node, "GET", "/metrics") == 401
    assert status(node, "GET", "/metrics", bearer(READ)) == 200
    # Whether it is ready or not just now.
    assert status(node, "GET", "/readyz") in {200, 503}


def test_wrong_tokens_start_no_node_and_say_so_in_one_line(nodes: Nodes, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", read="short-secret")
    node = nodes.start("one", tokens_directory=str(tokens))
    assert node.process.wait(PATIENCE) == 2
    expected = f"{tokens}/read: line 1 has 12 characters: expected a token of 20 to 512"
    assert node.log.strip().splitlines() == [f"minga-node: tokens_directory: {expected}"]
    assert json.loads((node.home / "peer_config.json").read_text())["tokens_directory"] == str(tokens)
