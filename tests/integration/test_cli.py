"""The command ``minga`` against real nodes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import HTTP, Nodes, RunningNode
from tests.support.shell import Shell
from tests.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.integration

BIG = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningNode, RunningNode]]:
    nodes = Nodes(tmp_path_factory.mktemp("cli"))
    files = {
        "big.bin": BIG,
        "models/llama.gguf": b"llama" * 1000,
        "models/deep/x.txt": b"x",
        "same.txt": b"1",
    }
    far = nodes.start("far", files=files).ready()
    near = nodes.start("near", far, files={"same.txt": b"two"}).ready()
    wait_for(lambda: near.names() == set(files), "near knows everything")
    wait_for(lambda: len(near.get("/api/v1/files?q=same")["files"]) == 2, "both contents of one name")
    yield near, far
    nodes.stop()


@pytest.fixture
def minga(network: tuple[RunningNode, RunningNode], tmp_path: Path) -> Shell:
    return Shell(tmp_path, network[0].url)


def test_ls_shows_names_sizes_and_holders(minga: Shell) -> None:
    lines = minga("ls").splitlines()
    assert lines[0].split() == ["NAME", "SIZE", "MODIFIED", "ID", "HOLDERS"]
    assert any("big.bin" in line and "2.9 MiB" in line and "far" in line for line in lines)


def test_search_finds_by_part_of_the_name(minga: Shell) -> None:
    assert [row["name"] for row in minga.json("search", "LLAMA")] == ["models/llama.gguf"]
    assert [row["name"] for row in minga.json("search", "DEEP", "models")] == ["models/deep/x.txt"]
    assert minga("search", "nothing-like-it") == ""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--sort", "size", "--limit", "1"), ["models/deep/x.txt"]),
        (("--sort", "size", "-r", "--limit", "1"), ["big.bin"]),
        (("--sort", "name", "--reverse", "--limit", "2"), ["same.txt", "same.txt"]),
        (("--min-size", "5000", "--max-size", "4k"), None),
        (("--min-size", "4k", "--max-size", "1M"), ["models/llama.gguf"]),
        (("--type", "text/*", "--holder", "near"), ["same.txt"]),
        (("--copies", "2"), []),
        (("--available", "--min-size", "2M"), ["big.bin"]),
        (("--reverse",), None),
    ],
)
def test_ls_chooses_and_sorts(minga: Shell, options: tuple[str, ...], expected: list[str] | None) -> None:
    if expected is None:
        minga("ls", *options, expect=2)
    else:
        assert [row["name"] for row in minga.json("ls", *options)] == expected


def test_get_writes_the_verified_file(minga: Shell) -> None:
    assert "verified" in minga("get", "big.bin", "-o", "downloads/")
    assert (minga.home / "downloads/big.bin").read_bytes() == BIG
    assert list((minga.home / "downloads").iterdir()) == [minga.home / "downloads/big.bin"]


def test_get_to_a_file_to_standard_output_and_of_a_folder(minga: Shell) -> None:
    minga("get", "models/llama.gguf", "-o", "mine.gguf")
    assert (minga.home / "mine.gguf").read_bytes() == b"llama" * 1000
    assert minga("get", "models/llama.gguf", "-o", "-") == "llama" * 1000
    minga("get", "-r", "models", "-o", "all")
    assert (minga.home / "all/deep/x.txt").read_bytes() == b"x"
    assert (minga.home / "all/llama.gguf").exists()


def test_get_of_a_glob(minga: Shell) -> None:
    minga("get", "models/*.gguf", "-o", "globbed/")
    assert [path.name for path in (minga.home / "globbed").iterdir()] == ["llama.gguf"]


def test_a_checksum_that_differs_leaves_no_file(minga: Shell) -> None:
    minga("get", "big.bin", "--checksum", f"sha256:{hashlib.sha256(BIG).hexdigest()}", "-o", "good.bin")
    assert (minga.home / "good.bin").exists()
    minga("get", "big.bin", "--checksum", "sha256:" + "0" * 64, "-o", "bad.bin", expect=1)
    assert not (minga.home / "bad.bin").exists()


def test_put_info_rm(minga: Shell, network: tuple[RunningNode, RunningNode]) -> None:
    _, far = network
    (minga.home / "report.pdf").write_bytes(b"pdf")
    assert minga("put", "report.pdf").startswith("report.pdf  ")
    wait_for(lambda: "report.pdf" in far.names(), "the others see it")
    assert "application/pdf" in minga("info", "report.pdf")
    minga("rm", "report.pdf")
    wait_for(lambda: "report.pdf" not in far.names(), "its removal")


def test_put_a_folder_and_standard_input(minga: Shell, network: tuple[RunningNode, RunningNode]) -> None:
    near, _ = network
    (minga.home / "tree/sub").mkdir(parents=True)
    (minga.home / "tree/sub/a").write_bytes(b"a")
    (minga.home / "tree/.hidden").write_bytes(b"h")
    minga("put", "-r", "tree")
    assert near.request("GET", "/files/tree/sub/a").data == b"a"
    assert "tree/.hidden" not in near.names()
    minga("put", "-", "--as", "from/stdin.txt", stdin=b"typed")
    assert near.request("GET", "/files/from/stdin.txt").data == b"typed"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("get", "missing.bin"), 3, b"nobody shares missing.bin"),
        (("info", "missing.bin"), 3, b"nobody shares missing.bin"),
        (("get", "same.txt"), 4, b"--id "),
        (("get",), 2, b"name a file"),
        (("put", "nowhere.txt"), 2, b"does not exist"),
        (("rm", "missing.bin"), 3, b"missing.bin is not here"),
        (("--node", "http://127.0.0.1:1", "ls"), 6, b"nobody listens there"),
        (("get", "big.bin", "--checksum", "crc:1"), 2, b"expected one of"),
    ],
)
def test_a_mistake_is_one_clear_line_and_a_code_of_its_own(
    minga: Shell, arguments: tuple[str, ...], code: int, words: bytes
) -> None:
    ended = minga.run(*arguments)
    assert (ended.returncode, ended.stdout) == (code, b"")
    assert words in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_status_and_peers(minga: Shell) -> None:
    assert "ready    yes" in minga("status")
    assert "far" in minga("peers")
    assert minga.json("status")["id"] == "near"


def test_peers_say_what_each_holds(minga: Shell, network: tuple[RunningNode, RunningNode]) -> None:
    _, far = network
    about = far.get("/api/v1/node")
    wait_for(
        lambda: (
            [(p["files"], p["bytes"], p["lag"]) for p in minga.json("peers") if not p["self"]]
            == [(about["files"], about["bytes"], 0)]
        ),
        "what far holds",
    )
    heading, *rows = minga("peers").splitlines()
    assert heading.split()[:6] == ["PEER", "STATE", "FILES", "SIZE", "RECEIVES", "SENDS"]
    assert [row.split()[:2] for row in rows] == [["near", "this"], ["far", "alive"]]
    assert rows[1].split()[2] == str(about["files"])


def test_peers_and_status_say_what_moves_now(nodes: Nodes, tmp_path: Path) -> None:
    far = nodes.start("far", files={"slow.bin": b"x" * 400_000_000}, upload_limit=2_000_000).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: "slow.bin" in near.names(), "near knows it")
    near.request("POST", "/api/v1/downloads", json={"name": "slow.bin"})
    minga = Shell(tmp_path, near.url)
    wait_for(lambda: minga.json("peers")[1]["sends"] > 1_000_000, "far sends")
    assert minga.json("peers")[1]["receives"] == 0
    # It counts in whole pieces, here 256 KiB, so that the rate goes up and down around the limit.
    wait_for(lambda: re.search(r"receives 1 file at [1-3]\.\d MiB/s", minga("status")), "near receives")
    seen = Shell(tmp_path, far.url)
    wait_for(lambda: "MiB/s" in seen("peers"), "far sees it too")


def test_downloads_are_listed(minga: Shell) -> None:
    minga("get", "big.bin", "-o", "x.bin")
    assert any(row["name"] == "big.bin" and row["state"] == "complete" for row in minga.json("downloads"))


def test_doctor_finds_nothing_wrong_with_a_good_node(minga: Shell) -> None:
    findings = minga.json("doctor")
    assert all(finding["ok"] for finding in findings)
    assert {
        "node",
        "access",
        "network",
        "peer TLS",
        "gRPC",
        "pieces",
        "peers",
        "broker",
        "clock",
        "disk",
        "library",
        "reach",
        "version",
    } == {finding["check"] for finding in findings}


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals_and_can_be_switched_off(
    minga: Shell, no_color: str, coloured: bool
) -> None:
    assert b"\x1b[" not in minga.run("doctor").stdout
    ours, theirs = pty.openpty()
    minga.environment["NO_COLOR"] = no_color
    process = subprocess.Popen(
        [sys.executable, "-m", "minga_node.cli", "doctor"],
        env=minga.environment,
        stdout=theirs,
        stdin=subprocess.DEVNULL,
    )
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(ours, 4096):
            said += chunk
    os.close(ours)
    assert process.wait() == 0
    assert (b"\x1b[32m" in said) is coloured


def test_interrupting_put_says_what_is_shared(minga: Shell, network: tuple[RunningNode, RunningNode]) -> None:
    (minga.home / "folder").mkdir()
    (minga.home / "folder/first").write_bytes(b"1")
    os.mkfifo(minga.home / "pipe")
    process = minga.popen("put", "folder/first", "pipe")
    assert process.stdout is not None
    assert b"first" in process.stdout.readline(), "the first is shared, and the command knows it"
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 130
    assert b"interrupted; 1 of 2 files are shared, and the same command goes on" in said


def test_doctor_says_when_nobody_answers(minga: Shell) -> None:
    assert "WRONG" in minga("--node", "http://127.0.0.1:1", "doctor", expect=1)


def test_contexts_name_nodes(network: tuple[RunningNode, RunningNode], tmp_path: Path) -> None:
    minga = Shell(tmp_path, None)
    near, far = network
    minga("context", "add", "near", near.url)
    minga("context", "add", "far", far.url)
    assert minga.json("status")["id"] == "near"
    minga("context", "use", "far")
    assert minga.json("status")["id"] == "far"
    minga("context", "use", "nobody", expect=3)
    minga("context", "rm", "far")
    expected: dict[str, object] = {"current": None, "nodes": {"near": near.url}, "with_token": []}
    assert minga.json("context", "ls") == expected


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("minga get mod", {"models/llama.gguf", "models/deep/x.txt"}),
        ("minga get -r mod", {"models/"}),
        ("minga get -r models/", {"models/deep/"}),
        ("minga info big", {"big.bin"}),
        ("minga rm sa", {"same.txt"}),
        ("minga rm big", set()),
        ("minga get big.bin --from f", {"far"}),
        ("minga replicate spa", {r"spa\ ces\ \(1\).txt"}),
        ("minga dow", {"down", "downloads"}),
    ],
)
def test_bash_completes_what_there_is(
    minga: Shell, network: tuple[RunningNode, RunningNode], words: str, found: set[str]
) -> None:
    near, far = network
    if near.request("HEAD", "/files/spa%20ces%20(1).txt").status == 404:
        far.put("spa%20ces%20(1).txt", b"x")
        wait_for(lambda: "spa ces (1).txt" in near.names(), "the name with spaces")
    near.request("DELETE", "/files/big.bin")
    wait_for(lambda: "big.bin" not in local(near), "near has no copy")
    script = f"""
        minga() {{ {sys.executable} -m minga_node.cli "$@"; }}
        export -f minga
        eval "$(minga completion bash)"
        COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        _minga_completion {sys.executable.rsplit("/", 1)[0]}/minga
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    ended = subprocess.run(
        ["bash", "-c", script], env=minga.environment, cwd=minga.home, capture_output=True, check=True
    )
    assert set(ended.stdout.decode().split("\n")) - {""} == found, ended.stderr


