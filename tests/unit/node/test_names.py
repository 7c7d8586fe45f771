from __future__ import annotations

import pytest

from minga_node.errors import InvalidName
from minga_node.names import check_name


@pytest.mark.parametrize(
    "name",
    ["a", "docs/a.txt", "Información.pdf", "a b/c d", "x" * 255, "/".join(["y" * 200] * 5), "..a/b"[2:]],
)
def test_relative_paths_are_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("..", "part '..'"),
        ("a/../b", "part '..'"),
        ("./a", "part '.'"),
        ("a//b", "part ''"),
        ("a/", "part ''"),
        ("/etc/passwd", "absolute"),
        ("a\x00b", "control"),
        ("a\nb", "control"),
        ("a\x7fb", "control"),
        ("a\\b", "backslash"),
        (".hidden", "hidden"),
        ("a/.minga/b", "hidden"),
        ("x" * 256, "255"),
        ("é" * 513, "1024"),
        ("a\udc80", "UTF-8"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(InvalidName, match=reason):
        check_name(name)
