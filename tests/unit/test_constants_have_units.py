"""A number without a unit is read wrongly sooner or later: each constant names its unit."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.unit.source import Module, modules

UNITS = {
    "BITS",
    "BYTES",
    "CHARACTERS",
    "DAYS",
    "DIGITS",
    "KIB",
    "LINES",
    "MIB",
    "MS",
    "PORT",
    "SECONDS",
}
"""Words of a name that say its unit. A number of things names the things, and says so in its docstring."""
WORDS = re.compile(
    r"\b(seconds?|milliseconds?|minutes?|days?|bytes|bits|characters|KiB|MiB|number|factor|fraction|ratio|times"
    r"|count|per cent|percentage|ports?|at once|at most|at least|descriptors?|flags?|each|how many|constant"
    r"|ioctl|system call|user id)\b",
    re.IGNORECASE,
)
"""Words of a comment or a docstring that say the unit, or that the constant is a number of things."""
THINGS = re.compile(r"^\W*(?:[A-Za-z]+ ){0,2}[A-Za-z]+s\b")
"""A comment that begins with the things that are counted: "Entries in one delta"."""
BARE = {
    "ENOUGH",
    "FEW",
    "LARGEST",
    "LEAST",
    "LONGEST",
    "LOOK",
    "MANY",
    "MOST",
    "SHARE",
    "SHORTEST",
    "SMALLEST",
}
"""Names that say no thing: of what?"""
REBUILT = {
    "minga_node.cli",
    "minga_node.downloads.",
    "minga_node.fetching",
    "minga_node.library",
    "minga_node.swarm",
    "minga_node.uploads",
    "minga_operator",
}
"""Parts that are being rebuilt, whose constants follow with them. This list only shrinks."""


class Constant(NamedTuple):
    module: Module
    line: int
    name: str
    said: str
    """The comment of its line, of the lines above and its docstring."""

    def __str__(self) -> str:
        return f"{self.module.name}:{self.line} {self.name}"


def says_its_unit(constant: Constant) -> bool:
    """By a unit in its name, by the things that it counts (``MOST_PEERS``), or by a comment."""
    words = constant.name.strip("_").split("_")
    counts = any(word.endswith("S") and not word.endswith("SS") for word in words if word not in BARE)
    said = constant.said.strip()
    return bool(UNITS.intersection(words)) or counts or bool(WORDS.search(said) or THINGS.match(said))


def is_number(value: ast.expr) -> bool:
    """Whether an expression is a number, or is computed from nothing but numbers."""
    match value:
        case ast.Constant(value=bool()):
            return False
        case ast.Constant(value=int() | float()):
            return True
        case ast.UnaryOp(operand=operand):
            return is_number(operand)
        case ast.BinOp(left=left, right=right):
            return is_number(left) and is_number(right)
    return False


def assigned(node: ast.stmt) -> list[tuple[str, ast.expr]]:
    """The names that a statement gives values to, each with its value."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return [(name, value)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return [(name, value)]
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            pairs = zip(targets, values, strict=True)
            return [(target.id, value) for target, value in pairs if isinstance(target, ast.Name)]
    return []


def constants() -> Iterator[Constant]:
    for module in modules():
        if module.name.startswith(tuple(REBUILT)):
            continue
        lines = module.text.splitlines()
        body = module.tree.body
        for node, after in zip(body, [*body[1:], None], strict=True):
            names = [
                name
                for name, value in assigned(node)
                if re.fullmatch(r"_?[A-Z][A-Z0-9_]*", name) and is_number(value)
            ]
            if not names:
                continue
            said = [line.partition("#")[2] for line in lines[node.lineno - 1 : node.end_lineno]]
            above = node.lineno - 2
            while above >= 0 and lines[above].lstrip().startswith("#"):
                said.append(lines[above])
                above -= 1
            match after:
                case ast.Expr(value=ast.Constant(value=str(docstring))):
                    said.append(docstring)
            yield from (Constant(module, node.lineno, name, " ".join(said)) for name in names)


def test_every_number_says_its_unit() -> None:
    silent = [str(constant) for constant in constants() if not says_its_unit(constant)]
    assert not silent


def test_no_constant_is_named_by_a_superlative_alone() -> None:
    assert not [str(constant) for constant in constants() if constant.name.lstrip("_") in BARE]
