"""Entries of logs as events, and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from minga_node.events.cloud import Event, make
from minga_node.events.outbox import Outbox
from minga_node.index import Delta, Entry


class FileEvents:
    """Writes the own log's entries to the outbox; a hook of :class:`minga_node.index.logs.Logs`."""

    def __init__(self, outbox: Outbox, network: str, self_id: str) -> None:
        self._outbox, self._network, self._self_id = outbox, network, self_id

    def hook(self, _db: sqlite3.Connection, peer_id: str, epoch: int, entries: Sequence[Entry]) -> None:
        if peer_id == self._self_id:
            self._outbox.add(event_of(self._network, peer_id, epoch, entry) for entry in entries)


def event_of(network: str, peer_id: str, epoch: int, entry: Entry) -> Event:
    id_ = f"{peer_id}.{epoch}.{entry.version}"
    if entry.content is None:
        return make(
            network, "file.removed", entry.name, id_,
            peer=peer_id, epoch=epoch, version=entry.version, name=entry.name,
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
    )


def deltas_of(events: Iterable[Event]) -> list[Delta]:
    """Events of files, in the order they came, as deltas: one for each run of versions of a log."""
    found: list[Delta] = []
    runs: dict[tuple[str, int], list[Entry]] = {}

    def close(key: tuple[str, int]) -> None:
        entries = runs.pop(key)
        # Of one name the last word counts, and a delta has each name once.
        newest = {entry.name: entry for entry in entries}
        kept = sorted(newest.values())
        found.append(Delta(key[0], key[1], entries[0].version - 1, entries[-1].version, False, 0, kept))

    for event in events:
        key = event.text("peer"), event.number("epoch")
        run = runs.get(key)
        entry = _entry(event)
        if run is not None and entry.version == run[-1].version:
            continue
        if run is not None and entry.version != run[-1].version + 1:
            close(key)
        runs.setdefault(key, []).append(entry)
    for key in list(runs):
        close(key)
    return found


def _entry(event: Event) -> Entry:
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
