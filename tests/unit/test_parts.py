"""A part is used through its own names: what is inside of it may change without anybody noticing.

A part is a package of the node. Other code imports from the package itself, or from the modules that the part
offers by name in :data:`PUBLIC`. Which part may know which is import-linter's matter (``pyproject.toml``).
"""

from __future__ import annotations

from tests.unit.source import Module, imports, modules

PUBLIC: dict[str, set[str]] = {
    "minga_node.cli": set(),
    "minga_node.downloads": {"contents", "exchange", "model"},
    "minga_node.events": {"feed", "files"},
    "minga_node.fetching": {"holes", "left", "partial_file", "small_files"},
    "minga_node.index": set(),
    "minga_node.index.log": set(),
    "minga_node.index.search": set(),
    "minga_node.library": {"digests", "hashes", "root", "scan", "watch"},
    "minga_node.local": {"broker", "network", "record", "spec"},
    "minga_node.membership": set(),
    "minga_node.mom": set(),
    "minga_node.pclient": {
        "channels",
        "content",
        "credentials",
        "gossip",
        "messages",
        "peers",
        "streams",
        "transfers",
    },
    "minga_node.pserver": {"content", "index", "membership", "service", "transfers"},
    "minga_node.requests": set(),
    "minga_node.server": {"rest", "services"},
    "minga_node.server.http": set(),
    "minga_node.swarm": {"neighbour_choice", "news"},
    "minga_node.tracing": set(),
    "minga_node.uploads": {"connection", "connection_limits"},
    "minga_node.wire": {"http", "piece_request", "piece_set", "rate_limit", "tls"},
}
"""The modules of each part that others may import, besides the package itself."""


def part_of(name: str) -> str | None:
    """The innermost part that a module belongs to; None for those at the top."""
    parts = [part for part in PUBLIC if name == part or name.startswith(f"{part}.")]
    return max(parts, key=len, default=None)


def inside(module: Module, imported: str) -> bool:
    """Whether a module imports what is inside of another part."""
    part = part_of(imported)
    if part is None or imported == part:
        return False
    outer = part.rpartition(".")[0]
    if f"{module.name}.".startswith((f"{part}.", f"{outer}." if outer != "minga_node" else f"{part}.")):
        return False
    return imported.removeprefix(f"{part}.") not in PUBLIC[part]


def test_no_part_imports_the_inside_of_another() -> None:
    wrong = [
        f"{module.name}:{line} imports {imported}"
        for module in modules()
        for line, imported in imports(module)
        if inside(module, imported)
    ]
    assert not wrong


def test_every_package_of_the_node_is_a_part() -> None:
    packages = {module.name for module in modules() if module.is_package}
    assert packages - {"minga_node", "minga_operator", "minga_operator.resources"} == set(PUBLIC)


def test_every_public_module_is_used_from_outside() -> None:
    used = {
        imported
        for module in modules()
        for _, imported in imports(module)
        if part_of(imported) not in {None, part_of(module.name)}
    }
    offered = {f"{part}.{name}" for part, names in PUBLIC.items() for name in names}
    assert not offered - used
