"""The project's own modules, as the tests of its structure read them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = (REPOSITORY / "node/src", REPOSITORY / "operator/src")


class Module(NamedTuple):
    """One module of the node or of the operator."""

    name: str
    """With dots, as it is imported."""
    path: Path
    text: str

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


@cache
def modules() -> tuple[Module, ...]:
    """All modules of both programs, by name."""
    found = []
    for source in SOURCES:
        for path in source.rglob("*.py"):
            parts = path.relative_to(source).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(Module(name, path, path.read_text(encoding="utf-8")))
    return tuple(sorted(found))


@cache
def imports(module: Module) -> tuple[tuple[int, str], ...]:
    """The line and the module of everything that a module imports, also inside of functions."""
    names = _names()
    found: list[tuple[int, str]] = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found += ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.append((node.lineno, submodule if submodule in names else node.module))
    return tuple(found)


@cache
def _names() -> frozenset[str]:
    return frozenset(module.name for module in modules())
