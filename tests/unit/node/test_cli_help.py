"""What `minga --help` and the help of every command say."""

from __future__ import annotations

import shlex

import click
import pytest
from click.testing import CliRunner

from minga_node.cli.filters import SORTS
from minga_node.cli.groups import SUBJECTS
from minga_node.cli.main import group
from minga_node.index.search import query


@pytest.mark.parametrize("name", sorted(group.commands))
def test_the_help_of_each_command_has_examples_whose_options_there_are(name: str) -> None:
    said = CliRunner().invoke(group, [name, "--help"]).output
    examples = said.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
    assert examples
    for line in examples:
        words = shlex.split(line.replace("<(", "").replace(")", ""))
        words = words[words.index("minga") + 1 :]
        words = words[: next((place for place, word in enumerate(words) if word in "|>"), None)]
        context = click.Context(group)
        _, words, _ = group.make_parser(context).parse_args(words)
        assert words[0] == name, line
        command = group.commands[name]
        command.make_parser(click.Context(command, context)).parse_args(words[1:])


def test_every_command_has_a_subject_and_no_summary_is_cut_off() -> None:
    assert set(group.commands) == {name for names in SUBJECTS.values() for name in names}
    said = CliRunner().invoke(group, ["--help"], terminal_width=80).output
    assert all(f"{subject}:" in said for subject in SUBJECTS)
    assert "Others:" not in said
    assert "..." not in said.partition("Files:")[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gett"], "minga: there is no command gett; did you mean get? (see `minga --help`)\n"),
        (["put"], "minga: Missing argument 'PATHS...'. (see `minga put --help`)\n"),
        (
            ["get", "x", "--limit-rate", "fast"],
            "minga: Invalid value for '--limit-rate': 'fast' is no amount of bytes such as 500k, 2.5M or 1Gi"
            " (see `minga get --help`)\n",
        ),
    ],
)
def test_a_wrong_usage_is_one_line_and_ends_with_2(arguments: list[str], said: str) -> None:
    ended = CliRunner().invoke(group, arguments, prog_name="minga")
    assert (ended.exit_code, ended.stderr, ended.stdout) == (2, said, "")


def test_every_order_of_the_index_can_be_chosen() -> None:
    assert SORTS == query.SORTS
