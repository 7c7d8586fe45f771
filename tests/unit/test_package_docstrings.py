"""The docstring of a package tells a newcomer its purpose, threads, locks, and how long things live."""

from __future__ import annotations

import ast

import pytest

from tests.unit.source import Module, modules

PACKAGES = [module for module in modules() if module.is_package]
LEAST_LINES = 5
MOST_LINES = 30


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_package_says_what_it_is_for(package: Module) -> None:
    lines = [line for line in (ast.get_docstring(package.tree) or "").splitlines() if line.strip()]
    assert LEAST_LINES <= len(lines) <= MOST_LINES


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_package_tells_of_its_threads_locks_and_lifetimes(package: Module) -> None:
    text = ast.get_docstring(package.tree) or ""
    assert not [word for word in ("Threads:", "Locks:", "Lifetime:") if word not in text]
