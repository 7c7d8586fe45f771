"""Entries of logs as events, and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator

from minga_node.events.cloud import Event, make
from minga_node.events.outbox import Outbox
from minga_node.index import Delta, Entry

FILES = frozenset({"file.published", "file.removed"})
"""Routing keys of the events that tell of entries."""
MOST_WAITING = 1_000
"""Entries of a log that wait for their signature, which comes with each 200th at the latest."""
MOST_RUNS = 1_000
"""Logs of which some do."""


class FileEvents:
    """Writes the own log's entries to the outbox; a hook of :class:`minga_node.index.log.logs.Logs`."""

    def __init__(self, outbox: Outbox, network: str, self_id: str) -> None:
        self._outbox, self._network, self._self_id = outbox, network, self_id

    def hook(self, _db: sqlite3.Connection, delta: Delta) -> None:
        if delta.peer_id == self._self_id:
            self._outbox.add(events_of(self._network, delta))


def events_of(network: str, delta: Delta) -> Iterator[Event]:
    """What a delta brings, one event for each entry; its signature goes with the last."""
    for entry in delta.entries:
        signature = delta.signature if entry.version == delta.to_version else b""
        yield event_of(network, delta.peer_id, delta.epoch, entry, signature)


def event_of(network: str, peer_id: str, epoch: int, entry: Entry, signature: bytes = b"") -> Event:
    signed: dict[str, str] = {"signature": signature.hex()} if signature else {}
    id_ = f"{peer_id}.{epoch}.{entry.version}"
    if entry.content is None:
        return make(
            network, "file.removed", entry.name, id_,
            peer=peer_id, epoch=epoch, version=entry.version, name=entry.name, **signed,
        )  # fmt: skip
    return make(
        network,
        "file.published",
        entry.name,
        id_,
        peer=peer_id,
        epoch=epoch,
        version=entry.version,
        name=entry.name,
        id=entry.content.hex(),
        size=entry.size,
        media_type=entry.media_type,
        modified=entry.modified_ms,
        complete=bool(entry.complete),
        **signed,
    )


class Run:
    """Entries of one log that follow one another."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.signatures: dict[int, bytes] = {}

    def add(self, entry: Entry, signature: bytes) -> bool:
        """Whether it follows, or is the last one again."""
        if self.entries and entry.version == self.entries[-1].version:
            # Of two words on one version the signed one counts, else the later: in the end it shows.
            if entry.version in self.signatures:
                return True
            self.entries.pop()
        elif self.entries and entry.version != self.entries[-1].version + 1:
            return False
        self.entries.append(entry)
        if signature:
            self.signatures[entry.version] = signature
        return True

    def cut(self, version: int, key: tuple[str, int]) -> Delta:
        """The entries up to a version, taken out of here."""
        count = version - self.entries[0].version + 1
        taken, self.entries = self.entries[:count], self.entries[count:]
        # Of one name the last word counts, and a delta has each name once.
        kept = sorted({entry.name: entry for entry in taken}.values())
        signature = self.signatures.get(version, b"")
        self.signatures.clear()
        return Delta(*key, taken[0].version - 1, version, False, 0, kept, signature)


class Runs:
    """Events of files, in the order they came, as deltas: one for each run of versions of a log.

    A run ends with what its writer signed; what follows waits for the next signature.

    Args:
        signs: whether a peer signs its log.
        lost: told how many entries waited for a signature that did not come.
    """

    def __init__(
        self, signs: Callable[[str], bool] = lambda _peer: False, lost: Callable[[int], None] = lambda _: None
    ) -> None:
        self._signs, self._lost = signs, lost
        self._runs: dict[tuple[str, int], Run] = {}

    def take(self, events: Iterable[Event]) -> list[Delta]:
        found: list[Delta] = []
        for event in events:
            key = event.text("peer"), event.number("epoch")
            entry, signature = entry_of(event), bytes.fromhex(event.text("signature"))
            run = self._runs.setdefault(key, Run())
            if not run.add(entry, signature):
                found += self._end(key)
                self._runs.setdefault(key, Run()).add(entry, signature)
        for key in list(self._runs):
            found += self._end(key, waits=True)
        return found

    def _end(self, key: tuple[str, int], *, waits: bool = False) -> list[Delta]:
        """What can be used of a run; the rest waits or is lost."""
        run = self._runs[key]
        found: list[Delta] = []
        end = max(run.signatures, default=0)
        if run.signatures:
            found.append(run.cut(end, key))
        elif not self._signs(key[0]):
            found.append(run.cut(run.entries[-1].version, key))
        if run.entries and (not waits or len(run.entries) > MOST_WAITING or len(self._runs) > MOST_RUNS):
            self._lost(len(run.entries))
            run.entries.clear()
        if not run.entries:
            del self._runs[key]
        return found


def entry_of(event: Event) -> Entry:
    version, name = event.number("version"), event.text("name")
    if event.routing_key == "file.removed":
        return Entry(version, name, None)
    return Entry(
        version,
        name,
        bytes.fromhex(event.text("id")),
        event.number("size"),
        event.text("media_type"),
        event.number("modified"),
        bool(event.data["complete"]),
    )
