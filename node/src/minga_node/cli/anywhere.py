"""Options of ``minga`` itself that stand after the command: they are taken to the front."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

Find = Callable[[click.Command, str], click.Command | None]
"""The command of a name within a group."""


class _Options:
    """The options of one command by how they are written."""

    def __init__(self, command: click.Command) -> None:
        self._found = {
            word: option
            for option in command.params
            if isinstance(option, click.Option)
            for word in (*option.opts, *option.secondary_opts)
        }

    def __contains__(self, word: str) -> bool:
        return word in self._found

    def takes_value(self, word: str) -> bool:
        option = self._found.get(word)
        return option is not None and not option.is_flag and not option.count


class Arguments:
    """Sorts the words of a command line into what is for the group and what is for the command.

    An option that a command has itself is the command's; what follows ``--`` is left as it is.
    """

    def __init__(self, group: click.Command, find: Find) -> None:
        self._root, self._find = _Options(group), find
        self._group = group
        self._front: list[str] = []
        self._rest: list[str] = []

    def split(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        """The group's options with their values, and everything else."""
        self._front, self._rest = [], []
        command, options = self._group, self._root
        left = list(words)
        while left:
            word = left.pop(0)
            if word == "--":
                self._rest += [word, *left]
                break
            if word.startswith("--"):
                self._long(word, options, left)
            elif word.startswith("-") and word != "-":
                self._short(word, options, left)
            else:
                self._rest.append(word)
                if isinstance(command, click.Group) and (inner := self._find(command, word)) is not None:
                    command, options = inner, _Options(inner)
        return self._front, self._rest

    def _long(self, word: str, options: _Options, left: list[str]) -> None:
        name, equals, _ = word.partition("=")
        own = name in options and options is not self._root
        of, to = (options, self._rest) if own or name not in self._root else (self._root, self._front)
        to.append(word)
        if of.takes_value(name) and not equals and left:
            to.append(left.pop(0))

    def _short(self, word: str, options: _Options, left: list[str]) -> None:
        """One letter after the other, as ``-rq``; the first that takes a value takes the rest."""
        for place, letter in enumerate(word[1:], 1):
            name = f"-{letter}"
            own = name in options and options is not self._root
            if not own and name not in self._root:
                self._rest.append(f"-{word[place:]}")
                return
            of, to = (options, self._rest) if own else (self._root, self._front)
            if of.takes_value(name):
                to.append(f"-{word[place:]}")
                if place == len(word) - 1 and left:
                    to.append(left.pop(0))
                return
            to.append(name)
