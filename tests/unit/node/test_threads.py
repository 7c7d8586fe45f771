"""Who may start a thread: one that nobody watches ends unseen, one that nobody joins outlives the node."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import minga_node

PACKAGE = Path(minga_node.__file__).parent
ARCHITECTURE = Path(__file__).parents[3] / "docs" / "architecture.md"

OWNERS = {
    "workers.py": "supervises what it starts",
    "app.py": "ends its parts side by side, and joins them",
    "server/http/server.py": "the listener of REST and its pool; joined at its end",
    "fetching/holder_connection.py": "connects to one holder, within a deadline, and ends",
    "fetching/io_threads.py": "belongs to one download, which joins it",
    "downloads/runner.py": "one download; joined at the node's end",
    "downloads/batch.py": "belongs to one batch, which joins it",
    "downloads/batches.py": "one batch, to its end, whatever it raises",
    "membership/catching_up.py": "reads one stream, and ends when that is cancelled",
    "pclient/streams.py": "the loop of all streams of the process, which gRPC does not let end",
    "tracing/otel.py": "sends the last spans, for a second at most, while the process ends",
    "local/network.py": "relays the output of a process of `minga up`, to its end",
}


def starts_threads(path: Path) -> bool:
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    names = (func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in calls)
    return "Thread" in names


def names_of_workers(path: Path) -> set[str]:
    """Those that a module gives its workers and loops."""
    return {
        text(node.args[0])
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"Worker", "Loop"}
        and isinstance(node.args[0], ast.Constant | ast.JoinedStr)
    }


def text(node: ast.expr) -> str:
    """A string as it is written, with N for what is put into it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text, node.values))
    return str(node.value) if isinstance(node, ast.Constant) else "N"


def test_the_documentation_has_all_workers_and_where_they_are() -> None:
    section = ARCHITECTURE.read_text().split("## Threads and locks")[1]
    rows = re.findall(r"^\| (`.*?) \| `(.*?)` \|", section, re.MULTILINE)
    told = {module: set(re.findall("`(.*?)`", names)) for names, module in rows}
    found = {str(path.relative_to(PACKAGE)): names_of_workers(path) for path in PACKAGE.rglob("*.py")}
    assert told == {module: names for module, names in found.items() if names}


def test_only_owners_start_threads() -> None:
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if starts_threads(path)}
    assert found == set(OWNERS), "use minga_node.workers, or say here who ends it"