def local(node: RunningNode) -> set[str]:
    return {row["name"] for row in node.get("/api/v1/files?scope=local&limit=1000")["files"]}


def test_names_are_completed_from_the_index(minga: Shell) -> None:
    minga.environment |= {
        "_MINGA_COMPLETE": "bash_complete",
        "COMP_WORDS": "minga get mod",
        "COMP_CWORD": "2",
    }
    ended = minga.run()
    assert b"models/llama.gguf" in ended.stdout
    assert b"big.bin" not in ended.stdout


def test_events_are_told_as_they_happen(minga: Shell, network: tuple[RunningNode, RunningNode]) -> None:
    _, far = network
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "minga_node.cli",
            "--json",
            "events",
            "--follow",
            "--type",
            "file.*",
            "--count",
            "2",
        ],
        env=minga.environment,
        stdout=subprocess.PIPE,
    )
    count = 0

    def told() -> bool:
        # It may not listen yet: again, under another name, until it has heard of two.
        nonlocal count
        count += 1
        far.put(f"events/{count}", b"x")
        return process.poll() is not None

    wait_for(told, "two events", every=0.5)
    assert process.stdout is not None
    first, second = (json.loads(line) for line in process.stdout.read().splitlines())
    process.stdout.close()
    assert first["specversion"] == "1.0"
    assert {first["type"], second["type"]} == {"dev.minga.file.published"}
    assert first["data"]["peer"] == "far"
    assert first["data"]["name"].startswith("events/")


