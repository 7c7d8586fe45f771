"""What `--json` prints is a contract: the keys of every command and their types, as written down here.

A key may be added (here as well); one that goes or changes its type breaks somebody's script.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import Nodes, RunningNode
from tests.support.shell import Shell
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

HOLDERS = [{"peer": "str", "complete": "bool", "online": "bool"}]
FILES = [
    {
        "name": "str", "id": "str", "size": "int", "pieces": "int", "piece_size": "int", "sha256": "str?",
        "media_type": "str", "modified": "str", "executable": "bool",
        "available": "bool", "holders": HOLDERS,
    }
]  # fmt: skip
DOWNLOADS = [
    {
        "id": "str", "content_id": "str", "name": "str", "state": "str", "size": "int", "verified": "int",
        "pieces": "int", "verified_pieces": "int", "rate": "float", "holders": "int", "why": "str",
        "error": "str", "error_type": "str", "created": "str", "seconds": "float", "sources": {"far": "int"},
        "duplicate_bytes": "int", "corrupt_pieces": "int", "stalls": "int", "limit": "float",
    }
]  # fmt: skip
PEERS = [
    {
        "id": "str", "state": "str", "silent": "float", "host": "str", "rest_port": "int", "grpc_port": "int",
        "data_port": "int", "seed": "bool", "version": "str", "files": "int", "bytes": "int", "lag": "int",
        "receives": "float", "sends": "float", "answers": "str", "self": "bool",
    }
]  # fmt: skip
STATUS = {
    "id": "str", "network": "str", "epoch": "int", "host": "str", "rest_port": "int", "grpc_port": "int",
    "data_port": "int", "seed": "bool", "version": "str", "ready": "bool", "problems": [],
    "broker_connected": "bool?", "broker_problem": "str", "files": "int", "bytes": "int",
    "peers_alive": "int", "disk_free": "int", "disk_total": "int", "peer_tls": "bool", "unshareable": "int",
    "unreadable": "int", "kept": "int", "troubles": [],
}  # fmt: skip
WANT = {
    "id": "str", "name": "str?", "content_id": "str?", "fetch": "bool", "state": "str", "created": "str",
    "expires": "str", "found_id": "str", "found_peer": "str", "found_name": "str",
}  # fmt: skip
SHAPES: dict[str, tuple[tuple[str, ...], Any]] = {
    "ls": (("ls",), FILES),
    "search": (("search", "big"), FILES),
    "info": (("info", "big.bin"), FILES),
    "get": (("get", "big.bin"), [{"name": "str", "id": "str", "size": "int", "path": "str"}]),
    "get -r": (
        ("get", "-r", "many"),
        [{"name": "str", "id": "str", "size": "int", "path": "str"}],
    ),
    "put": (("put", "one.txt"), [{"name": "str", "id": "str", "size": "int"}]),
    "put -r": (("put", "-r", "folder"), [{"name": "str", "id": "str", "size": "int"}]),
    "rm": (("rm", "mine"), [{"name": "str"}]),
    "downloads": (("downloads",), DOWNLOADS),
    "peers": (("peers",), PEERS),
    "status": (("status",), STATUS),
    "doctor": (("doctor",), [{"check": "str", "ok": "bool", "about": "str"}]),
    "want": (("want", "later.bin"), WANT),
    "wants": (("wants",), [WANT]),
    "version": (("version",), {"version": "str"}),
    "context ls": (("context", "ls"), {"current": "str?", "nodes": {}, "with_token": []}),
}


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    nodes = Nodes(tmp_path_factory.mktemp("json"))
    far = nodes.start("far", files={"big.bin": b"x" * 1_000_000, "many/a": b"a", "many/b": b"b"}).ready()
    node = nodes.start("near", far, files={"mine": b"m"}).ready()
    wait_for(lambda: node.names() >= {"big.bin", "many/a", "many/b", "mine"}, "near knows all files")
    assert node.fetch(name="big.bin")["state"] == "complete"
    node.request("POST", "/api/v1/wants", json={"name": "later.bin"})
    yield node
    nodes.stop()


def differences(found: Any, wanted: Any, where: str = "") -> list[str]:
    """Where a value is not of a shape; a type with ``?`` may be null."""
    match wanted:
        case dict():
            if not isinstance(found, dict):
                return [f"{where}: no object"]
            keys = [f"{where}.{key} is missing" for key in wanted.keys() - found.keys()]
            keys += [f"{where}.{key} is new" for key in found.keys() - wanted.keys()]
            return keys + [
                line
                for key in wanted.keys() & found.keys()
                for line in differences(found[key], wanted[key], f"{where}.{key}")
            ]
        case list():
            if not isinstance(found, list):
                return [f"{where}: no array"]
            return [
                line for one in found for shape in wanted for line in differences(one, shape, f"{where}[]")
            ]
        case str():
            kinds = {"str": str, "int": int, "bool": bool, "float": (int, float)}
            if found is None:
                return [] if wanted.endswith("?") else [f"{where} is null"]
            kind = wanted.removesuffix("?")
            good = isinstance(found, kinds[kind]) and (kind == "bool" or not isinstance(found, bool))  # type: ignore[arg-type]
            return [] if good else [f"{where} is {found!r}, no {wanted}"]
        case _:
            raise AssertionError(wanted)


@pytest.mark.parametrize("what", SHAPES)
def test_the_keys_and_their_types(near: RunningNode, tmp_path: Path, what: str) -> None:
    arguments, shape = SHAPES[what]
    (tmp_path / "folder").mkdir()
    for name in ("one.txt", "folder/a", "folder/b"):
        (tmp_path / name).write_bytes(name.encode())
    found = Shell(tmp_path, near.url).json(*arguments)
    assert found, "nothing to look at"
    if what == "downloads":
        found = [row for row in found if row["name"] == "big.bin"][:1]
    assert differences(found, shape) == []


def test_all_commands_that_have_results_are_written_down() -> None:
    from minga_node.cli.main import group

    elsewhere = {
        "replicate": "needs a broker: tests/integration/test_mom.py",
        "replications": "the same", "drop": "the same", "jobs": "the same", "dead-letters": "the same",
        "events": "CloudEvents: docs/events.schema.json",
        "up": "no result", "down": "no result", "completion": "a script", "help": "no result",
        "token": "tests/integration/test_cli_tokens.py",
    }  # fmt: skip
    assert {what.split()[0] for what in SHAPES} | elsewhere.keys() == set(group.commands)


def test_errors_go_to_standard_error_only(near: RunningNode, tmp_path: Path) -> None:
    ended = Shell(tmp_path, near.url).run("--json", "get", "missing")
    assert (ended.returncode, ended.stdout) == (3, b"")
    assert b"nobody shares missing" in ended.stderr


def test_the_shapes_find_what_differs() -> None:
    assert differences(json.loads('[{"a": 1}]'), [{"a": "str"}]) == ["[].a is 1, no str"]
    assert differences({"a": True}, {"a": "int"}) == [".a is True, no int"]
    assert differences({"b": 1}, {"a": "int"}) == [".a is missing", ".b is new"]
