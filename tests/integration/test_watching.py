"""What happens in the directory is seen without notifications too, and the log says so in one line."""

from __future__ import annotations

import subprocess

import pytest

from tests.nodes import Nodes
from tests.waiting import wait_for

pytestmark = pytest.mark.integration

FOLDERS = 60


def limited(name: str, most: int) -> tuple[str, ...]:
    """Of a command in a user namespace that may have so many of what inotify counts."""
    begin = f'echo {most} > /proc/sys/user/{name} && exec "$0" "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "sh", "-c", begin)
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("needs user namespaces")
    return prefix


@pytest.mark.parametrize(("name", "most", "words"), [
    ("max_inotify_watches", 5, "not every folder can be watched"),
    ("max_inotify_instances", 0, "no notifications of changes"),
])  # fmt: skip
def test_without_notifications_changes_are_found_and_the_log_has_one_line(
    nodes: Nodes, name: str, most: int, words: str
) -> None:
    files = {f"{number:02}/a": b"a" for number in range(FOLDERS)}
    node = nodes.start("node", files=files, rescan_seconds=0.5, prefix=limited(name, most)).ready()
    wait_for(lambda: len(node.names()) == FOLDERS, "all are shared")
    for number in range(FOLDERS):
        (node.directory / f"{number:02}" / "b").write_bytes(b"b")
    wait_for(lambda: len(node.names()) == 2 * FOLDERS, "all that came later, too")
    (node.directory / "59" / "a").unlink()
    wait_for(lambda: "59/a" not in node.names(), "and what is gone")
    lines = [line for line in node.log.splitlines() if "inotify" in line or words in line]
    assert len(lines) == 1, lines
    assert words in lines[0]
    assert "looking every 0.5 s" in lines[0]
