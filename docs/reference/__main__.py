"""Writes the pages and figures that come from the code: ``python -m docs.reference [--check]``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from docs.reference import commands, configuration, figures, messages, metrics, resource, rest, rpc
from minga_node.events import schema

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"

PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": commands.page,
    "configuration.md": configuration.page,
    "grpc.md": rpc.page,
    "messages.md": messages.page,
    "metrics.md": metrics.page,
    "p2pnetwork.md": resource.page,
    "rest.md": rest.page,
}


def repeating() -> list[Path]:
    """Pages that repeat figures or defaults: all but those that are made as a whole."""
    written = (path for path in HERE.parent.rglob("*.md") if path.parent != HERE)
    return sorted([README, *(path for path in written if "<!-- /" in path.read_text(encoding="utf-8"))])


def files() -> dict[Path, str]:
    """Every file that comes from the code, as it should be."""
    known, defaults = figures.known(), figures.defaults()

    def filled(text: str) -> str:
        return figures.filled(text, known, defaults)

    found = {HERE / name: page().rstrip() + "\n" for name, page in PAGES.items()}
    return {
        **found,
        HERE.parent / "events.schema.json": schema.text(),
        **{path: filled(path.read_text(encoding="utf-8")) for path in repeating()},
    }


def main() -> int:
    stale = [
        path
        for path, text in files().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            where = path.relative_to(README.parent)
            print(f"{where} is not what the code says: run `make reference`", file=sys.stderr)
        return int(bool(stale))
    for path in stale:
        path.write_text(files()[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
