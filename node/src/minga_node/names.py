"""File names as the network knows them: relative POSIX paths, checked once at the edge."""

from __future__ import annotations

import re
from collections.abc import Sequence

from minga_node.errors import InvalidName

MAX_BYTES = 1024
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Unicode's category Cc."""

# Lines of names as most are: no part that begins with a dot, nothing but characters that are surely allowed.
_PART = r"[\w ,;+@=()\[\]~!#$%&'-][\w .,;+@=()\[\]~!#$%&'-]{0,62}"
_PLAIN = re.compile(rf"(?>(?:{_PART}/){{0,3}}{_PART}\n)*+", re.ASCII)


def check_name(name: str) -> str:
    """The name, if it may stand for a file of a library.

    A name is a relative path with ``/`` between its parts, at most 1024 bytes of UTF-8, without ``.``, ``..``
    or hidden parts, without control characters and without backslashes.

    Raises:
        InvalidName: says which of these it breaks.
    """
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidName("a name must be valid UTF-8") from None
    if not name:
        raise InvalidName("a name must not be empty")
    if length > MAX_BYTES:
        raise InvalidName(f"a name has at most {MAX_BYTES} bytes, this one has {length}")
    if CONTROL.search(name):
        raise InvalidName("a name must not have control characters")
    if name.startswith("/"):
        raise InvalidName(f"a name is a relative path: {name!r} is absolute")
    if "\\" in name:
        raise InvalidName(f"a name must not have backslashes: {name!r}")
    for part in name.split("/"):
        if part in {"", ".", ".."}:
            raise InvalidName(f"a name must not have the part {part!r}: {name!r}")
        if part.startswith("."):
            raise InvalidName(f"hidden names are not shared: {name!r}")
        if len(part.encode()) > 255:
            raise InvalidName("a part of a name has at most 255 bytes")
    return name


def cut(text: str, most: int) -> str:
    """The beginning of a text that has at most so many bytes of UTF-8, without half a character."""
    return text.encode()[: max(0, most)].decode(errors="ignore")


def is_hidden(name: str) -> bool:
    """Whether a part of it begins with a dot."""
    return name.startswith(".") or "/." in name


def is_shareable(name: str) -> bool:
    """Whether :func:`check_name` accepts the name."""
    try:
        check_name(name)
    except InvalidName:
        return False
    return True


def all_shareable(names: Sequence[str]) -> bool:
    """Whether :func:`check_name` accepts each of them; quick where most are plain."""
    lines = "\n".join(names) + "\n"
    # A name with a line's end in it would pass for two.
    plain = lines.count("\n") == len(names) and _PLAIN.fullmatch(lines)
    return bool(plain) or all(map(is_shareable, names))
