"""The writer of a log, without a node: what it signs, and what others make of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from minga_node.index import Delta, Entry
from minga_node.index.log.signing import Signer, log_statement, set_hash
from minga_node.membership.goodbyes import Goodbye, goodbye_statement
from minga_node.membership.identities import record_statement
from minga_node.model import Peer


class Writer:
    """Has a key pair and a log of its own."""

    def __init__(self, name: str, epoch: int = 5, network: str = "test") -> None:
        self.name, self.epoch, self.network = name, epoch, network
        self.signer = Signer(Signer.make_secret())
        self.version = 0
        self.newest: dict[str, Entry] = {}
        """By name, tombstones too."""

    def share(self, name: str, seed: int = 1, **fields: Any) -> Entry:
        self.version += 1
        entry = Entry(self.version, name, seed.to_bytes(32, "big"), 3, "text/plain", 5)._replace(**fields)
        self.newest[name] = entry
        return entry

    def remove(self, name: str) -> Entry:
        self.version += 1
        self.newest[name] = entry = Entry(self.version, name, None)
        return entry

    def compact(self) -> None:
        self.newest = {name: entry for name, entry in self.newest.items() if not entry.removed}

    def files(self) -> dict[str, str]:
        return {name: entry.content.hex() for name, entry in self.newest.items() if entry.content is not None}

    def signature(self) -> bytes:
        """Of the log as it is now."""
        total = set_hash(self.newest.values())
        said = log_statement(self.network, self.name, self.epoch, self.version, total)
        return self.signer.key + self.signer.sign(said)

    def delta(self, start: int = 0, **changes: Any) -> Delta:
        """What counts after a version."""
        entries = sorted(entry for entry in self.newest.values() if entry.version > start)
        made = Delta(self.name, self.epoch, start, self.version, False, 0, entries, self.signature())
        return replace(made, **changes)

    def part(self, start: int, end: int) -> Delta:
        """The middle of it, which nobody signs."""
        whole = self.delta(start)
        entries = [entry for entry in whole.entries if entry.version <= end]
        return replace(whole, to_version=end, entries=entries, signature=b"")

    def goodbye(self, heartbeat: int, epoch: int | None = None) -> Goodbye:
        bare = Goodbye(self.name, epoch or self.epoch, heartbeat)
        return replace(bare, signature=self.signer.sign(goodbye_statement(self.network, bare)))

    def record(self, started: int = 1, **changes: Any) -> Peer:
        bare = Peer(self.name, self.epoch, "127.0.0.1", 1, 2, 3, started=started, key=self.signer.key)
        bare = replace(bare, **changes)
        return replace(bare, signature=self.signer.sign(record_statement(self.network, bare)))