def test_json_has_the_same_keys_for_every_row(minga: Shell) -> None:
    keys = {"name", "id", "size", "media_type", "modified", "available", "holders"}
    assert all(keys <= row.keys() for row in minga.json("ls"))


def test_interrupting_get_says_that_the_node_goes_on(nodes: Nodes, tmp_path: Path) -> None:
    far = nodes.start("far", files={"slow.bin": os.urandom(20_000_000)}, upload_limit=2_000_000).ready()
    near = nodes.start("near", far).ready()
    wait_for(lambda: "slow.bin" in near.names(), "near knows it")
    minga = Shell(tmp_path, near.url)
    process = subprocess.Popen(
        [sys.executable, "-m", "minga_node.cli", "get", "slow.bin"],
        env=minga.environment,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    )
    wait_for(lambda: near.get("/api/v1/downloads")["downloads"], "the download has begun")
    wait_for(lambda: near.get("/api/v1/downloads")["downloads"][0]["verified"] > 0, "something is here")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"goes on" in said
    assert near.get("/api/v1/downloads")["downloads"][0]["state"] == "running"


def test_up_starts_a_network_from_yaml_and_down_ends_it(tmp_path: Path) -> None:
    minga = Shell(tmp_path, None)
    (tmp_path / "network.yaml").write_text(
        "apiVersion: minga.dev/v1alpha1\nkind: P2PNetwork\nmetadata: {name: small}\n"
        "spec: {peers: {replicas: 1}}\n"
    )
    try:
        said = minga("up", "-f", "network.yaml", "-d", "net", "--detach")
        assert "The network small is up" in said
        assert minga.json("status")["network"] == "small"
        wait_for(
            lambda: {"big.bin", "notes/shopping.txt"} <= {r["name"] for r in minga.json("ls")}, "the samples"
        )
        minga("get", "big.bin", "-o", "downloads/")
        record = json.loads((tmp_path / "state/minga/up.json").read_text())
        assert (
            HTTP.request("GET", f"{record['default']}/files/big.bin").data
            == (tmp_path / "downloads/big.bin").read_bytes()
        )
        assert "runs already" in minga.run("up").stderr.decode()
    finally:
        assert "has ended" in minga("down")
    minga("--node", record["default"], "status", expect=6)
    assert not (tmp_path / "state/minga/up.json").exists(), "no command goes there by itself any more"
    assert "no local network" in minga("down")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Pod", "no document of kind P2PNetwork"),
        ("kind: P2PNetwork\nmetadata: {name: x}\nspec: {peers: {replicas: -1}}", "spec.peers.replicas is -1"),
        ("kind: [", "is not YAML"),
    ],
)
def test_up_with_nonsense_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    minga = Shell(tmp_path, None)
    (tmp_path / "network.yaml").write_text(text)
    ended = minga.run("up", "-f", "network.yaml")
    assert ended.returncode == 1
    assert words in ended.stderr.decode()
    assert ended.stderr.count(b"\n") == 1
