"""What people type: other words for commands, options on either side, errors for programs."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from minga_node.cli.amounts import Amount
from minga_node.cli.anywhere import Arguments
from minga_node.cli.groups import Words
from minga_node.cli.kube import last_line
from minga_node.cli.main import group
from minga_node.cli.spelling import ALIASES, HINTS, unknown


def test_every_other_word_means_a_command_that_there_is() -> None:
    assert set(ALIASES.values()) <= set(group.commands)
    assert not set(ALIASES) & set(group.commands)
    assert not set(HINTS) & (set(group.commands) | set(ALIASES))


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("list", "ls"), ("download", "get"), ("fetch", "get"), ("upload", "put"), ("share", "put"),
        ("delete", "rm"), ("remove", "rm"), ("help", "help"), ("version", "version"),
    ],
)  # fmt: skip
def test_what_people_type_is_understood(word: str, command: str) -> None:
    found = Words.named(group, word)
    assert found is not None
    assert found.name == command
    said = CliRunner().invoke(group, [word, "--help"], prog_name="minga")
    assert said.exit_code == 0
    assert said.output.startswith(f"Usage: minga {command} ")


@pytest.mark.parametrize("word", ["downlod", "donw", "dwn", "dow", "shutdown", "downn"])
def test_nothing_suggests_what_ends_the_network(word: str) -> None:
    _, _, meant = unknown(word, group.commands).partition("did you mean ")
    assert "down" not in meant.rstrip("?").split()


def test_a_hint_says_which_command_does_it() -> None:
    said = CliRunner().invoke(group, ["start"], prog_name="minga")
    assert said.exit_code == 2
    assert said.stderr.startswith("minga: there is no command start: `minga up` starts a network")


@pytest.mark.parametrize("words", [[], ["context"], ["token"], ["help"]])
def test_named_alone_a_group_shows_its_help(words: list[str]) -> None:
    said = CliRunner().invoke(group, words, prog_name="minga")
    assert said.exit_code == 0
    assert said.stdout.startswith("Usage: minga")
    assert said.stderr == ""


@pytest.mark.parametrize(
    ("words", "front", "rest"),
    [
        ("ls --json", "--json", "ls"),
        ("put f -q", "-q", "put f"),
        ("ls -rq", "-q", "ls -r"),
        ("get a -o b --node http://x", "--node http://x", "get a -o b"),
        ("ls -o json", "-o json", "ls"),
        ("ls -ojson --local", "-ojson", "ls --local"),
        ("-o wide get a -o b", "-o wide", "get a -o b"),
        ("token list --kube a -n b", "--kube a -n b", "token list"),
        ("put --as --json f", "", "put --as --json f"),
        ("get -- --json", "", "get -- --json"),
        ("put - --as x -q", "-q", "put - --as x"),
    ],
)
def test_global_options_go_on_both_sides(words: str, front: str, rest: str) -> None:
    assert Arguments(group, Words.named).split(words.split()) == (front.split(), rest.split())


@pytest.mark.parametrize("words", ["ls --node 127.0.0.1:1 --json", "-o yaml ls --node=127.0.0.1:1"])
def test_an_error_is_json_for_programs(words: str) -> None:
    said = CliRunner().invoke(group, words.split(), prog_name="minga")
    assert said.exit_code == 6
    told = json.loads(said.stderr)
    assert told["exit_code"] == 6
    assert "nobody listens there" in told["error"]


def test_a_wrong_usage_is_json_for_programs_too() -> None:
    said = CliRunner().invoke(group, ["get", "--json"], prog_name="minga")
    assert json.loads(said.stderr)["exit_code"] == 2


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("500k", 500_000),
        ("2M", 2_000_000),
        ("2Mi", 2 * 1024**2),
        ("1GiB", 1024**3),
        ("1.5GB/s", 1_500_000_000),
    ],
)
def test_m_is_a_million_and_mi_is_binary(text: str, count: int) -> None:
    assert Amount().convert(text, None, None) == count


def test_of_what_kubectl_says_the_last_line_counts() -> None:
    tries = "E1201 10:00:00 memcache.go:265] couldn't get current server API group list\n" * 5
    assert last_line(f"{tries}The connection to the server was refused\n\n") == (
        "The connection to the server was refused"
    )
    assert last_line("\n") == "it gave no reason"
