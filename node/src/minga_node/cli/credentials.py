"""Tokens as people hand them over: in a file, in the environment, on standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from minga_node import token_files
from minga_node.cli.client import ClientError


def read_token(text: str, where: str) -> str:
    """The first token of a text in the form of a node's token files.

    Raises:
        ClientError: there is none; the line names ``where``, and never quotes.
    """
    try:
        found = token_files.tokens(text)
    except ValueError as error:
        raise ClientError(f"{where}: {error}", 2) from None
    if not found:
        raise ClientError(f"{where} holds no token", 2)
    return found[0]


def token_from(file: Path) -> str:
    """The token of a file; ``-`` is standard input.

    Raises:
        ClientError, OSError
    """
    if str(file) == "-":
        return read_token(sys.stdin.read(), "standard input")
    try:
        return read_token(file.read_text(encoding="utf-8"), str(file))
    except UnicodeDecodeError:
        raise ClientError(f"{file} is not UTF-8 text", 2) from None
