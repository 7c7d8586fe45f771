"""The command line against a node that lies: names that lead elsewhere, orders to the terminal."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from minga_node import tar
from minga_node.cli.main import group
from minga_node.manifest import Manifest

pytestmark = pytest.mark.integration

BODY = b"taken over"
ID = Manifest.of_one_piece(BODY).id
ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m\nforged line"


class Liar(ThreadingHTTPServer):
    """Answers as a node does, with one name for everything."""

    name = "x"

    def answer(self, method: str, path: str) -> Any:
        row = {
            "name": self.name, "id": ID, "size": len(BODY), "media_type": "text/plain", "modified": 0,
            "sha256": None, "available": True,
            "holders": [{"peer": "liar", "complete": True, "online": True}],
        }  # fmt: skip
        peer = {
            "id": self.name, "host": self.name, "rest_port": 1, "grpc_port": 2, "data_port": 3, "epoch": 1,
            "seed": False, "version": self.name, "state": "alive", "silent": 0.1, "files": 1, "bytes": 1,
            "lag": 0,
        }  # fmt: skip
        node = {
            **peer, "network": self.name, "ready": False, "problems": [self.name], "broker_connected": None,
            "peers_alive": 1, "disk_free": 1, "disk_total": 1, "peer_tls": False,
        }  # fmt: skip
        download = {
            "id": "d", "name": self.name, "content_id": ID, "size": len(BODY), "state": "complete",
            "verified": len(BODY), "holders": 1, "why": "complete", "sources": {"liar": len(BODY)},
            "error": None, "error_type": None, "rate": 0,
        }  # fmt: skip
        archive = tar.header(self.name, len(BODY), 0) + BODY + tar.padding(len(BODY)) + tar.END
        answers: dict[str, Any] = {
            "/api/v1/files": {"files": [row, {**row, "name": self.name + "2"}], "next_cursor": None},
            "/api/v1/peers": {"peers": [peer]},
            "/api/v1/node": node,
            "/api/v1/network": {"name": self.name, "files": 1, "bytes": 1},
            "/api/v1/session": {"needed": False, "scope": "write"},
            "/api/v1/flows": {"flows": []},
            "/api/v1/downloads": download
            if method == "POST"
            else {"downloads": [{**download, "state": "running"}]},
            "/api/v1/downloads/d": download,
            "/api/v1/downloads/d/events": f"data: {json.dumps(download)}\n\n".encode(),
            "/api/v1/downloads/d/archive": archive,
        }
        if method == "GET" and path.startswith("/files/"):
            return BODY
        return answers.get(path, {"detail": self.name, "title": self.name})


class Handler(BaseHTTPRequestHandler):
    server: Liar

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = self.server.answer(self.command, urlsplit(self.path).path)
        status = 404 if isinstance(said, dict) and "detail" in said else 200
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@dataclass
class Minga:
    """The command, in this process: there are many cases."""

    node: str
    home: Path

    def __call__(self, *arguments: str) -> Result:
        return CliRunner(env={"MINGA_NODE": self.node, "XDG_CONFIG_HOME": str(self.home / ".config")}).invoke(
            group, arguments
        )


@pytest.fixture
def minga(liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Minga:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return Minga(f"http://127.0.0.1:{liar.server_port}", home)


def everything(below: Path) -> set[Path]:
    return {path for path in below.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("arguments", [
    ("get", "-r", "m", "-o", "out/"),
    ("get", "m/*", "-o", "out/"),
    ("get", "--id", ID, "-o", "out/"),
    ("get", "x", "-o", "out/"),
])  # fmt: skip
@pytest.mark.parametrize(
    "name", ["m/{outside}", "m//{outside}", "m/../../stolen", "m/..", "m/.bashrc", "m/a\nb", "m/"]
)
def test_a_fetched_file_is_written_where_the_user_said_or_nowhere(
    liar: Liar, minga: Minga, tmp_path: Path, arguments: tuple[str, ...], name: str
) -> None:
    liar.name = name.format(outside=tmp_path / "stolen")
    ended = minga(*arguments)
    assert ended.exit_code == 1, ended.output
    assert ended.output.count("\n") == 1
    assert "tells a name that cannot be" in ended.output
    assert everything(tmp_path) == set()


def test_a_fetched_file_of_an_honest_name_is_written(liar: Liar, minga: Minga, tmp_path: Path) -> None:
    liar.name = "m/deep/x"
    assert minga("get", "--id", ID, "-o", "out/").exit_code == 0
    assert everything(tmp_path) == {minga.home / "out/x"}


@pytest.mark.parametrize("arguments", [
    ("peers",), ("status",), ("ls",), ("info", "x"), ("downloads",), ("doctor",), ("rm", "x"),
    ("--json", "peers"), ("--json", "ls"), ("--json", "status"),
])  # fmt: skip
def test_what_a_node_says_gives_no_orders_to_the_terminal(
    liar: Liar, minga: Minga, arguments: tuple[str, ...]
) -> None:
    liar.name = ESCAPE
    ended = minga(*arguments)
    said = ended.output
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    assert "owned" in said
    assert not set(said) & {chr(code) for code in (*range(10), *range(11, 32), *range(127, 160))}
    if arguments[0] == "--json":
        assert json.loads(said), "it is still JSON"
